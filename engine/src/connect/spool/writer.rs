//! The writing end: output of one sink into spools, one for each epoch that has output. After an
//! abort the spool that was prepared is continued, so that neither spools nor manifests become many
//! while no checkpoint can be stored.

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use potoroo_runtime::Waker;
use potoroo_sdk::host::SinkId;
use xxhash_rust::xxh3::Xxh3;

use super::name::SpoolName;
use super::prepared::Prepared;
use super::target::{Target, each_piece};
use crate::checkpoint::{Epoch, SharedEpoch, Transaction};
use crate::connect::mail::{StorageMessage, StorageSender};
use crate::connect::pipe::{PipeItem, PipeOut};
use crate::connect::stopping::Stopping;
use crate::connect::waiting::STOP_CHECK;
use crate::disk::{DiskFile, Open};

/// Who wants to know of output that no checkpoint has committed yet.
pub trait Spooled: Debug + Send + Sync {
    /// Output is about to be spooled.
    fn spooled(&self);
}

/// What a spooler does on a full disk: it waits until there is room, or until `stop` has begun.
#[derive(Debug)]
pub struct Patience {
    /// Holds back the sources.
    pub hold: Arc<dyn Spooled>,
    /// Set when the output is not waited for any more.
    pub stop: Stopping,
}

impl Patience {
    /// Writes, again and again while there is no room.
    fn write(&self, spooler: &mut Spooler, bytes: &[u8]) -> io::Result<()> {
        let mut logged = false;
        loop {
            self.hold.spooled();
            match spooler.write(bytes) {
                Err(error) if is_full(&error) && !self.stop.has_begun() => {
                    if !std::mem::replace(&mut logged, true) {
                        let sink = &spooler.target.sink;
                        tracing::error!(
                            "output of sink `{sink}` has no room: {error}; it waits until its \
                             client takes some, or space is freed"
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

/// Spools what comes through `pipe` until its other end is gone, and reports to `storage` what is
/// prepared for `sink`. Without `patience` a full disk ends it.
///
/// # Errors
/// The thread cannot be started.
pub fn spool(
    mut spooler: Spooler,
    sink: SinkId,
    storage: StorageSender,
    (mut pipe, waker): (PipeOut, Waker),
    patience: Option<Patience>,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let run = move || -> io::Result<()> {
        while let Some(full) = pipe.recv() {
            match full {
                PipeItem::Buffer(buffer) => {
                    match &patience {
                        Some(patience) => patience.write(&mut spooler, &buffer)?,
                        None => spooler.write(&buffer)?,
                    }
                    pipe.return_buffer(buffer);
                    waker.wake_if_parked();
                }
                PipeItem::Marker(epoch) => {
                    let prepared = spooler.prepare(epoch);
                    storage.send(StorageMessage::Marked { sink, epoch, prepared });
                    waker.wake_if_parked();
                }
            }
        }
        spooler.finish()
    };
    Builder::new().name("potoroo-spool".into()).spawn(run)
}

/// Writes the output of one sink into spools, one for each epoch in which there is some.
pub struct Spooler {
    target: Target,
    /// Of the coordinator: spools of different ones have different names.
    generation: u64,
    /// Where the next transaction goes.
    offset: u64,
    /// Spools made.
    number: u64,
    current: Option<Spool>,
    /// The last epoch that was committed. The next one begins after that.
    committed: Arc<SharedEpoch>,
    /// What was prepared last.
    last: Option<Last>,
}

struct Spool {
    name: String,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    bytes: u64,
    digest: Xxh3,
}

/// A spool that was prepared: it is continued if its epoch is aborted.
struct Last {
    name: String,
    path: PathBuf,
    epoch: Epoch,
    offset: u64,
    bytes: u64,
    digest: Xxh3,
}

/// Output of aborted epochs is gathered in one transaction up to this many bytes: a client may have
/// to hold a whole transaction.
const GATHERED_BYTES_MAX: u64 = 16 << 20;

impl Spooler {
    /// One for `target` whose first output goes to `offset`, in this `generation`. `committed` is
    /// the last epoch that was committed, and has it before the next one begins.
    pub fn new(target: Target, generation: u64, offset: u64, committed: Arc<SharedEpoch>) -> Self {
        Self { target, generation, offset, number: 0, current: None, committed, last: None }
    }

    /// Writes what has come.
    ///
    /// # Errors
    /// The disk fails: the output of this epoch is lost, unless the same is written again.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.current.is_none() {
            self.current = Some(self.begin()?);
        }
        let spool = self.current.as_mut().expect("it was just begun");
        spool.file.write_at(bytes, spool.bytes)?;
        spool.bytes += bytes.len() as u64;
        spool.digest.update(bytes);
        Ok(())
    }

    fn begin(&mut self) -> io::Result<Spool> {
        let Self { target, generation, number, .. } = &*self;
        let (file, generation, number) = (&*target.file_name(), *generation, *number + 1);
        let name = SpoolName { file, generation, number }.to_string();
        let path = target.path.with_file_name(&name);
        let file = target.disk().open(&path, Open::New)?;
        self.number = number;
        Ok(Spool { name, path, file, bytes: 0, digest: Xxh3::new() })
    }

    /// What has come since the last marker belongs to `epoch`; `None` if nothing has.
    pub fn prepare(&mut self, epoch: Epoch) -> Option<Prepared> {
        let spool = self.current.take()?;
        let (spool, offset) = self.gather(spool);
        let Spool { name, path, file, bytes, digest } = spool;
        let target = self.target.clone();
        self.offset = offset + bytes;
        let (sink, spool) = (target.sink.clone(), target.record(&name));
        let made = Some(digest.digest128());
        self.last = Some(Last { name, path, epoch, offset, bytes, digest });
        let transaction = Transaction { sink, epoch, offset, bytes, digest: made, spool };
        Some(Prepared { transaction, file, target })
    }

    /// Appends `spool` to the one before if the epoch of that was aborted: no manifest will ever
    /// name it as it was. Returns what is to be prepared, and where it begins.
    fn gather(&mut self, spool: Spool) -> (Spool, u64) {
        // Pairs with the release in `Effects::act`: an epoch is decided before the next begins.
        let committed = self.committed.load();
        let last = self.last.take().filter(|last| {
            last.epoch > committed && last.bytes + spool.bytes <= GATHERED_BYTES_MAX
        });
        let Some(last) = last else { return (spool, self.offset) };
        let offset = last.offset;
        match self.append(last, &spool) {
            Ok(gathered) => {
                // If that fails, the next start does it.
                let _ = self.target.disk().remove(&spool.path);
                (gathered, offset)
            }
            // Then there are two of them.
            Err(_) => (spool, self.offset),
        }
    }

    fn append(&self, last: Last, spool: &Spool) -> io::Result<Spool> {
        let Last { name, path, bytes, mut digest, .. } = last;
        let file = self.target.disk().open(&path, Open::Write)?;
        each_piece(spool.bytes, |piece, done| {
            spool.file.read_at(piece, done)?;
            file.write_at(piece, bytes + done)?;
            digest.update(piece);
            Ok(true)
        })?;
        Ok(Spool { name, path, file, bytes: bytes + spool.bytes, digest })
    }

    /// Nothing follows. What belongs to no epoch is dropped: a next run makes it again.
    ///
    /// # Errors
    /// The disk fails; the next run drops it then.
    pub fn finish(self) -> io::Result<()> {
        self.current.map_or(Ok(()), |spool| self.target.disk().remove(&spool.path))
    }
}
