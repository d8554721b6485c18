//! Lease: until when the cores of a node may let anything in or out.
//!
//! Written by the control plane when the agreement has renewed it, read once per turn and compared
//! with the time of the turn: a process that stood still for longer finds out in its first turn.

use std::sync::atomic::{AtomicU64, Ordering};

use potoroo_runtime::Nanos;

/// Until when the cores of a node may let anything in or out; at first until no time.
#[derive(Debug, Default)]
pub struct NodeLease(AtomicU64);

impl NodeLease {
    /// Whether it has ended at `now`.
    #[inline]
    pub fn is_over(&self, now: Nanos) -> bool {
        // It publishes nothing else: a core that sees a renewal late waits longer, and an end is
        // not written but comes.
        now.0 >= self.0.load(Ordering::Relaxed)
    }

    /// It lasts until `until` from now on.
    pub fn set(&self, until: Nanos) {
        self.0.store(until.0, Ordering::Relaxed);
    }
}
