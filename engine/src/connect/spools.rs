//! Spools: where versions before manifest 4 kept output until it was shown.
//!
//! ```text
//!   beside the file             .FILE.GENERATION-NUMBER.spool
//!   in the state folder  sinks/ .SINK.GENERATION-NUMBER.spool    .SINK.GENERATION-NUMBER.taken
//! ```
//!
//! A start takes over what its checkpoint names: spools of files are shown, those of clients become
//! objects of the store. Nothing else knows of them. Promises: a manifest is untrusted input: what
//! it names is used only if it is a regular file with the name of a spool; the spool of a client
//! stays while a checkpoint that can be gone back to may name it. Must never do: write one.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::checkpoint::store::{Head, Name, NameKind, Store, draw};
use crate::checkpoint::{
    Delivered, Epoch, Manifest, Past, Transaction, check_output, first_id, history, unreadable,
};
use crate::disk::{Disk, DiskReader, LocalDisk, Open};

const SPOOL: &str = ".spool";

/// What is left of the last one that a client has.
const TAKEN: &str = ".taken";

/// Folder in the state folder for those of clients.
const IN_STATE: &str = "sinks";

/// A spool that is there.
pub struct Spool {
    path: PathBuf,
}

impl Spool {
    /// The spool of a transaction: that in the folder `beside`, else the one where it was made.
    ///
    /// # Errors
    /// The manifest names no spool.
    pub fn find(transaction: &Transaction, beside: &Path) -> io::Result<Option<Self>> {
        SpoolName::of(transaction)?;
        let made = PathBuf::from(&transaction.object);
        let beside = beside.join(last(&transaction.object));
        let found = [beside, made].into_iter().find(|path| is_file(path));
        Ok(found.map(|path| Self { path }))
    }

    /// Opens it, after all of it was read and its digest compared.
    ///
    /// # Errors
    /// It is damaged, or cannot be read.
    pub fn open(&self, transaction: &Transaction) -> io::Result<Box<dyn Read + Send>> {
        let object = self.path.display().to_string();
        let open = || LocalDisk.open(&self.path, Open::Read).and_then(DiskReader::new);
        check_output(&object, open()?, transaction, |_| ()).map_err(unreadable)?;
        Ok(Box::new(open()?.take(transaction.bytes)))
    }

    /// It is visible in `file` of the folder `beside`. One that lies elsewhere, or has another
    /// name, may belong to the application from which this state was copied.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn shown(self, file: &str, beside: &Path) -> io::Result<()> {
        let path = self.path.to_string_lossy();
        let name = SpoolName::parse(last(&path), SPOOL);
        let ours = self.path.parent() == Some(beside) && name.is_some_and(|name| name.file == file);
        if ours { LocalDisk.remove(&self.path) } else { Ok(()) }
    }
}

/// Removes all spools of `file` in `folder`.
///
/// # Errors
/// The folder cannot be read or written.
pub fn drop_left(disk: &dyn Disk, folder: &Path, file: &str) -> io::Result<()> {
    for path in disk.list(folder)? {
        let text = path.to_string_lossy();
        // Not that of another sink, whose name begins with ours.
        if SpoolName::parse(last(&text), SPOOL).is_some_and(|name| name.file == file) {
            disk.remove(&path)?;
        }
    }
    Ok(())
}

/// Makes objects of `store` from the spools of clients in the folder `state` that `manifest` names,
/// and notes what clients have; HEAD is `head`. The spools stay until no retained checkpoint names
/// one. Where one is missing or damaged there is no object, and delivery finds out whether the
/// client has it.
///
/// # Errors
/// The storage cannot be read or written.
pub fn adopt(
    store: &dyn Store,
    (state, head): (Option<&Path>, &Head),
    manifest: &mut Manifest,
) -> io::Result<()> {
    let folder = state.map_or_else(PathBuf::new, |state| state.join(IN_STATE));
    let taken = taken(&folder, head.folder)?;
    for transaction in manifest.transactions.iter_mut().filter(|one| one.name().is_none()) {
        let name = SpoolName::of(transaction)?;
        let (file, object) = (name.file.to_owned(), name.object());
        let spool = folder.join(last(&transaction.object));
        if !is_of_client(transaction, &spool) {
            transaction.file = Some(file);
            continue;
        }
        let id = name.id(head.folder).ok_or_else(|| no_spool(&transaction.object))?;
        let of_sink = manifest.delivered.iter().find(|one| one.sink == transaction.sink);
        let mut had = of_sink.map_or(0, |one| one.transaction);
        // A later one is of an epoch from which was gone back. The client had this one before it.
        if taken.get(&file).is_some_and(|taken| id <= *taken) {
            had = had.max(id);
        }
        if id > had {
            make_object(store, transaction, Spool { path: spool }, &object)?;
        } else if let Some(mark) = object.mark() {
            // Without it, the manifest has what is delivered. On a full disk there may be no room.
            let _ = store.mark(&mark);
        }
        transaction.object = object.to_string();
        let sink = transaction.sink.clone();
        manifest.delivered.retain(|one| one.sink != sink);
        manifest.delivered.push(Delivered { sink, transaction: had });
    }
    clear(store, &folder, head)
}

/// Whether it was made for a client. Earlier versions wrote the whole path, and no digest.
fn is_of_client(transaction: &Transaction, spool: &Path) -> bool {
    let made = Path::new(&transaction.object);
    let older =
        transaction.digest.is_none() && made.parent().is_some_and(|at| at.ends_with(IN_STATE));
    made.starts_with(IN_STATE) || (older && is_file(spool))
}

