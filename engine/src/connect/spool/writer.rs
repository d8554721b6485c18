//! The writing end: output of one sink into spools, one for each epoch in which there is some.

use std::io;
use std::path::PathBuf;
use std::thread::{Builder, JoinHandle};

use potoroo_runtime::Waker;
use potoroo_sdk::host::SinkId;
use xxhash_rust::xxh3::Xxh3;

use super::disk::{DiskFile, Open};
use super::{SpoolName, Target};
use crate::checkpoint::Transaction;
use crate::connect::mail::{Teller, Told};
use crate::connect::pipe::{Full, PipeOut};

/// Spools what comes through `pipe` until its other end is gone, and tells `keeper` what is
/// prepared for `sink`.
///
/// # Errors
/// The thread cannot be started.
pub fn spool(
    mut spooler: Spooler,
    sink: SinkId,
    keeper: Teller,
    mut pipe: PipeOut,
    waker: Waker,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let run = move || -> io::Result<()> {
        while let Some(full) = pipe.recv() {
            match full {
                Full::Buffer(buffer) => {
                    spooler.write(&buffer)?;
                    pipe.give_back(buffer);
                    waker.wake_if_parked();
                }
                Full::Marker(epoch) => {
                    let prepared = spooler.prepare(epoch);
                    keeper.tell(Told::Marked { sink, epoch, prepared });
                    waker.wake_if_parked();
                }
            }
        }
        spooler.finish()
    };
    Builder::new().name("potoroo-spool".into()).spawn(run)
}

/// A transaction whose spool is written and not yet durable: that takes the disk a while, which the
/// spooler does not wait for.
#[derive(Debug)]
pub struct Prepared {
    transaction: Transaction,
    file: Box<dyn DiskFile>,
    target: Target,
}

impl Prepared {
    /// Makes it durable with its name. Only then may anybody believe in it.
    ///
    /// # Errors
    /// The disk fails: nobody knows what of it is there.
    pub fn make_durable(self) -> io::Result<Transaction> {
        self.file.sync()?;
        self.target.disk().sync(self.target.folder())?;
        Ok(self.transaction)
    }
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
}

struct Spool {
    name: String,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    bytes: u64,
    digest: Box<Xxh3>,
}

impl Spooler {
    /// One for `target` whose first output goes to `offset`, in this `generation`.
    pub fn new(target: Target, generation: u64, offset: u64) -> Self {
        Self { target, generation, offset, number: 0, current: None }
    }

    /// Writes what has come.
    ///
    /// # Errors
    /// The disk fails: the output of this epoch is lost.
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
        self.number += 1;
        let Self { target, generation, number, .. } = &*self;
        let (file, generation, number) = (&*target.file_name(), *generation, *number);
        let name = SpoolName { file, generation, number }.to_string();
        let path = target.path.with_file_name(&name);
        let file = target.disk().open(&path, Open::New)?;
        Ok(Spool { name, path, file, bytes: 0, digest: Box::new(Xxh3::new()) })
    }

    /// What has come since the last marker belongs to `epoch`; `None` if nothing has.
    pub fn prepare(&mut self, epoch: u32) -> Option<Prepared> {
        let Spool { name, file, bytes, digest, .. } = self.current.take()?;
        let (target, offset) = (self.target.clone(), self.offset);
        self.offset += bytes;
        let (sink, epoch, spool) = (target.sink.clone(), epoch.into(), target.record(&name));
        let digest = Some(digest.digest128());
        let transaction = Transaction { sink, epoch, offset, bytes, digest, spool };
        Some(Prepared { transaction, file, target })
    }

    /// Nothing follows. What belongs to no epoch is dropped: a next run makes it again.
    ///
    /// # Errors
    /// The disk fails; the next run drops it then.
    pub fn finish(self) -> io::Result<()> {
        self.current.map_or(Ok(()), |spool| self.target.disk().remove(&spool.path))
    }
}
