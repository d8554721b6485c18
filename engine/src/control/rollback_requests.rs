//! Requests of operators for rollbacks, and what they are answered. Owns the desk at which they
//! wait; decides nothing but that one is served at a time.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::oneshot;

use crate::checkpoint::Epoch;

/// What a rollback did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RolledBack {
    /// The checkpoint from which the application goes on.
    pub epoch: Epoch,
    /// The generation that has begun.
    pub generation: u64,
    /// Milliseconds from the request until the next generation ran.
    pub ms: f64,
    /// Those of them in which nothing was processed.
    pub stopped_ms: f64,
    /// Output that was committed and comes again.
    pub repeats: Vec<RepeatedOutput>,
}

/// Output of a sink that was committed and comes again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RepeatedOutput {
    /// The sink; `None` when the manifest that names it cannot be used.
    pub sink: Option<String>,
    /// The first and last epoch whose output it was.
    pub epochs: (Epoch, Epoch),
    /// Its bytes.
    pub bytes: u64,
}

/// Why it is not known whether a rollback was done.
pub const ENDED: &str = "the application ended meanwhile: see its log; its next start goes on from \
                         what was committed last, which may be the rollback";

/// The way back to the operator.
pub type RollbackAnswer = oneshot::Sender<Result<RolledBack, String>>;

/// The requests of operators to the supervisor. A clone is the same desk.
#[derive(Clone, Default)]
pub struct RollbackRequests(Arc<Mutex<Desk>>);

#[derive(Default)]
struct Desk {
    waiting: Option<(Epoch, RollbackAnswer)>,
    /// The one that is requested or under way.
    busy: Option<Epoch>,
    /// The application ends.
    closed: bool,
}

impl RollbackRequests {
    /// Requests a rollback to the checkpoint of `epoch`.
    pub fn request(&self, epoch: Epoch, answer: RollbackAnswer) {
        let mut desk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if desk.closed {
            // The operator may have gone, here and below.
            let _ = answer.send(Err(ENDED.to_owned()));
            return;
        }
        if let Some(other) = desk.busy {
            let _ = answer.send(Err(format!(
                "a rollback to checkpoint {other} is under way: wait for its end"
            )));
            return;
        }
        (desk.busy, desk.waiting) = (Some(epoch), Some((epoch, answer)));
    }

    /// The one that waits for the supervisor.
    pub(super) fn take(&self) -> Option<(Epoch, RollbackAnswer)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).waiting.take()
    }

    /// The application ends: no request is served any more.
    pub(super) fn close(&self) {
        let mut desk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        desk.closed = true;
        if let Some((_, answer)) = desk.waiting.take() {
            let _ = answer.send(Err(ENDED.to_owned()));
        }
    }

    /// The one that was taken is done or refused.
    pub(super) fn finish(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).busy = None;
    }
}

impl fmt::Display for RolledBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, generation, ms, stopped_ms, .. } = self;
        write!(
            f,
            "rolled back to checkpoint {epoch} in {ms:.1} ms, {stopped_ms:.1} ms of them without \
             processing: generation {generation} runs"
        )
    }
}
