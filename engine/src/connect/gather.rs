//! Gathers the output of a transactional sink: what comes in an epoch goes into a scratch file of
//! the store, and with the marker to the storage thread, which makes an object of it.
//!
//! ```text
//!   core ── pipe ──► scratch file ─ marker ─► storage thread: object, named by the manifest
//! ```
//!
//! Promises: a sink never waits for a commit. Waits for the disk: for a thread beside the cores.
//! Must never do: store anything.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use potoroo_runtime::Waker;
use potoroo_sdk::host::SinkId;

use super::gathered::Gathered;
use super::mail::{StorageMessage, StorageSender};
use super::pipe::{PipeItem, PipeOut};
use super::stopping::Stopping;
use super::waiting::STOP_CHECK;
use crate::checkpoint::Epoch;
use crate::checkpoint::store::Store;

/// Gathers the output of one sink.
pub struct Gatherer {
    store: Arc<dyn Store>,
    sink: String,
    file: Option<String>,
    /// Where the next transaction begins.
    offset: u64,
    current: Option<Gathered>,
}

impl Gatherer {
    /// One for `sink`, whose output is for `file` or a client, and begins at `offset`.
    pub fn new(store: Arc<dyn Store>, sink: &str, file: Option<String>, offset: u64) -> Self {
        Self { store, sink: sink.to_owned(), file, offset, current: None }
    }

    /// Writes what has come.
    ///
    /// # Errors
    /// The disk fails: the output of this epoch is lost, unless the same is written again.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.current {
            Some(current) => current.write(bytes),
            None => {
                let (sink, file) = (&self.sink, self.file.clone());
                let new = Gathered::new(&*self.store, sink, file, self.offset)?;
                self.current.insert(new).write(bytes)
            }
        }
    }

    /// What has come since the last marker belongs to `epoch`; `None` if nothing has. What comes
    /// after the last one belongs to none, and is dropped: a next run makes it again.
    pub fn mark(&mut self, epoch: Epoch) -> Option<Gathered> {
        let gathered = self.current.take()?;
        self.offset += gathered.bytes;
        Some(Gathered { epoch, ..gathered })
    }
}

/// Who wants to know of output that no checkpoint has committed yet.
pub trait Gathering: Debug + Send + Sync {
    /// Output is about to be gathered.
    fn gathered(&self);
}

/// What is done on a full disk: it is waited until there is room, or until `stop` has begun.
#[derive(Debug)]
pub struct Patience {
    /// Holds back the sources before the disk is full. Without it they stop when buffers are.
    pub hold: Option<Arc<dyn Gathering>>,
    /// Set when the output is not waited for any more.
    pub stop: Stopping,
}

impl Patience {
    /// Writes, again and again while there is no room.
    fn write(&self, gatherer: &mut Gatherer, bytes: &[u8]) -> io::Result<()> {
        let mut logged = false;
        loop {
            self.hold.iter().for_each(|hold| hold.gathered());
            match gatherer.write(bytes) {
                Err(error) if is_full(&error) && !self.stop.has_begun() => {
                    if !std::mem::replace(&mut logged, true) {
                        let sink = &gatherer.sink;
                        tracing::error!(
                            "output of sink `{sink}` has no room to wait for its checkpoint: \
                             {error}; it waits until space is freed"
                        );
                    }
                    std::thread::sleep(STOP_CHECK);
                }
                written => return written,
            }
        }
    }
}

/// Not a file that is too long: that stays so.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Gathers what comes through `pipe` until its other end is gone, and sends it to `storage` with
/// the markers of `sink`.
///
/// # Errors
/// The thread cannot be started.
pub fn gather(
    mut gatherer: Gatherer,
    sink: SinkId,
    storage: StorageSender,
    (mut pipe, waker): (PipeOut, Waker),
    patience: Patience,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let run = move || -> io::Result<()> {
        while let Some(full) = pipe.recv() {
            match full {
                PipeItem::Buffer(buffer) => {
                    patience.write(&mut gatherer, &buffer)?;
                    pipe.return_buffer(buffer);
                    waker.wake_if_parked();
                }
                PipeItem::Marker(epoch) => {
                    let output = gatherer.mark(epoch);
                    storage.send(StorageMessage::Marked { sink, epoch, output });
                    waker.wake_if_parked();
                }
            }
        }
        Ok(())
    };
    Builder::new().name("potoroo-gather".into()).spawn(run)
}
