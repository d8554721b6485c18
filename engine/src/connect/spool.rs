//! The transactional file sink: a reader of the file sees committed output only, each event once.
//!
//! ```text
//!   core ── pipe ──► spool of the epoch ── mark: synced, prepared ──► committed: appended to PATH
//! ```
//!
//! Output waits beside the file, in `.NAME.GENERATION-NUMBER.spool`, until the checkpoint that it
//! belongs to is safe. Then it is written at the place in the file that was decided when it was
//! prepared, so that doing it again after a crash changes nothing.
//!
//! Promises: it spools and never waits for a commit. Must never do: write into the file what is not
//! committed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::thread::{Builder, JoinHandle};

use potoroo_runtime::Waker;
use potoroo_sdk::host::SinkId;

use super::mail::Told;
use super::pipe::{Full, PipeOut};
use crate::checkpoint::Transaction;

/// A file with its spools.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name of the sink.
    pub sink: String,
    /// The file.
    pub path: PathBuf,
}

impl Target {
    /// Opens the file as the checkpoint left it whose prepared output is `committed`: writes what
    /// of it is not there yet, and drops what was not committed. Without a checkpoint the file is
    /// made empty, unless `append` says to keep it. Returns its length: where new output goes.
    ///
    /// # Errors
    /// The file or its folder cannot be written, or it is not the file that was written before.
    pub fn recover(
        &self,
        checkpoint: bool,
        committed: &[Transaction],
        append: bool,
    ) -> io::Result<u64> {
        let file = OpenOptions::new().create(true).write(true).truncate(false).open(&self.path)?;
        if !checkpoint && !append {
            file.set_len(0)?;
        }
        for transaction in committed.iter().filter(|one| one.sink == self.sink) {
            self.show(transaction)?;
        }
        for spool in self.spools()? {
            fs::remove_file(spool)?;
        }
        Ok(file.metadata()?.len())
    }

    /// Makes a committed transaction visible, durably. Does nothing if it is already.
    ///
    /// # Errors
    /// The file cannot be written, or is shorter than what was committed before.
    pub fn show(&self, transaction: &Transaction) -> io::Result<()> {
        let Transaction { offset, bytes, ref spool, .. } = *transaction;
        let file = OpenOptions::new().create(true).write(true).truncate(false).open(&self.path)?;
        let length = file.metadata()?.len();
        let spool = self.path.with_file_name(spool);
        if length < offset {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "it has {length} bytes, and {offset} were committed: it is not the file that \
                     was written before; put that one back, or start with an empty --state"
                ),
            ));
        }
        if length < offset + bytes {
            copy(&File::open(&spool)?, bytes, &file, offset)?;
            file.sync_all()?;
        }
        match fs::remove_file(&spool) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn spools(&self) -> io::Result<Vec<PathBuf>> {
        let prefix = format!(".{}.", self.file_name());
        let is_spool = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with(&prefix) && name.ends_with(SPOOL)
        };
        let entries = fs::read_dir(self.folder())?;
        let paths: io::Result<Vec<PathBuf>> =
            entries.map(|entry| entry.map(|entry| entry.path())).collect();
        Ok(paths?.into_iter().filter(is_spool).collect())
    }

    fn file_name(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        }
    }
}

const SPOOL: &str = ".spool";

/// Copies the first `bytes` of `from` to `offset` of `to`.
fn copy(from: &File, bytes: u64, to: &File, offset: u64) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    let mut done = 0;
    while done < bytes {
        let piece = (bytes - done).min(buffer.len() as u64) as usize;
        from.read_exact_at(&mut buffer[..piece], done)?;
        to.write_all_at(&buffer[..piece], offset + done)?;
        done += piece as u64;
    }
    Ok(())
}

/// What a spooling thread is made of.
pub struct Spooling {
    /// The file.
    pub target: Target,
    /// The sink.
    pub sink: SinkId,
    /// Generation of the coordinator: spools of different ones have different names.
    pub generation: u64,
    /// Where the first output goes.
    pub offset: u64,
    /// The keeper of checkpoints.
    pub told: SyncSender<Told>,
}

/// Spools what comes through `pipe` until its other end is gone.
///
/// # Errors
/// The thread cannot be started.
pub fn spool(
    spooling: Spooling,
    pipe: PipeOut,
    waker: Waker,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let run = move || Spooler { spooling, number: 0, current: None }.run(pipe, &waker);
    Builder::new().name("potoroo-spool".into()).spawn(run)
}

struct Spooler {
    spooling: Spooling,
    /// Spools made.
    number: u64,
    current: Option<Spool>,
}

struct Spool {
    name: String,
    file: File,
    bytes: u64,
}

impl Spooler {
    fn run(mut self, mut pipe: PipeOut, waker: &Waker) -> io::Result<()> {
        while let Some(full) = pipe.recv() {
            match full {
                Full::Buffer(buffer) => {
                    self.write(&buffer)?;
                    pipe.give_back(buffer);
                    waker.wake_if_parked();
                }
                Full::Mark(epoch) => self.prepare(epoch)?,
            }
        }
        // It belongs to no epoch: a next life makes it again.
        if let Some(spool) = self.current {
            fs::remove_file(self.spooling.target.path.with_file_name(spool.name))?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let spool = match &mut self.current {
            Some(spool) => spool,
            None => {
                self.number += 1;
                let Spooling { target, generation, .. } = &self.spooling;
                let name = format!(".{}.{generation}-{}{SPOOL}", target.file_name(), self.number);
                let path = target.path.with_file_name(&name);
                let file = OpenOptions::new().write(true).create_new(true).read(true).open(path)?;
                self.current.insert(Spool { name, file, bytes: 0 })
            }
        };
        spool.file.write_all(bytes)?;
        spool.bytes += bytes.len() as u64;
        Ok(())
    }

    fn prepare(&mut self, epoch: u32) -> io::Result<()> {
        let prepared = self.current.take().map(|spool| self.sync(spool, epoch)).transpose()?;
        let Spooling { sink, told, offset, .. } = &mut self.spooling;
        *offset += prepared.as_ref().map_or(0, |prepared| prepared.bytes);
        // The keeper may have ended, and with it the application.
        let _ = told.send(Told::Marked { sink: *sink, epoch, prepared });
        Ok(())
    }

    /// Durable with its name, before anybody hears of it.
    fn sync(&self, spool: Spool, epoch: u32) -> io::Result<Transaction> {
        spool.file.sync_all()?;
        let Spooling { target, offset, .. } = &self.spooling;
        File::open(target.folder())?.sync_all()?;
        let Spool { name, bytes, .. } = spool;
        let sink = target.sink.clone();
        Ok(Transaction { sink, epoch: epoch.into(), offset: *offset, bytes, spool: name })
    }
}
