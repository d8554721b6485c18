//! Messages to the storage thread, and the channel that carries them.

use std::fmt::{self, Debug, Formatter};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use potoroo_sdk::host::SinkId;
use tokio::sync::oneshot;

use super::gathered::Gathered;
use crate::checkpoint::Epoch;
use crate::checkpoint::coordinator::CoordinatorInput;
use crate::checkpoint::store::Head;
use crate::flow::PartStep;
use crate::system;
use crate::turn::PartPort;

/// Swaps HEAD to the next generation and returns whether it did: otherwise nothing is changed. The
/// storage thread calls it between two steps, so nothing is committed or collected meanwhile, and
/// it commits nothing afterwards.
pub struct HandOver(pub Box<dyn FnOnce(&Head) -> bool + Send>);

impl Debug for HandOver {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("HandOver")
    }
}

/// A message to the storage thread.
#[derive(Debug)]
pub enum StorageMessage {
    /// From a core: the next step of its part.
    Part {
        /// The core.
        core: usize,
        /// The step.
        step: PartStep,
    },
    /// From the writer of a sink: the output before an epoch is written, or gathered.
    Marked {
        /// The sink.
        sink: SinkId,
        /// The epoch.
        epoch: Epoch,
        /// What was gathered; it becomes visible when the epoch is committed.
        output: Option<Gathered>,
    },
    /// From another node: what its cores did for a checkpoint of this generation.
    Remote {
        /// The generation.
        generation: u64,
        /// What the coordinator learns.
        input: CoordinatorInput,
    },
    /// From an operator: begin a checkpoint now. The answer is its epoch, or why it was aborted.
    Now(oneshot::Sender<Result<Epoch, String>>),
    /// From the supervisor: hand HEAD over to the next generation, if that can be done.
    HandOver(HandOver),
    /// From the supervisor: nodes come or go. Nothing is begun or committed after the answer, until
    /// the next generation begins.
    Rest(Sender<()>),
    /// From the supervisor: everything was processed, the last checkpoint is due.
    Last,
    /// From the supervisor: this is the last message.
    End,
}

/// The sending end of the channel to the storage thread, which may wait for its storage. At most
/// [`PARTS_WAITING_MAX`] steps of parts are in flight, which bounds memory. Markers are not
/// limited, so a sink never blocks on the storage.
#[derive(Clone, Debug)]
pub struct StorageSender {
    messages: Sender<StorageMessage>,
    /// Steps of parts in flight.
    steps: Arc<AtomicUsize>,
}

/// The end that the storage thread reads.
#[derive(Debug)]
pub struct StorageReceiver {
    messages: Receiver<StorageMessage>,
    steps: Arc<AtomicUsize>,
}

/// Steps of parts that may be in flight, plus one for each core: chunks are 64 KiB, so 8 MiB.
pub const PARTS_WAITING_MAX: usize = 128;

/// A channel to the storage thread.
pub fn storage_channel() -> (StorageSender, StorageReceiver) {
    let (sender, receiver) = channel();
    let steps = Arc::new(AtomicUsize::new(0));
    (
        StorageSender { messages: sender, steps: steps.clone() },
        StorageReceiver { messages: receiver, steps },
    )
}

impl StorageSender {
    /// Sends a message that is not limited.
    pub fn send(&self, message: StorageMessage) {
        // The storage thread may have ended, and with it the application.
        let _ = self.messages.send(message);
    }
}

/// The way of operators to the storage thread of the present generation. A clone is the same one.
#[derive(Clone, Debug, Default)]
pub struct PresentStorage(Arc<Mutex<Option<StorageSender>>>);

impl PresentStorage {
    /// The storage thread from now on; `None` while there is none.
    pub fn set(&self, storage: Option<StorageSender>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = storage;
    }

    /// Sends a message, which is dropped before the first storage thread, and after each until the
    /// next.
    pub fn send(&self, message: StorageMessage) {
        if let Some(storage) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            storage.send(message);
        }
    }
}

impl PartPort for StorageSender {
    /// If the storage thread has ended, and with it the application, steps are dropped.
    fn try_part(&mut self, core: usize, step: PartStep) -> Result<(), PartStep> {
        // Only a bound on memory: nothing else is ordered by it.
        if self.steps.load(Ordering::Relaxed) >= PARTS_WAITING_MAX {
            return Err(step);
        }
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.send(StorageMessage::Part { core, step });
        Ok(())
    }

    fn marked(&mut self, sink: SinkId, epoch: Epoch) {
        self.send(StorageMessage::Marked { sink, epoch, output: None });
    }
}

impl StorageReceiver {
    /// The next message; waits for it `limit` at most.
    ///
    /// # Errors
    /// No message came in that time, or no sender is left.
    pub fn receive(&self, limit: Duration) -> Result<StorageMessage, RecvTimeoutError> {
        let message = system::receive(&self.messages, limit)?;
        if let StorageMessage::Part { .. } = message {
            self.steps.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(message)
    }
}
