//! The transactional file sink: a reader of the file sees committed output only, each event once.
//!
//! ```text
//!   core ── pipe ──► spool of the epoch ─ marker ─► prepared: made durable ──► committed: written
//!                                                                             into PATH
//! ```
//!
//! Output waits beside the file, in `.NAME.GENERATION-NUMBER.spool`, until the checkpoint that it
//! belongs to is safe. Then it is written at the place in the file that was decided when it was
//! prepared, so that doing it again after a crash changes nothing.
//!
//! Promises: it spools and never waits for a commit. Must never do: write into the file what is not
//! committed.

mod disk;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use potoroo_runtime::Waker;
use potoroo_sdk::host::SinkId;

pub use self::disk::{Disk, DiskFile, LocalDisk, Open};
use super::mail::{Teller, Told};
use super::pipe::{Full, PipeOut};
use crate::checkpoint::Transaction;

/// A file with its spools.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name of the sink.
    pub sink: String,
    /// The file.
    pub path: PathBuf,
    disk: Arc<dyn Disk>,
}

impl Target {
    /// The file at `path` of this machine, for `sink`.
    pub fn new(sink: &str, path: PathBuf) -> Self {
        Self::on(Arc::new(LocalDisk), sink, path)
    }

    /// The file at `path` of `disk`, for `sink`.
    pub fn on(disk: Arc<dyn Disk>, sink: &str, path: PathBuf) -> Self {
        Self { sink: sink.to_owned(), path, disk }
    }

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
        let file = self.disk.open(&self.path, Open::Write)?;
        // Its name has to last as long as what is committed in it.
        self.disk.sync(self.folder())?;
        if !checkpoint && !append {
            file.clear()?;
            // What was in it must not come back behind the first commit.
            file.sync()?;
        }
        for transaction in committed.iter().filter(|one| self.is_of(one)) {
            self.show(transaction)?;
        }
        for spool in self.spools()? {
            self.disk.remove(&spool)?;
        }
        file.length()
    }

    /// Makes a committed transaction visible, durably. Its spool is removed behind that: one that
    /// is there is written again, however long the file is; one that is gone was visible.
    ///
    /// # Errors
    /// The file cannot be written, or is not the one that was written before.
    pub fn show(&self, transaction: &Transaction) -> io::Result<()> {
        let Transaction { offset, bytes, ref spool, .. } = *transaction;
        let file = &*self.disk.open(&self.path, Open::Write)?;
        let (length, end) = (file.length()?, offset + bytes);
        let spool = self.spool_of(spool);
        let from = &*match self.disk.open(&spool, Open::Read) {
            // An empty one was put in its place after it was read: that is how logs are rotated.
            Err(error) if error.kind() == io::ErrorKind::NotFound && length == 0 => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && length >= end => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(other(length, end));
            }
            opened => opened?,
        };
        if length < offset || (length > end && !same(from, bytes, file, offset)?) {
            return Err(other(length, offset));
        }
        copy(from, bytes, file, offset)?;
        file.sync()?;
        self.disk.remove(&spool)
    }

    /// Drops all spools but those of `committed`, for output that goes elsewhere. Makes the folder
    /// in which they lie.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn keep_spools(&self, committed: &[Transaction]) -> io::Result<()> {
        self.disk.make_folder(self.folder())?;
        let kept = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let is_it = |one: &Transaction| one.sink == self.sink && name_of(&one.spool) == name;
            committed.iter().any(is_it)
        };
        let mut dropped = self.spools()?;
        dropped.retain(|path| !kept(path));
        dropped.iter().try_for_each(|path| self.disk.remove(path))
    }

    /// Whether a committed transaction has something to do with this file: not what was made
    /// visible in another one, before the sink got this address.
    fn is_of(&self, transaction: &Transaction) -> bool {
        let made = Path::new(&transaction.spool);
        let ours =
            || std::path::absolute(self.folder()).is_ok_and(|ours| made.parent() == Some(&ours));
        let named = || name_of(&transaction.spool).starts_with(&format!(".{}.", self.file_name()));
        transaction.sink == self.sink
            && (self.disk.exists(&self.spool_of(&transaction.spool)) || (named() && ours()))
    }

    /// Where a spool is: where it was made, or beside the file if both were moved.
    fn spool_of(&self, spool: &str) -> PathBuf {
        let made = PathBuf::from(spool);
        if self.disk.exists(&made) { made } else { self.path.with_file_name(name_of(spool)) }
    }

    /// Whether both are the same file, however its path is written.
    pub fn is_same_file(&self, other: &Self) -> bool {
        let folder = |target: &Self| {
            let folder = target.folder();
            folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf())
        };
        self.file_name() == other.file_name() && folder(self) == folder(other)
    }

    fn spools(&self) -> io::Result<Vec<PathBuf>> {
        let prefix = format!(".{}.", self.file_name());
        let is_spool = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let ours = name.strip_prefix(&prefix).and_then(|name| name.strip_suffix(SPOOL));
            // Not that of another sink, whose name begins with ours.
            ours.and_then(numbers).is_some()
        };
        let mut paths = self.disk.list(self.folder())?;
        paths.retain(is_spool);
        Ok(paths)
    }

    fn file_name(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// Where all of it lies.
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The folder in which its spools lie.
    pub fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        }
    }
}

