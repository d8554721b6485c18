//! The record of the state before, on the disk of the host.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags, fsync, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::step::Step;
use crate::root::Root;

/// Why nothing was applied or reverted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state before is that of an earlier `apply`.
    #[error("{steps} settings are applied already: `potoroo-tuning revert` restores them first")]
    Applied {
        /// How many are recorded.
        steps: usize,
    },
    /// Another process changes the host now.
    #[error("another potoroo-tuning is changing this host: wait until it has ended")]
    Busy,
    /// The record was written by another program, or damaged.
    #[error(
        "{path} is not understood ({reason}): restore the host by hand or start it anew, then \
             remove the file"
    )]
    Odd {
        /// Where it lies.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The record cannot be kept.
    #[error("{path}: {error}{}", remedy(.error))]
    Store {
        /// The file or folder.
        path: String,
        /// What the system says.
        error: io::Error,
    },
    /// The watcher ended it.
    #[error("ended before it was finished; `potoroo-tuning revert` restores what was changed")]
    Ended(#[from] io::Error),
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => ": changing a host needs root",
        _ => "",
    }
}

/// All steps, each with the state before.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UndoRecord {
    format: u32,
    /// Which start of the kernel it belongs to; empty where the host does not report it.
    boot_id: String,
    pub(super) steps: Vec<Step>,
}

impl UndoRecord {
    pub(super) fn new(root: &Root, steps: Vec<Step>) -> Self {
        Self { format: FORMAT, boot_id: boot_id(root), steps }
    }

    pub(super) fn is_of_this_start(&self, root: &Root) -> bool {
        self.boot_id == boot_id(root)
    }
}

fn boot_id(root: &Root) -> String {
    root.text("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// Where the record lies; exists only while no other process has it.
///
/// Everything in its folder is opened by name in the open folder, and no link is followed: a user
/// who can write there must not choose what root writes elsewhere.
pub(super) struct UndoFolder {
    folder: OwnedFd,
    /// Unlocked by the kernel when the process ends, however that happens.
    lock: File,
}

impl Drop for UndoFolder {
    fn drop(&mut self) {
        // Closing is not enough: a child that is just being started has the file open, too.
        let _ = self.lock.unlock();
    }
}

impl UndoFolder {
    pub(super) fn lock(root: &Root) -> Result<Self, Error> {
        let folder = folder(root).map_err(|error| failed(FOLDER, error))?;
        let path = format!("{FOLDER}/{LOCK}");
        let lock = file(&folder, LOCK, OFlags::RDWR | OFlags::CREATE);
        let lock = lock.map_err(|error| failed(&path, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder, lock }),
            Err(TryLockError::WouldBlock) => Err(Error::Busy),
            Err(TryLockError::Error(error)) => Err(failed(&path, error)),
        }
    }

    pub(super) fn read(&self) -> Result<Option<UndoRecord>, Error> {
        let odd = |reason: String| Error::Odd { path: format!("{FOLDER}/{NAME}"), reason };
        let mut text = Vec::new();
        let read = file(&self.folder, NAME, OFlags::RDONLY)
            .and_then(|file| file.take(BYTES_MAX).read_to_end(&mut text));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| odd(error.to_string()))?,
        };
        if text.len() as u64 == BYTES_MAX {
            return Err(odd(format!("it has {} MiB or more", BYTES_MAX >> 20)));
        }
        let record: UndoRecord =
            serde_json::from_slice(&text).map_err(|error| odd(error.to_string()))?;
        if record.format != FORMAT {
            return Err(odd(format!("format {}", record.format)));
        }
        match record.steps.iter().find_map(Step::is_foreign) {
            Some(reason) => Err(odd(reason)),
            None => Ok(Some(record)),
        }
    }

    /// Whole or not at all, also if the power fails: the name appears when the bytes are there.
    pub(super) fn write(&self, record: &UndoRecord) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(record).expect("texts become JSON");
        // Half a record of a crash, or a link.
        match unlinkat(&self.folder, NEW, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            removed => removed,
        }
        .map_err(|error| failed(&format!("{FOLDER}/{NEW}"), error.into()))?;
        let written = file(&self.folder, NEW, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)
            .and_then(|mut file| {
                file.write_all(&text)?;
                file.sync_all()
            });
        let written = written.and_then(|()| Ok(renameat(&self.folder, NEW, &self.folder, NAME)?));
        written.map_err(|error| failed(&format!("{FOLDER}/{NAME}"), error))?;
        self.sync()
    }

    pub(super) fn remove(&self) -> Result<(), Error> {
        let removed = unlinkat(&self.folder, NAME, AtFlags::empty());
        removed.map_err(|error| failed(&format!("{FOLDER}/{NAME}"), error.into()))?;
        self.sync()
    }

    /// The names in the folder, and its own name.
    fn sync(&self) -> Result<(), Error> {
        let above = openat(&self.folder, "..", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let synced = above.and_then(fsync).and_then(|()| fsync(&self.folder));
        synced.map_err(|error| failed(FOLDER, error.into()))
    }
}

/// Opens the folder of the record; makes it, and those above it, if they are not there.
fn folder(root: &Root) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    for (end, _) in FOLDER.match_indices('/').skip(1).chain([(FOLDER.len(), "")]) {
        let path = &FOLDER[..end];
        let (above, name) = path.rsplit_once('/').expect("it begins with one");
        match root.open(path, flags) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let above = root.open(if above.is_empty() { "/" } else { above }, flags)?;
                mkdirat(above, name, Mode::from_raw_mode(0o755))?;
            }
            opened => drop(opened?),
        }
    }
    root.open(FOLDER, flags | OFlags::NOFOLLOW)
}

/// Opens a plain file of the folder.
fn file(folder: &OwnedFd, name: &str, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = openat(folder, name, flags, Mode::from_raw_mode(0o600));
    let file = match opened {
        Err(Errno::LOOP) => return Err(io::Error::other("is a symbolic link: remove it")),
        opened => File::from(opened?),
    };
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("is no file: remove it")),
    }
}

fn failed(path: &str, error: io::Error) -> Error {
    Error::Store { path: path.to_owned(), error }
}

const FOLDER: &str = "/var/lib/potoroo-tuning";
const NAME: &str = "state.json";
const NEW: &str = "state.new";
const LOCK: &str = "lock";
const FORMAT: u32 = 1;
/// The record of a host with a thousand CPUs and as many interrupts has some 3 MiB.
const BYTES_MAX: u64 = 64 << 20;
