//! The request to stop: of a signal, of the embedding program, or of an operator. Owns the flags;
//! decides nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::report::StopReason;

/// Whether a stop is requested. A clone is the same request.
#[derive(Clone, Default)]
pub(super) struct StopRequest {
    signal: Arc<AtomicBool>,
    requested: Arc<AtomicBool>,
    of_operator: Arc<AtomicBool>,
}

impl StopRequest {
    /// The flag for a signal handler, which may only set it.
    pub(super) fn of_signals(&self) -> Arc<AtomicBool> {
        self.signal.clone()
    }

    /// Requests the stop, for the embedding program.
    pub(super) fn stop(&self) {
        self.requested.store(true, Ordering::Relaxed);
    }

    /// Requests the stop of all nodes, for an operator.
    pub(super) fn stop_all(&self) {
        self.of_operator.store(true, Ordering::Relaxed);
    }

    /// Why a stop is requested, if it is; a signal comes before the program, and that before the
    /// operator.
    pub(super) fn reason(&self) -> Option<StopReason> {
        if self.signal.load(Ordering::Relaxed) {
            return Some(StopReason::Signal);
        }
        if self.requested.load(Ordering::Relaxed) {
            return Some(StopReason::Asked);
        }
        self.of_operator.load(Ordering::Relaxed).then_some(StopReason::Operator)
    }
}