/// By the name of spools: the last one that its client has.
fn taken(folder: &Path, state: u64) -> io::Result<BTreeMap<String, u128>> {
    let mut taken = BTreeMap::new();
    for path in list(folder)? {
        let path = path.to_string_lossy();
        let name = SpoolName::parse(last(&path), TAKEN);
        if let Some((name, id)) = name.and_then(|name| Some((name, name.id(state)?))) {
            let had: &mut u128 = taken.entry(name.file.to_owned()).or_default();
            *had = id.max(*had);
        }
    }
    Ok(taken)
}

fn make_object(
    store: &dyn Store,
    transaction: &Transaction,
    spool: Spool,
    object: &Name,
) -> io::Result<()> {
    let object = object.to_string();
    let opened = match is_file(&spool.path) {
        true => spool.open(transaction),
        false => Err(io::Error::new(ErrorKind::InvalidData, "it is missing")),
    };
    let mut from = match opened {
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            let (sink, path) = (&transaction.sink, spool.path.display());
            tracing::warn!(
                "sink `{sink}`: {path} cannot be taken over as {object}: {error}; unless its \
                 client has it, stop and put it back from a copy"
            );
            return Ok(());
        }
        opened => opened?,
    };
    // On a full disk, there is no room for a copy.
    if store.link(&spool.path, &object).map_err(unreadable)? {
        return Ok(());
    }
    let mut upload = store.create(&object).map_err(unreadable)?;
    io::copy(&mut from, &mut upload)?;
    upload.finish().map_err(unreadable)
}

/// Removes all spools, and what is left of them, when no retained checkpoint can name one.
fn clear(store: &dyn Store, folder: &Path, head: &Head) -> io::Result<()> {
    let left = list(folder)?;
    if !left.is_empty() && history(store, Some(head)).map_err(unreadable)?.iter().any(may_name) {
        return Ok(());
    }
    for path in left {
        let name = path.to_string_lossy();
        if [SPOOL, TAKEN].iter().any(|kind| SpoolName::parse(last(&name), kind).is_some()) {
            LocalDisk.remove(&path)?;
        }
    }
    // Whatever else is in it stays.
    let _ = std::fs::remove_dir(folder);
    Ok(())
}

/// Whether a checkpoint names a spool, as far as it can be read.
fn may_name(past: &Past) -> bool {
    let Ok(manifest) = &past.manifest else { return true };
    manifest.transactions.iter().any(|one| one.name().is_none())
}

fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match folder.is_dir() {
        true => LocalDisk.list(folder),
        false => Ok(Vec::new()),
    }
}

/// A link is no spool.
fn is_file(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|facts| facts.is_file())
}

/// Whether the output of a transaction waits in a spool, in the folder `state` if it is for a
/// client.
pub fn waits(transaction: &Transaction, state: &Path) -> bool {
    let made = Path::new(&transaction.object);
    let path = if made.starts_with(IN_STATE) { state.join(made) } else { made.to_owned() };
    SpoolName::of(transaction).is_ok() && is_file(&path)
}

/// Reads the spool of a transaction of a checkpoint in the folder `state`. One that is gone was
/// shown.
///
/// # Errors
/// It is damaged, or cannot be read.
pub fn verify(transaction: &Transaction, state: &Path) -> io::Result<()> {
    if !waits(transaction, state) {
        return SpoolName::of(transaction).map(drop);
    }
    // An absolute path stays as it is.
    Spool { path: state.join(&transaction.object) }.open(transaction).map(drop)
}

/// A path without its folder.
fn last(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn no_spool(name: &str) -> io::Error {
    let text = format!(
        "the checkpoint names {name:?} as committed output of this sink, and no output has that \
         name: use a state folder that Potoroo has written"
    );
    io::Error::new(ErrorKind::InvalidData, text)
}

/// The parts of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SpoolName<'a> {
    file: &'a str,
    generation: u64,
    number: u32,
}

impl<'a> SpoolName<'a> {
    /// Takes the name of a spool apart, which ends with `kind`. Names are accepted in the canonical
    /// spelling only, and never with a folder.
    fn parse(name: &'a str, kind: &str) -> Option<Self> {
        let (file, numbers) = name.strip_prefix('.')?.strip_suffix(kind)?.rsplit_once('.')?;
        let (generation, number) = numbers.split_once('-')?;
        let (generation, number) = (generation.parse().ok()?, number.parse().ok()?);
        let canonical = format!(".{file}.{generation}-{number}{kind}") == name;
        let is_one = !file.is_empty() && !file.contains('/') && canonical;
        is_one.then_some(Self { file, generation, number })
    }

    fn of(transaction: &'a Transaction) -> io::Result<Self> {
        let spool = &transaction.object;
        Self::parse(last(spool), SPOOL).ok_or_else(|| no_spool(spool))
    }

    /// The id of its transaction, in the state with this random number; `None` beyond what fits.
    fn id(&self, state: u64) -> Option<u128> {
        let generation = u32::try_from(self.generation).ok()?;
        Some(first_id(state, generation.into()) | u128::from(self.number))
    }

    /// The object that it becomes, with the same numbers: they are the id by which a client knows
    /// the transaction.
    fn object(&self) -> Name {
        let (generation, epoch) = (self.generation, Epoch(self.number));
        Name { generation, epoch, kind: NameKind::Output(0), random: draw() }
    }
}

#[cfg(test)]
mod tests;
