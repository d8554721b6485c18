//! What the keeper of checkpoints is told, and by which way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use potoroo_sdk::host::SinkId;
use tokio::sync::oneshot;

use super::spool::Prepared;
use crate::flow::PartStep;
use crate::turn::PartPort;

/// What the keeper of checkpoints is told.
#[derive(Debug)]
pub enum Told {
    /// By a core: the next step of its part.
    Part {
        /// The core.
        core: usize,
        /// The step.
        step: PartStep,
    },
    /// By whoever writes a sink's output: what came before an epoch is written.
    Marked {
        /// The sink.
        sink: SinkId,
        /// The epoch.
        epoch: u32,
        /// What waits to become visible when the epoch is safe.
        prepared: Option<Prepared>,
    },
    /// By an operator: a checkpoint is wanted now. Answered with its epoch, or why it came to
    /// nothing.
    Now(oneshot::Sender<Result<u64, String>>),
    /// By the supervisor: everything was processed, the last checkpoint is due.
    Last,
    /// By the supervisor: nobody will tell anything more.
    End,
}

/// The way to the keeper of checkpoints, which may wait for its storage. Parts find room only while
/// few of their steps wait, so memory is bounded; markers always do, so whoever writes the output
/// of a sink never waits for the storage.
#[derive(Clone, Debug)]
pub struct Teller {
    told: Sender<Told>,
    /// Steps of parts that wait.
    steps: Arc<AtomicUsize>,
}

/// The keeper's end of the way to it.
#[derive(Debug)]
pub struct Hearer {
    told: Receiver<Told>,
    steps: Arc<AtomicUsize>,
}

/// Steps of parts that may wait for the keeper, but for one more of each core: chunks are 64 KiB,
/// so 8 MiB.
pub const PARTS_WAITING_MAX: usize = 128;

/// The way to the keeper.
pub fn to_keeper() -> (Teller, Hearer) {
    let (sender, receiver) = channel();
    let steps = Arc::new(AtomicUsize::new(0));
    (Teller { told: sender, steps: steps.clone() }, Hearer { told: receiver, steps })
}

impl Teller {
    /// Tells what is no part.
    pub fn tell(&self, told: Told) {
        // The keeper may have ended, and with it the application.
        let _ = self.told.send(told);
    }
}

impl PartPort for Teller {
    /// A keeper that has ended, and with it the application, takes everything.
    fn try_part(&mut self, core: usize, step: PartStep) -> Result<(), PartStep> {
        // Only a bound on memory: nothing else is ordered by it.
        if self.steps.load(Ordering::Relaxed) >= PARTS_WAITING_MAX {
            return Err(step);
        }
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.tell(Told::Part { core, step });
        Ok(())
    }

    fn marked(&mut self, sink: SinkId, epoch: u32) {
        self.tell(Told::Marked { sink, epoch, prepared: None });
    }
}

impl Hearer {
    /// What is told next, within `limit`.
    ///
    /// # Errors
    /// Nothing was told in that time, or nobody is left to tell anything.
    pub fn hear(&self, limit: Duration) -> Result<Told, RecvTimeoutError> {
        let told = self.told.recv_timeout(limit)?;
        if let Told::Part { .. } = told {
            self.steps.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(told)
    }
}
