//! What lies in spools, for whoever has a manifest and knows no sink: at a start, before addresses
//! count, and for the tool that verifies checkpoints. Reads only.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, LocalDisk, Open};
use super::name::{SpoolName, name_of};
use super::target::{IN_STATE, check, is_absent, named, no_spool, other};
use crate::checkpoint::Transaction;

/// Where committed output waits that is still to be brought to where it belongs, in the state
/// folder `state` if it is for a client: its spool is removed after that.
pub fn is_outstanding(transaction: &Transaction, state: &Path) -> Option<PathBuf> {
    let path = path(transaction, state)?;
    // A link is no spool.
    path.symlink_metadata().is_ok_and(|facts| facts.is_file()).then_some(path)
}

/// Reads the spool of a transaction of a checkpoint in the state folder `state`, which is the
/// `last` one or not. Returns its bytes: none if it is gone, as those of older checkpoints are,
/// and those whose output is visible.
///
/// # Errors
/// It is damaged, or it is gone and the output is not visible.
pub fn verify(transaction: &Transaction, state: &Path, last: bool) -> io::Result<u64> {
    let path = path(transaction, state).ok_or_else(|| no_spool(&transaction.spool))?;
    match LocalDisk.open(&path, Open::Read) {
        Ok(file) => check(&*file, &path, transaction).map(|()| transaction.bytes),
        Err(error) if is_absent(&error) => match last {
            true => visible(transaction, &path).map(|()| 0),
            false => Ok(0),
        },
        Err(error) => Err(named(&path, &error)),
    }
}

/// Whether output whose spool is gone may be visible in the file for which it waited.
fn visible(transaction: &Transaction, spool: &Path) -> io::Result<()> {
    let Transaction { offset, bytes, .. } = *transaction;
    if Path::new(&transaction.spool).starts_with(IN_STATE) {
        return Ok(());
    }
    let name = SpoolName::parse(name_of(&transaction.spool));
    let file = name.map(|name| spool.with_file_name(name.file)).unwrap_or_default();
    let (length, end) = (file.metadata().map_or(0, |facts| facts.len()), offset + bytes);
    if length == 0 || length >= end {
        // An empty or absent one was put in its place after it was read.
        return Ok(());
    }
    let (path, other) = (spool.display(), other(length, end));
    let text = format!("{path} is missing, and its output is not in {}: {other}", file.display());
    Err(io::Error::new(io::ErrorKind::NotFound, text))
}

fn path(transaction: &Transaction, state: &Path) -> Option<PathBuf> {
    SpoolName::parse(name_of(&transaction.spool))?;
    let spool = Path::new(&transaction.spool);
    Some(if spool.starts_with(IN_STATE) { state.join(spool) } else { spool.to_owned() })
}
