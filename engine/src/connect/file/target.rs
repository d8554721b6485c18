//! A file into which committed output is written.

use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::checkpoint::store::{Name, Store};
use crate::checkpoint::{Marks, Transaction, open_output, unreadable};
use crate::connect::remedy;
use crate::connect::spools::{self, Spool};
use crate::disk::{Disk, DiskFile, LocalDisk, Open};

/// A file, and the store from which its output comes.
#[derive(Clone)]
pub struct Target {
    /// Name of the sink.
    pub sink: String,
    /// The file.
    pub path: PathBuf,
    disk: Arc<dyn Disk>,
    store: Arc<dyn Store>,
}

impl Target {
    /// The file at `path` of this machine, for `sink`, whose output is in `store`.
    pub fn new(sink: &str, path: PathBuf, store: Arc<dyn Store>) -> Self {
        Self::on(Arc::new(LocalDisk), sink, path, store)
    }

    /// The same of `disk`.
    pub fn on(disk: Arc<dyn Disk>, sink: &str, path: PathBuf, store: Arc<dyn Store>) -> Self {
        Self { sink: sink.to_owned(), path, disk, store }
    }

    /// Looks whether [`recover`](Self::recover) finds the file as the checkpoint left it whose
    /// output is `committed`. Changes nothing. Spools of earlier versions are looked at when they
    /// are shown.
    ///
    /// # Errors
    /// It is not the file that was written before, or cannot be read.
    pub fn check(&self, committed: &[Transaction], marks: &Marks) -> io::Result<()> {
        let file = self.present()?;
        let mut length = file.as_ref().map_or(Ok(0), |file| file.length())?;
        let is_shown = |one: &&Transaction| one.file.is_some() && one.name().is_some();
        for transaction in self.of_sink(committed).filter(is_shown) {
            if !marks.has(transaction) {
                let open = || self.output(transaction);
                check_place(length, file.as_deref(), transaction, &open)?;
                length = length.max(end(transaction)?);
            } else if transaction.file == Some(self.file_name()) {
                check_visible(length, transaction)?;
            }
        }
        Ok(())
    }

    /// Completes the one transaction of which the file has a part: of `newest`, the last output
    /// that was committed, and about to be gone back from.
    ///
    /// It would never be completed otherwise, and what is written next would begin in the middle of
    /// a line. It is not cut off: a reader may have taken that part, and a file that becomes
    /// shorter is another file to it. All of the transaction is committed, and comes again as all
    /// that is committed after the checkpoint. An operator may cut it: the message says where.
    ///
    /// # Errors
    /// The file cannot be written, or the output is missing or damaged.
    pub fn complete(&self, newest: &[Transaction], marks: &Marks) -> io::Result<()> {
        let Some(file) = self.present()? else { return Ok(()) };
        let length = file.length()?;
        for one in self.of_sink(newest) {
            let is_here = one.name().is_some() && one.file == Some(self.file_name());
            if is_here && !marks.has(one) && one.offset < length && length <= end(one)? {
                self.show(one).map_err(|error| incomplete(&error, length, one))?;
            }
        }
        Ok(())
    }

    /// Opens the file as the checkpoint left it whose output is `committed`: writes what of it is
    /// not there yet. Output with a mark was visible. Returns where new output goes: to its end,
    /// or without a checkpoint to its beginning, unless `append` says to keep what is there. It is
    /// then to be [cleared](Self::clear) before anything is committed.
    ///
    /// # Errors
    /// The file or its folder cannot be written, it is not the file that was written before, or
    /// committed output is missing or damaged.
    pub fn recover(
        &self,
        checkpoint: bool,
        committed: &[Transaction],
        marks: &Marks,
        append: bool,
    ) -> io::Result<u64> {
        let file = self.disk.open(&self.path, Open::Write)?;
        // Its name has to last as long as what is committed in it.
        self.disk.sync(self.folder())?;
        for transaction in self.of_sink(committed) {
            match &transaction.file {
                // For a client, which has it.
                None => {}
                Some(_) if transaction.name().is_none() => self.show_spool(transaction)?,
                // It was visible in another file.
                Some(name) if marks.has(transaction) && *name != self.file_name() => {}
                Some(_) if marks.has(transaction) => check_visible(file.length()?, transaction)?,
                Some(_) => self.show(transaction)?,
            }
        }
        if checkpoint || append { file.length() } else { Ok(0) }
    }

