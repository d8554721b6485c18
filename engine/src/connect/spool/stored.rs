//! The contents of spools, for callers that have a manifest and no sink: the start, before
//! addresses count, and the tool that verifies checkpoints. Reads only.

use std::io;
use std::path::{Path, PathBuf};

use super::name::{SpoolName, name_of};
use super::target::{IN_STATE, check, is_absent, named, no_spool, other};
use crate::checkpoint::{Manifest, Transaction};
use crate::disk::{Disk, LocalDisk, Open};

/// The spool of a transaction whose output was not delivered yet, in the state folder `state` if it
/// is for a client. `None` after the delivery, which removes the spool.
pub fn outstanding(transaction: &Transaction, state: &Path) -> Option<PathBuf> {
    let path = path(transaction, state)?;
    // A link is no spool.
    path.symlink_metadata().is_ok_and(|facts| facts.is_file()).then_some(path)
}

/// Reads the spool of a transaction of a checkpoint in the state folder `state`. Returns its
/// bytes: 0 if it is gone, as it is when its output is visible. Spools of older checkpoints may all
/// be gone; the `last` one has what was delivered to clients.
///
/// # Errors
/// It is damaged, or it is gone and the output is not visible.
pub fn verify(transaction: &Transaction, state: &Path, last: Option<&Manifest>) -> io::Result<u64> {
    let path = path(transaction, state).ok_or_else(|| no_spool(&transaction.spool))?;
    match LocalDisk.open(&path, Open::Read) {
        Ok(file) => check(&*file, &path, transaction).map(|()| transaction.bytes),
        Err(error) if is_absent(&error) => {
            let Some(last) = last else { return Ok(0) };
            visible(transaction, &path, last).map(|()| 0)
        }
        Err(error) => Err(named(&path, &error)),
    }
}

/// Whether output whose spool is gone may be visible in the file for which it waited, or at its
/// client.
fn visible(transaction: &Transaction, spool: &Path, last: &Manifest) -> io::Result<()> {
    let Transaction { offset, bytes, .. } = *transaction;
    let name = SpoolName::parse(name_of(&transaction.spool));
    let name = name.ok_or_else(|| no_spool(&transaction.spool))?;
    let missing = |text: String| {
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("{} is missing{text}", spool.display()),
        ))
    };
    if Path::new(&transaction.spool).starts_with(IN_STATE) {
        // The number of the folder is the same for all.
        let delivered = last.delivered_to(&transaction.sink) & u128::from(u64::MAX);
        let delivered = delivered.max(taken(&name, spool)?);
        let is_there = name.id(0).is_some_and(|id| id <= delivered);
        let remedy = "and its client does not have it: put it back from a copy, or go back to an \
                      older checkpoint with --restore EPOCH (`potoroo checkpoint list` names them)";
        return if is_there { Ok(()) } else { missing(format!(", {remedy}")) };
    }
    let file = spool.with_file_name(name.file);
    let (length, end) =
        (file.metadata().map_or(0, |facts| facts.len()), offset.saturating_add(bytes));
    if length == 0 || length >= end {
        // An empty or absent one was put in its place after it was read.
        return Ok(());
    }
    let other = other(length, end);
    missing(format!(", and its output is not in {}: {other}", file.display()))
}

/// The last one of the spools with the name of this one that its client has.
fn taken(of: &SpoolName<'_>, spool: &Path) -> io::Result<u128> {
    let folder = spool.parent().unwrap_or(Path::new("."));
    let mut last = 0;
    let files = match LocalDisk.list(folder) {
        Err(error) if is_absent(&error) => Vec::new(),
        listed => listed?,
    };
    for path in files {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let taken = SpoolName::parse_taken(name).filter(|name| name.file == of.file);
        last = taken.and_then(|name| name.id(0)).unwrap_or(0).max(last);
    }
    Ok(last)
}

fn path(transaction: &Transaction, state: &Path) -> Option<PathBuf> {
    SpoolName::parse(name_of(&transaction.spool))?;
    let spool = Path::new(&transaction.spool);
    Some(if spool.starts_with(IN_STATE) { state.join(spool) } else { spool.to_owned() })
}
