//! A file with its spools: brings committed output into it, and drops what was not committed.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::name::{SpoolName, name_of};
use crate::checkpoint::Transaction;
use crate::disk::{Disk, DiskFile, LocalDisk, Open};

/// A file with its spools.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name of the sink.
    pub sink: String,
    /// The file.
    pub path: PathBuf,
    /// The folder of its spools as manifests name it: absolute, or relative to the state folder.
    recorded: PathBuf,
    disk: Arc<dyn Disk>,
}

/// Folder in the state folder in which spools of clients lie. A manifest names them from here on,
/// so they are found wherever the state folder is.
pub(super) const IN_STATE: &str = "sinks";

/// A spool that is there.
struct Found {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    /// It lies beside the file and has its name: it belongs to the sink, and is removed when it is
    /// visible. Any other may belong to the application from which this state was copied.
    ours: bool,
}

impl Target {
    /// The file at `path` of this machine, for `sink`.
    pub fn new(sink: &str, path: PathBuf) -> Self {
        Self::on(Arc::new(LocalDisk), sink, path)
    }

    /// The file at `path` of `disk`, for `sink`.
    pub fn on(disk: Arc<dyn Disk>, sink: &str, path: PathBuf) -> Self {
        let recorded = std::path::absolute(folder(&path)).unwrap_or_else(|_| folder(&path).into());
        Self { sink: sink.to_owned(), path, recorded, disk }
    }

