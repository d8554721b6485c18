//! What others see of checkpoints while they are taken. Owns flags and figures; decides nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use potoroo_runtime::LatencyArray;

use crate::checkpoint::Epoch;
use crate::control::report::CheckpointSummary;
use crate::turn::StorageShared;

/// What others see of checkpoints.
#[derive(Default)]
pub(in crate::control) struct CheckpointProgress {
    summary: Mutex<CheckpointSummary>,
    pub(super) shared: Mutex<Vec<Arc<StorageShared>>>,
}

impl CheckpointProgress {
    /// What checkpoints did so far.
    pub(in crate::control) fn summary(&self) -> CheckpointSummary {
        let mut summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut slices, mut own) = (LatencyArray::new(), LatencyArray::new());
        for shared in shared.iter() {
            slices.merge(&shared.slices.read());
            own.merge(&shared.slices_own.read());
        }
        summary.slices = slices.count();
        summary.slice_ns_p99 = p99(&slices);
        summary.slice_ns_max = slices.ns_max();
        summary.slice_own_ns_p99 = p99(&own);
        summary.slice_own_ns_max = own.ns_max();
        summary
    }

    /// A generation runs since a rollback to the checkpoint of `epoch`.
    pub(in crate::control) fn roll_back(&self, epoch: Epoch) {
        self.note(|summary| (summary.epoch, summary.rollbacks) = (epoch, summary.rollbacks + 1));
    }

    /// The lead has committed an epoch.
    pub(in crate::control) fn commit_of_lead(&self, epoch: Epoch) {
        self.note(|summary| (summary.epoch, summary.committed) = (epoch, summary.committed + 1));
    }

    /// A generation of the lead begins.
    pub(in crate::control) fn begin_of_lead(&self, generation: u64) {
        self.note(|summary| summary.generation = generation);
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut CheckpointSummary)) {
        change(&mut self.summary.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A quantile is the end of its cell, which may lie above the exact maximum.
fn p99(latency: &LatencyArray) -> u64 {
    latency.snapshot().value_at_quantile(0.99).min(latency.ns_max())
}

/// Seconds since the Unix epoch, for the eyes of people.
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_quantile_is_above_the_maximum() {
        for ns in [7_777, 20_001, 123_457, 9_999_999] {
            let mut latency = LatencyArray::new();
            latency.record(ns);
            assert_eq!(p99(&latency), ns, "of {ns} alone");
            latency.record_n(ns / 2, 10);
            assert!(p99(&latency) <= latency.ns_max(), "of {ns} and ten others");
        }
    }
}