const SPOOL: &str = ".spool";

/// Generation and number in the name of a spool.
fn numbers(text: &str) -> Option<(u64, u64)> {
    let (generation, number) = text.split_once('-')?;
    Some((generation.parse().ok()?, number.parse().ok()?))
}

/// Whether committed output is still to be brought to where it belongs: its spool is removed behind
/// that.
pub fn is_outstanding(transaction: &Transaction) -> bool {
    Path::new(&transaction.spool).exists()
}

/// The name of a spool without its folder.
pub fn name_of(spool: &str) -> &str {
    spool.rsplit_once('/').map_or(spool, |(_, name)| name)
}

/// The id of the transaction in a spool of the state folder with this random number: greater than
/// those of all that were prepared in it before, in this life and in earlier ones.
pub fn transaction_id(folder: u64, spool: &str) -> Option<u128> {
    let (generation, number) = numbers(spool.strip_suffix(SPOOL)?.rsplit_once('.')?.1)?;
    let (generation, number) = (u32::try_from(generation).ok()?, u32::try_from(number).ok()?);
    Some(first_id(folder, generation.into()) | u128::from(number))
}

/// The ids of this `generation` are from here on.
pub fn first_id(folder: u64, generation: u64) -> u128 {
    u128::from(folder) << 64 | u128::from(generation) << 32
}

fn other(length: u64, committed: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!(
            "it has {length} bytes, {committed} were committed, and they are not what was written: \
             somebody else has changed it; put the file back, or start with an empty --state"
        ),
    )
}

/// Whether the first `bytes` of `from` stand at `offset` of `to`.
fn same(from: &dyn DiskFile, bytes: u64, to: &dyn DiskFile, offset: u64) -> io::Result<bool> {
    let (mut ours, mut theirs) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    let mut done = 0;
    while done < bytes {
        let piece = (bytes - done).min(PIECE_BYTES as u64) as usize;
        from.read_at(&mut ours[..piece], done)?;
        to.read_at(&mut theirs[..piece], offset + done)?;
        if ours[..piece] != theirs[..piece] {
            return Ok(false);
        }
        done += piece as u64;
    }
    Ok(true)
}