    /// The spools in the folder `state` for `sink`, whose output goes to a client.
    pub fn in_state(state: &Path, sink: &str) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let spelt = |byte: u8| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("-{byte:02x}"),
        };
        // Each name has its own.
        let name = sink.bytes().map(spelt).collect::<String>();
        let (path, recorded) = (state.join(IN_STATE).join(name), PathBuf::from(IN_STATE));
        Self { sink: sink.to_owned(), path, recorded, disk: Arc::new(LocalDisk) }
    }

    /// Opens the file as the checkpoint left it whose prepared output is `committed`: writes what
    /// of it is not there yet. What was not committed is to be [dropped](Self::drop_spools) when
    /// nothing else can fail: the operator may have meant another state. Returns
    /// where new output goes: to its end, or without a checkpoint to its beginning, unless `append`
    /// says to keep what is there. It is then to be [cleared](Self::clear) before anything is
    /// committed.
    ///
    /// # Errors
    /// The file or its folder cannot be written, it is not the file that was written before, or
    /// committed output is damaged.
    pub fn recover(
        &self,
        checkpoint: bool,
        committed: &[Transaction],
        append: bool,
    ) -> io::Result<u64> {
        let file = self.disk.open(&self.path, Open::Write)?;
        // Its name has to last as long as what is committed in it.
        self.disk.sync(self.folder())?;
        for transaction in committed {
            if self.is_of(transaction)? {
                self.show(transaction)?;
            }
        }
        if checkpoint || append { file.length() } else { Ok(0) }
    }

    /// Drops all spools beside the file, after [`recover`](Self::recover): none is committed.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn drop_spools(&self) -> io::Result<()> {
        self.spools()?.iter().try_for_each(|spool| self.disk.remove(spool))
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

    /// Makes a committed transaction visible, durably. Its spool is removed after that: one that
    /// is there is written again, however long the file is; one that is gone was visible.
    ///
    /// # Errors
    /// The file cannot be written, is not the one that was written before, or the spool is damaged.
    pub fn show(&self, transaction: &Transaction) -> io::Result<()> {
        let Transaction { offset, bytes, .. } = *transaction;
        let end = offset.checked_add(bytes).ok_or_else(|| no_spool(&transaction.spool))?;
        let found = self.find(transaction)?;
        if let Some(found) = &found {
            check(&*found.file, &found.path, transaction)?;
        }
        let file = &*self.disk.open(&self.path, Open::Write)?;
        let length = file.length()?;
        let Some(Found { path, file: from, ours }) = found else {
            // An empty one was put in its place after it was read: that is how logs are rotated.
            let visible = length == 0 || length >= end;
            return if visible { Ok(()) } else { Err(other(length, end)) };
        };
        if length < offset || (length > end && !same(&*from, bytes, file, offset)?) {
            return Err(other(length, offset));
        }
        copy(&*from, bytes, file, offset)?;
        file.sync()?;
        if ours { self.disk.remove(&path) } else { Ok(()) }
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

    /// The client has the transaction of this spool: the spool becomes an empty file whose name has
    /// the id of the transaction, in place of `before`. Returns its path.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn take(&self, spool: &Path, before: Option<&Path>) -> io::Result<Option<PathBuf>> {
        let text = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
        let name = text(spool).unwrap_or_default();
        let name = SpoolName::parse(&name).ok_or_else(|| no_spool(&name))?;
        let (taken, kept) = (spool.with_file_name(name.taken()), before.map(Path::to_owned));
        let before_name = before.and_then(text).unwrap_or_default();
        if SpoolName::parse_taken(&before_name).is_some_and(|before| before.is_after(&name)) {
            return absent_is_fine(self.disk.remove(spool)).map(|()| kept);
        }
        match self.disk.rename(spool, &taken) {
            // The name counts. If the bytes stay, they go with the next one.
            Ok(()) => drop(self.disk.open(&taken, Open::Write).and_then(|file| file.clear())),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(kept),
            Err(error) => return Err(error),
        }
        absent_is_fine(before.map_or(Ok(()), |before| self.disk.remove(before)))?;
        Ok(Some(taken))
    }

    /// What is left of the spools that the client has had, the last one at the end.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn taken(&self) -> io::Result<Vec<PathBuf>> {
        let numbers = |path: &PathBuf| {
            let name = path.file_name()?.to_str()?;
            let name = SpoolName::parse_taken(name)?;
            (name.file == self.file_name()).then_some((name.generation, name.number))
        };
        let mut paths = self.disk.list(self.folder())?;
        paths.retain(|path| numbers(path).is_some());
        paths.sort_by_key(numbers);
        Ok(paths)
    }

    /// Whether a committed transaction has something to do with this target: not what was spooled
    /// for another kind of address, or made visible in another file, before the sink got this one.
    ///
    /// # Errors
    /// It names no spool, or the system refuses.
    pub fn is_of(&self, transaction: &Transaction) -> io::Result<bool> {
        let spool = Path::new(&transaction.spool);
        if transaction.sink != self.sink {
            return Ok(false);
        }
        let name = SpoolName::parse(name_of(&transaction.spool));
        let name = name.ok_or_else(|| no_spool(&transaction.spool))?;
        if self.recorded.is_relative() {
            // Earlier versions wrote the whole path, and no digest.
            let older = transaction.digest.is_none();
            let made = spool.parent().is_some_and(|made| {
                made == self.recorded || (older && made.ends_with(&self.recorded))
            });
            return Ok(made && name.file == self.file_name());
        }
        let of_file = !spool.starts_with(IN_STATE);
        Ok(of_file && (name.file == self.file_name() || self.find(transaction)?.is_some()))
    }

    /// Where the spool of a transaction lies beside the file.
    ///
    /// # Errors
    /// It names no spool, or one of another file.
    pub fn beside(&self, transaction: &Transaction) -> io::Result<PathBuf> {
        let name = name_of(&transaction.spool);
        match SpoolName::parse(name) {
            Some(of) if of.file == self.file_name() => Ok(self.folder().join(name)),
            _ => Err(no_spool(&transaction.spool)),
        }
    }

    /// Opens the spool of a transaction: that beside the file, else the one where it was made,
    /// which is read only: the sink has another address than before, or its state was copied.
    fn find(&self, transaction: &Transaction) -> io::Result<Option<Found>> {
        let name = name_of(&transaction.spool);
        let of = SpoolName::parse(name).ok_or_else(|| no_spool(&transaction.spool))?;
        let beside = self.folder().join(name);
        if let Some(file) = self.open(&beside)? {
            return Ok(Some(Found { path: beside, file, ours: of.file == self.file_name() }));
        }
        let path = PathBuf::from(&transaction.spool);
        let made = if path.is_absolute() { self.open(&path)? } else { None };
        Ok(made.map(|file| Found { path, file, ours: false }))
    }

    fn open(&self, spool: &Path) -> io::Result<Option<Box<dyn DiskFile>>> {
        match self.disk.open(spool, Open::Read) {
            Ok(file) => Ok(Some(file)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(named(spool, &error)),
        }
    }

    /// All spools beside the file that have its name.
    pub(super) fn spools(&self) -> io::Result<Vec<PathBuf>> {
        let file = self.file_name();
        let is_spool = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // Not that of another sink, whose name begins with ours.
            SpoolName::parse(name).is_some_and(|name| name.file == file)
        };
        let mut paths = self.disk.list(self.folder())?;
        paths.retain(is_spool);
        Ok(paths)
    }

    /// Name of the file, which is part of the names of its spools.
    pub(super) fn file_name(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// A spool of this target as manifests name it.
    pub(super) fn record(&self, spool: &str) -> String {
        self.recorded.join(spool).to_string_lossy().into_owned()
    }

    /// Where all of it lies.
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The folder in which its spools lie.
    pub fn folder(&self) -> &Path {
        folder(&self.path)
    }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Whether `file`, the spool at `path`, holds what was committed.
///
/// # Errors
/// It is damaged (`InvalidData`), or cannot be read.
pub fn check(file: &dyn DiskFile, path: &Path, transaction: &Transaction) -> io::Result<()> {
    let Transaction { bytes, digest, .. } = *transaction;
    let length = file.length().map_err(|error| named(path, &error))?;
    if length < bytes {
        return Err(damaged(path, &format!("it has {length} bytes, and {bytes} were committed")));
    }
    // Earlier versions made none.
    let Some(digest) = digest else { return Ok(()) };
    let mut made = Xxh3::new();
    each_piece(bytes, |piece, offset| {
        file.read_at(piece, offset).map_err(|error| named(path, &error))?;
        made.update(piece);
        Ok(true)
    })?;
    let fits = made.digest128() == digest;
    if fits { Ok(()) } else { Err(damaged(path, "its digest does not fit")) }
}

fn damaged(path: &Path, damage: &str) -> io::Error {
    let text = format!(
        "{} holds committed output and cannot be used: {damage}; put it back from a copy, or go \
         back to an older checkpoint with --restore EPOCH (`potoroo checkpoint list` names them)",
        path.display()
    );
    io::Error::new(ErrorKind::InvalidData, text)
}

/// What a manifest names is never opened unless it looks like a spool.
pub(super) fn no_spool(spool: &str) -> io::Error {
    let text = format!(
        "the checkpoint names {spool:?} as committed output of this sink, and no spool of it has \
         that name: use a state folder that Potoroo has written"
    );
    io::Error::new(ErrorKind::InvalidData, text)
}

pub(super) fn other(length: u64, committed: u64) -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        format!(
            "it has {length} bytes, {committed} were committed, and they are not what was written: \
             another process has changed it; put the file back, or start with an empty --state"
        ),
    )
}

pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The error with the path, and its kind as it is.
pub(super) fn named(path: &Path, error: &io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => damaged(path, "it was cut off"),
        kind => io::Error::new(kind, format!("{}: {error}", path.display())),
    }
}

/// Whether the first `bytes` of `from` stand at `offset` of `to`.
fn same(from: &dyn DiskFile, bytes: u64, to: &dyn DiskFile, offset: u64) -> io::Result<bool> {
    let mut theirs = vec![0; COPY_BYTES];
    each_piece(bytes, |ours, done| {
        let theirs = &mut theirs[..ours.len()];
        from.read_at(ours, done)?;
        to.read_at(theirs, offset + done)?;
        Ok(ours == theirs)
    })
}

/// Copies the first `bytes` of `from` to `offset` of `to`.
fn copy(from: &dyn DiskFile, bytes: u64, to: &dyn DiskFile, offset: u64) -> io::Result<()> {
    let copied = each_piece(bytes, |piece, done| {
        from.read_at(piece, done)?;
        to.write_at(piece, offset + done)?;
        Ok(true)
    });
    copied.map(drop)
}

/// Bytes that are copied, compared or digested at once.
const COPY_BYTES: usize = 256 * 1024;

/// Calls `each` with a buffer for each piece of `bytes`, and where the piece begins, until it
/// returns false; returns what it returned last.
pub(super) fn each_piece(
    bytes: u64,
    mut each: impl FnMut(&mut [u8], u64) -> io::Result<bool>,
) -> io::Result<bool> {
    let mut buffer = vec![0; bytes.min(COPY_BYTES as u64) as usize];
    let mut done = 0;
    while done < bytes {
        let piece = (bytes - done).min(buffer.len() as u64) as usize;
        if !each(&mut buffer[..piece], done)? {
            return Ok(false);
        }
        done += piece as u64;
    }
    Ok(true)
}
