//! HEAD in a folder: each swap links one more file `HEAD-<number>`, and the newest counts.
//!
//! ```text
//!   tmp-… synced ─► linked to HEAD-<newest + 1> ─► read again: mine? ─► folder synced: the commit
//! ```
//!
//! Linking never replaces a name, so of several processes exactly one makes each number. Whether it
//! was this one is decided by what the newest says, not by the answer to the call: an answer may be
//! lost, and a process that slept while its number was made and removed can link it once more. No
//! older number stays: if the newest is lost, nothing seems to be the last commit in its place.
//!
//! `HEAD` itself is what versions before had, which replaced it. Before the first number is linked
//! it is written once more, in a format that those versions refuse: they never commit after this
//! one did. It counts while there is no number, and then says nothing.
//!
//! Must never do: go back to an older number because the newest is damaged. What was committed
//! since would be written twice; that needs the operator's word.

use std::io::{self, Read};
use std::sync::Arc;

use super::files::Files;
use super::upload::FileUpload;
use crate::checkpoint::store::{Error, Head};
use crate::checkpoint::{CorruptObject, Damage};

const HEAD: &str = "HEAD";

/// A longer HEAD is damaged: memory stays bounded.
const HEAD_BYTES_MAX: u64 = 64 * 1024;

/// How often a reader lists again because the file was removed before it was opened: as often, HEAD
/// was swapped in between.
const LISTS_MAX: usize = 100;

/// The newest HEAD.
pub struct Newest {
    /// Its number; 0 while there is none.
    number: u64,
    pub head: Option<Head>,
}

/// The HEAD that counts.
///
/// # Errors
/// It is damaged, or the folder cannot be read.
pub fn newest(files: &Files) -> Result<Newest, Error> {
    let mut lists = 1;
    loop {
        let number = numbers(files)?.into_iter().max().unwrap_or(0);
        match read(files, number) {
            // It was removed since: there are newer ones.
            Err(Error::Missing { .. }) if number > 0 && lists < LISTS_MAX => lists += 1,
            Err(Error::Missing { .. }) if number == 0 => return Ok(Newest { number, head: None }),
            // The fence of a folder that never had a coordinator.
            read => {
                let head = Some(read?).filter(|head| number > 0 || *head != Head::default());
                return Ok(Newest { number, head });
            }
        }
    }
}

/// Swaps HEAD from `expected` to `new`.
///
/// # Errors
/// As of [`Store::swap_head`](crate::checkpoint::store::Store::swap_head).
pub fn swap(files: &Arc<Files>, expected: Option<&Head>, new: &Head) -> Result<(), Error> {
    let found = newest(files)?;
    if found.head.as_ref() == Some(new) {
        return settle(files);
    }
    if found.head.as_ref() != expected {
        return Err(overtaken(expected, found.head));
    }
    if found.number == 0 {
        fence(files, &expected.cloned().unwrap_or_default())?;
    }
    let number = found.number.checked_add(1).ok_or_else(|| {
        let text = "it is the last number that there is: remove the file, which is none of ours";
        Error::io("follow", files.shown(&name(u64::MAX)), io::Error::other(text))
    })?;
    let linked = with_reserve(files, || link(files, number, new));
    match (newest(files), linked) {
        (Ok(Newest { head: Some(head), .. }), _) if head == *new => settle(files)?,
        (Ok(now), Ok(()) | Err(Error::Taken { .. })) => return Err(overtaken(expected, now.head)),
        (Err(unread), Ok(())) => {
            let (object, cause) =
                (files.shown(&name(number)), io::Error::other(unread.to_string()));
            return Err(Error::Unclear { object, cause });
        }
        (_, Err(error)) => return Err(error),
    }
    if found.number == 0 && expected.is_some() {
        // Were all numbers lost, it would seem to be the last commit. It is none without this, too.
        let _ = fence(files, &Head::default());
    }
    forget(files, number);
    // A disk that is full now had room before.
    let _ = files.reserve();
    Ok(())
}

/// What was linked stays.
fn settle(files: &Files) -> Result<(), Error> {
    files.sync().map_err(|cause| Error::Unclear { object: files.shown(HEAD), cause })
}

/// Has versions before refuse the folder, in which they would read `head` in the file `HEAD`.
fn fence(files: &Arc<Files>, head: &Head) -> Result<(), Error> {
    let failed = |error| Error::io("write", files.shown(HEAD), error);
    with_reserve(files, || {
        let mut upload = FileUpload::begin(files, HEAD)?;
        upload.write_all(&head.write_numbered(0))?;
        upload.replace()
    })?;
    // Before a number that they do not know of is there.
    files.sync().map_err(failed)
}

fn link(files: &Arc<Files>, number: u64, head: &Head) -> Result<(), Error> {
    let mut upload = FileUpload::begin(files, &name(number))?;
    upload.write_all(&head.write_numbered(number))?;
    upload.link()
}

/// Does `write`, on a full disk in the room that was set aside for it.
fn with_reserve(files: &Files, write: impl Fn() -> Result<(), Error>) -> Result<(), Error> {
    loop {
        match write() {
            Err(error) if error.is_full() && files.release() => {}
            written => return written,
        }
    }
}

/// Removes the files of older numbers.
fn forget(files: &Files, newest: u64) {
    let Ok(numbers) = numbers(files) else { return };
    for number in numbers.into_iter().filter(|number| *number < newest) {
        // The next swap tries again, and another process may be faster.
        let _ = files.remove(&name(number));
    }
}

fn overtaken(expected: Option<&Head>, found: Option<Head>) -> Error {
    let (expected, found) = (expected.cloned().map(Box::new), found.map(Box::new));
    Error::Overtaken { expected, found }
}

fn read(files: &Files, number: u64) -> Result<Head, Error> {
    let name = name(number);
    let failed = |error| Error::io("read", files.shown(&name), error);
    let file = files.open(&name).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(HEAD_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    let head = match Head::parse(&bytes) {
        // As a version before has written it.
        Ok(head) if number == 0 => Ok(head),
        Err(error) if number == 0 && !matches!(error.damage, Damage::Newer { .. }) => Err(error),
        _ => Head::parse_numbered(&bytes, number),
    };
    let named = |corrupt| CorruptObject { object: files.shown(&name), ..corrupt };
    Ok(head.map_err(named)?)
}

fn numbers(files: &Files) -> Result<Vec<u64>, Error> {
    let names = files.names().map_err(|error| Error::io("list", files.shown(""), error))?;
    Ok(names.iter().filter_map(|name| number(name)).collect())
}

fn name(number: u64) -> String {
    if number == 0 { HEAD.to_owned() } else { format!("{HEAD}-{number:020}") }
}

/// Accepts only the canonical spelling.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.strip_prefix("HEAD-")?.parse().ok()?;
    Some(number).filter(|number| *number > 0 && name(*number) == text)
}
