//! What the storage thread has logged, so that it logs nothing again and again.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::{Duration, Instant};

use crate::checkpoint::Epoch;
use crate::system;

/// Aborts that follow each other are logged at most this often.
const COMPLAINT_EVERY: Duration = Duration::from_secs(10);

/// What was logged.
#[derive(Default)]
pub(super) struct Complaints {
    /// The last complaint about each sink whose output cannot be made visible.
    unshown: BTreeMap<String, String>,
    /// It was logged that old checkpoints cannot be deleted, and none could be since.
    not_deleted: bool,
    /// When an abort was last logged, unless a checkpoint was committed since, and the number of
    /// aborts since then.
    aborts: Option<(Instant, u64)>,
}

impl Complaints {
    /// A checkpoint was committed.
    pub(super) fn committed(&mut self) {
        self.aborts = None;
    }

    /// Logs an abort, every [`COMPLAINT_EVERY`] at most.
    pub(super) fn aborted(&mut self, epoch: Epoch, reason: &str) {
        let now = system::now();
        match &mut self.aborts {
            Some((said, since)) if now - *said < COMPLAINT_EVERY => *since += 1,
            logged => {
                let others = match logged.map_or(0, |(_, since)| since) {
                    0 => String::new(),
                    count => format!(" ({count} others before it)"),
                };
                tracing::warn!(
                    "checkpoint {epoch} was aborted: {reason}; the application goes on{others}"
                );
                *logged = Some((now, 0));
            }
        }
    }

    /// Old checkpoints were deleted.
    pub(super) fn deleted(&mut self) {
        self.not_deleted = false;
    }

    /// Logs that old checkpoints cannot be deleted.
    pub(super) fn not_deleted(&mut self, error: &dyn Display) {
        if !std::mem::replace(&mut self.not_deleted, true) {
            tracing::warn!("old checkpoints cannot be deleted: {error}");
        }
    }

    /// Output of `sink` was made visible.
    pub(super) fn shown(&mut self, sink: &str) {
        self.unshown.remove(sink);
    }

    /// Logs that output of `sink` cannot be: `what`.
    pub(super) fn not_shown(&mut self, sink: &str, what: String) {
        if self.unshown.get(sink) != Some(&what) {
            tracing::error!("{what}; it is kept and tried again");
            self.unshown.insert(sink.to_owned(), what);
        }
    }
}