/// Bytes that are copied or compared at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Copies the first `bytes` of `from` to `offset` of `to`.
fn copy(from: &dyn DiskFile, bytes: u64, to: &dyn DiskFile, offset: u64) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_BYTES];
    let mut done = 0;
    while done < bytes {
        let piece = (bytes - done).min(buffer.len() as u64) as usize;
        from.read_at(&mut buffer[..piece], done)?;
        to.write_at(&buffer[..piece], offset + done)?;
        done += piece as u64;
    }
    Ok(())
}

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
        self.target.disk.sync(self.target.folder())?;
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
    path: PathBuf,
    file: Box<dyn DiskFile>,
    bytes: u64,
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
        let spool = match &mut self.current {
            Some(spool) => spool,
            None => {
                self.number += 1;
                let Self { target, generation, number, .. } = &*self;
                let name = format!(".{}.{generation}-{number}{SPOOL}", target.file_name());
                let path = target.path.with_file_name(name);
                let file = target.disk.open(&path, Open::New)?;
                self.current.insert(Spool { path, file, bytes: 0 })
            }
        };
        spool.file.write_at(bytes, spool.bytes)?;
        spool.bytes += bytes.len() as u64;
        Ok(())
    }

    /// What has come since the last marker belongs to `epoch`; `None` if nothing has.
    pub fn prepare(&mut self, epoch: u32) -> Option<Prepared> {
        let Spool { path, file, bytes } = self.current.take()?;
        let (target, offset) = (self.target.clone(), self.offset);
        self.offset += bytes;
        // The file may have another address in the next life: what is committed is found then.
        let spool = std::path::absolute(&path).unwrap_or(path).to_string_lossy().into_owned();
        let (sink, epoch) = (target.sink.clone(), epoch.into());
        let transaction = Transaction { sink, epoch, offset, bytes, spool };
        Some(Prepared { transaction, file, target })
    }

    /// Nothing follows. What belongs to no epoch is dropped: a next life makes it again.
    ///
    /// # Errors
    /// The disk fails; the next life drops it then.
    pub fn finish(self) -> io::Result<()> {
        self.current.map_or(Ok(()), |spool| self.target.disk.remove(&spool.path))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).expect("it can be made");
            Self(folder)
        }

        fn target(&self, name: &str) -> Target {
            Target::new(name, self.0.join(name))
        }

        fn write(&self, name: &str, bytes: &[u8]) {
            fs::write(self.0.join(name), bytes).expect("it can be written");
        }

        fn read(&self, name: &str) -> Vec<u8> {
            fs::read(self.0.join(name)).expect("it is there")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn transaction(sink: &str, offset: u64, bytes: u64) -> Transaction {
        let spool = format!(".{sink}.1-1.spool");
        Transaction { sink: sink.to_owned(), epoch: 1, offset, bytes, spool }
    }

    #[test]
    fn what_is_committed_becomes_visible_once_however_often_it_is_tried() {
        let scratch = Scratch::new("spool-again");
        let target = scratch.target("w");
        // Killed while it was written: the end of the old file, and a part of the new output.
        for there in [&b"old "[..], b"old n", b"old xx", b"old new"] {
            scratch.write("w", there);
            scratch.write(".w.1-1.spool", b"new");
            let length = target.recover(true, &[transaction("w", 4, 3)], false);
            assert_eq!(length.expect("it can be written"), 7);
            assert_eq!(scratch.read("w"), b"old new");
            target.show(&transaction("w", 4, 3)).expect("it is visible already");
        }
    }

    /// Committed, killed before it was visible, and started with another file: it is not lost.
    #[test]
    fn what_is_committed_is_found_under_another_address_of_the_file() {
        let scratch = Scratch::new("spool-moved");
        scratch.write(".w.1-1.spool", b"new");
        let spool = scratch.0.join(".w.1-1.spool").display().to_string();
        let committed =
            |offset| Transaction { spool: spool.clone(), ..transaction("w", offset, 3) };
        let moved = Target::new("w", scratch.0.join("moved"));
        let refused = moved.recover(true, &[committed(4)], false).expect_err("its start is not");
        assert!(refused.to_string().contains("4 were committed"), "{refused}");
        assert_eq!(moved.recover(true, &[committed(0)], false).expect("it can be written"), 3);
        assert_eq!(scratch.read("moved"), b"new");
    }

    #[test]
    fn spools_of_another_sink_stay() {
        let scratch = Scratch::new("spool-other");
        scratch.write(".w.3-1.spool", b"ours");
        scratch.write(".w.x.3-1.spool", b"another's");
        scratch.target("w").recover(false, &[], false).expect("it can be written");
        assert_eq!(scratch.read(".w.x.3-1.spool"), b"another's");
        assert!(!scratch.0.join(".w.3-1.spool").exists(), "it was not committed");
    }

    #[test]
    fn ids_rise_over_all_lives() {
        let ids = [".w.1-1.spool", ".w.1-2.spool", ".w.x.2-1.spool"];
        let ids = ids.map(|spool| transaction_id(9, spool));
        assert!(ids.is_sorted() && ids.iter().all(Option::is_some), "{ids:?}");
        let none = [".w.1.spool", "w", ".w.4294967296-1.spool"];
        assert_eq!(none.map(|spool| transaction_id(9, spool)), [None; 3]);
    }

    #[test]
    fn a_file_that_somebody_else_has_changed_is_refused() {
        let scratch = Scratch::new("spool-changed");
        let target = scratch.target("w");
        scratch.write(".w.1-1.spool", b"new");
        for there in [&b"old"[..], b"old other and more"] {
            scratch.write("w", there);
            let refused = target.show(&transaction("w", 4, 3)).expect_err("it is another file");
            assert!(refused.to_string().contains("somebody else"), "{refused}");
            assert_eq!(scratch.read("w"), there, "it stays as it is");
        }
        fs::remove_file(scratch.0.join(".w.1-1.spool")).expect("it is there");
        scratch.write("w", b"shor");
        assert!(target.show(&transaction("w", 4, 3)).is_err(), "what was visible is gone");
        scratch.write("w", b"");
        target.show(&transaction("w", 4, 3)).expect("it was rotated");
    }
}
