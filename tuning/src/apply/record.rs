//! The record of the state before, on the disk of the host.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::PathBuf;

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
    /// Somebody else is at it.
    #[error("another potoroo-tuning is changing this host: wait until it has ended")]
    Busy,
    /// The record was written by somebody else, or damaged.
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
    /// Whoever watched ended it.
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
pub(super) struct Record {
    format: u32,
    /// Which start of the kernel it belongs to; empty where the host does not tell.
    boot_id: String,
    pub(super) steps: Vec<Step>,
}

impl Record {
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

/// Where the record lies; exists only while nobody else has it.
pub(super) struct Store {
    folder: PathBuf,
    /// Unlocked by the kernel when the process ends, however that happens.
    lock: File,
}

impl Drop for Store {
    fn drop(&mut self) {
        // Closing is not enough: a child that is just being started has the file open, too.
        let _ = self.lock.unlock();
    }
}

impl Store {
    pub(super) fn lock(root: &Root) -> Result<Self, Error> {
        let folder = root.path(FOLDER);
        let failed = |error| Error::Store { path: FOLDER.to_owned(), error };
        fs::create_dir_all(&folder).map_err(failed)?;
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).open(folder.join("lock"));
        let file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { folder, lock: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Busy),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    pub(super) fn read(&self) -> Result<Option<Record>, Error> {
        let odd = |reason: String| Error::Odd { path: format!("{FOLDER}/{NAME}"), reason };
        let text = match fs::read(self.folder.join(NAME)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let record: Record =
            serde_json::from_slice(&text).map_err(|error| odd(error.to_string()))?;
        match record.format == FORMAT {
            true => Ok(Some(record)),
            false => Err(odd(format!("format {}", record.format))),
        }
    }

    /// Whole or not at all, also if the power fails: the name appears when the bytes are there.
    pub(super) fn write(&self, record: &Record) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(record).expect("texts become JSON");
        let (new, name) = (self.folder.join("state.new"), self.folder.join(NAME));
        let written = File::create(&new).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()
        });
        written.and_then(|()| fs::rename(new, name)).map_err(failed)?;
        self.sync()
    }

    pub(super) fn remove(&self) -> Result<(), Error> {
        fs::remove_file(self.folder.join(NAME)).map_err(failed)?;
        self.sync()
    }

    /// The names in the folder, and its own name.
    fn sync(&self) -> Result<(), Error> {
        let above = self.folder.parent().map_or(Ok(()), |above| File::open(above)?.sync_all());
        above.and_then(|()| File::open(&self.folder)?.sync_all()).map_err(failed)
    }
}

fn failed(error: io::Error) -> Error {
    Error::Store { path: format!("{FOLDER}/{NAME}"), error }
}

const FOLDER: &str = "/var/lib/potoroo-tuning";
const NAME: &str = "state.json";
const FORMAT: u32 = 1;
