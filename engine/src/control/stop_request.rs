//! Asked to stop: by a signal, or by the embedding program. Owns both flags; decides nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::report::StopReason;

/// Whether the application is asked to stop. A clone is the same request.
#[derive(Clone, Default)]
pub(super) struct StopRequest {
    signal: Arc<AtomicBool>,
    asked: Arc<AtomicBool>,
}

impl StopRequest {
    /// What a signal handler sets, which may do nothing else.
    pub(super) fn of_signals(&self) -> Arc<AtomicBool> {
        self.signal.clone()
    }

    /// Asks the application to stop.
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Who has asked, if anybody has; a signal before the program.
    pub(super) fn made(&self) -> Option<StopReason> {
        if self.signal.load(Ordering::Relaxed) {
            return Some(StopReason::Signal);
        }
        self.asked.load(Ordering::Relaxed).then_some(StopReason::Asked)
    }
}