    /// Whether the file can be [cleared](Self::clear), as far as that is known before.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn can_clear(&self) -> io::Result<()> {
        self.disk.open(&self.path, Open::Write).map(drop)
    }

    /// Makes the file empty, durably: its bytes must not come back after the first commit.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn clear(&self) -> io::Result<()> {
        let file = self.disk.open(&self.path, Open::Write)?;
        file.clear()?;
        file.sync()
    }

    /// Makes a committed transaction visible, durably, and marks it. It may have been visible.
    ///
    /// # Errors
    /// The file cannot be written, is not the one that was written before, or the output is
    /// missing or damaged.
    pub fn show(&self, transaction: &Transaction) -> io::Result<()> {
        self.put(transaction, &|| self.output(transaction))?;
        if let Some(mark) = transaction.name().and_then(Name::mark) {
            // Without it, it is written again at the next start, which changes nothing.
            let _ = self.store.mark(&mark);
        }
        Ok(())
    }

    /// The same for a spool of an earlier version: one that is gone was visible.
    fn show_spool(&self, transaction: &Transaction) -> io::Result<()> {
        let beside = self.folder();
        match Spool::find(transaction, beside)? {
            Some(spool) => {
                self.put(transaction, &|| spool.open(transaction))?;
                spool.shown(&self.file_name(), beside)
            }
            None if transaction.file.as_ref() == Some(&self.file_name()) => {
                let length = self.disk.open(&self.path, Open::Write)?.length()?;
                check_visible(length, transaction)
            }
            None => Ok(()),
        }
    }

    /// Writes what `open` reads to where it belongs.
    fn put(&self, transaction: &Transaction, open: &Opened<'_>) -> io::Result<()> {
        let from = open()?;
        let file = &*self.disk.open(&self.path, Open::Write)?;
        check_place(file.length()?, Some(file), transaction, open)?;
        let offset = transaction.offset;
        each_piece(from, |piece, done| file.write_at(piece, offset + done).map(|()| true))?;
        file.sync()
    }

    fn output(&self, transaction: &Transaction) -> io::Result<Box<dyn Read + Send>> {
        open_output(&*self.store, transaction).map_err(unreadable)
    }

    fn of_sink<'a>(&self, all: &'a [Transaction]) -> impl Iterator<Item = &'a Transaction> {
        all.iter().filter(|one| one.sink == self.sink)
    }

    /// The file, if it is there.
    fn present(&self) -> io::Result<Option<Box<dyn DiskFile>>> {
        match self.disk.length(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(_) => self.disk.open(&self.path, Open::Write).map(Some),
        }
    }

    /// Name of the file without its folder.
    pub fn file_name(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// Removes what an earlier version left beside the file, after [`recover`](Self::recover):
    /// nothing of it is committed.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn drop_spools(&self) -> io::Result<()> {
        spools::drop_left(&*self.disk, self.folder(), &self.file_name())
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        }
    }
}

/// Opens output that was checked.
type Opened<'a> = dyn Fn() -> io::Result<Box<dyn Read + Send>> + 'a;

/// Whether a file of this length may hold what was visible in it.
fn check_visible(length: u64, transaction: &Transaction) -> io::Result<()> {
    let end = end(transaction)?;
    // An empty one was put in its place after it was read: that is how logs are rotated.
    if length == 0 || length >= end { Ok(()) } else { Err(other(length, end, transaction)) }
}

/// Whether what `open` reads can be written to where it belongs in `file`, which is to have this
/// length: what is there already is it, or a part of it.
fn check_place(
    length: u64,
    file: Option<&dyn DiskFile>,
    transaction: &Transaction,
    open: &Opened<'_>,
) -> io::Result<()> {
    let (offset, end) = (transaction.offset, end(transaction)?);
    let differs = |file| same(open()?, file, offset).map(|same| !same);
    let is_other = match file {
        _ if length < offset => true,
        Some(file) if length > end => differs(file)?,
        _ => false,
    };
    if is_other { Err(other(length, offset, transaction)) } else { Ok(()) }
}

fn end(transaction: &Transaction) -> io::Result<u64> {
    let Transaction { object, offset, bytes, .. } = transaction;
    let too_far = || io::Error::new(ErrorKind::InvalidData, format!("{object} has no end"));
    offset.checked_add(*bytes).ok_or_else(too_far)
}

fn other(length: u64, committed: u64, transaction: &Transaction) -> io::Error {
    let lost = transaction.name().and_then(Name::mark).map_or_else(String::new, |mark| {
        format!(", or add an empty object {mark} to --state if what it had is lost for good")
    });
    io::Error::new(
        ErrorKind::InvalidData,
        format!(
            "it has {length} bytes, {committed} were committed, and they are not what was written: \
             another process has changed it; put the file back{lost}, or start with an empty \
             --state"
        ),
    )
}

/// Cause and remedy.
pub(super) fn with_remedy(error: &io::Error) -> String {
    match error.kind() {
        // It says what to do.
        ErrorKind::InvalidData => error.to_string(),
        _ => format!("{error}; {}", remedy::write(error)),
    }
}

fn incomplete(error: &io::Error, length: u64, transaction: &Transaction) -> io::Error {
    let Transaction { object, offset, bytes, .. } = transaction;
    io::Error::new(
        error.kind(),
        format!(
            "it has {} of {bytes} bytes of {object}, which is committed and has to be whole before \
             anything else is written (or cut the file to {offset} bytes, which readers may have \
             passed): {}",
            length - offset,
            with_remedy(error)
        ),
    )
}

/// Whether what is read `from` stands at `offset` of `to`.
fn same(from: impl Read, to: &dyn DiskFile, offset: u64) -> io::Result<bool> {
    let mut theirs = vec![0; COPY_BYTES];
    each_piece(from, |ours, done| {
        let theirs = &mut theirs[..ours.len()];
        to.read_at(theirs, offset + done)?;
        Ok(ours == theirs)
    })
}

/// Bytes that are copied or compared at once.
const COPY_BYTES: usize = 256 * 1024;

/// Calls `each` with each piece that is read, and where it begins, until it returns false; returns
/// what it returned last.
fn each_piece(
    mut from: impl Read,
    mut each: impl FnMut(&[u8], u64) -> io::Result<bool>,
) -> io::Result<bool> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut done = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(true),
            Ok(read) if !each(&buffer[..read], done)? => return Ok(false),
            Ok(read) => done += read as u64,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
