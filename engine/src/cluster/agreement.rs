//! Agreement: what all nodes of a cluster agree upon: who lives, and who leads.
//!
//! ```text
//!   DIR/agreement       JSON: entries by key, some bound to the session of a process
//!   DIR/agreement.lock  held while that file is read and replaced
//!   DIR/sessions/ID     locked by the process of the session for as long as it lives
//! ```
//!
//! The kernel releases the lock of a session when its process ends, however it ends: so a death is
//! proven, by the next one who looks. A process that stands still is not dead.
//!
//! Promises: what is [listed](Agreement::list) was so at one moment between the call and its
//! return; a [swap](Agreement::swap) is done once, or not at all; an entry that is bound to a
//! session goes with it. Must never do: take a process for dead because of the time. Nothing is
//! synced: what must survive a power cut is in the store.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::disk::{FILE_MODE, FOLDER_MODE};

/// The agreement of the processes of one machine, in a folder.
#[derive(Debug)]
pub struct Agreement {
    folder: PathBuf,
    session: u64,
    /// Locked while it is open.
    _alive: File,
}

/// What is agreed under one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreed {
    /// Of it.
    pub value: String,
    /// The session that it goes with; `None` if it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<u64>,
}

/// All entries, by key.
pub type AgreedEntries = BTreeMap<String, Agreed>;

/// Why nothing can be agreed upon.
#[derive(Debug, thiserror::Error)]
pub enum Disagreement {
    /// The folder cannot be used.
    #[error("cannot {action} {}: {cause}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// What is there was not written by this version.
    #[error(
        "{} is damaged, or of another version ({cause}): stop all nodes and remove this file; no \
         checkpoint is in it",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: serde_json::Error,
    },
    /// Locks of its file system mean nothing between processes.
    #[error(
        "{} lies on a file system of kind {kind:#x}, on which a lock may not keep others away: use \
         a folder of a local disk (ext4, xfs, btrfs, zfs, f2fs, tmpfs or overlay)",
        .path.display()
    )]
    FileSystem {
        /// The folder.
        path: PathBuf,
        /// As of `statfs`.
        kind: i64,
    },
}

/// File systems whose locks are known to keep other processes of the machine away, as of `statfs`.
const KNOWN: [i64; 7] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0x2fc1_2fc1, // zfs
    0xf2f5_2010, // f2fs
    0x0102_1994, // tmpfs
    0x794c_7630, // overlay
];

impl Agreement {
    /// Joins those that agree in `folder`, which is made if it is not there. `session` is a random
    /// number.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub fn open(folder: &Path, session: u64) -> Result<Self, Disagreement> {
        let sessions = folder.join(SESSIONS);
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(FOLDER_MODE);
        builder.create(&sessions).map_err(|cause| failed("create", &sessions, cause))?;
        let kind = rustix::fs::statfs(folder);
        let kind = kind.map_err(|cause| failed("look at", folder, cause.into()))?.f_type;
        if !KNOWN.contains(&kind) {
            return Err(Disagreement::FileSystem { path: folder.to_owned(), kind });
        }
        let path = session_path(folder, session);
        let alive = open(&path).map_err(|cause| failed("create", &path, cause))?;
        give_to_owner_of(folder, &path);
        alive.lock().map_err(|cause| failed("lock", &path, cause))?;
        Ok(Self { folder: folder.to_owned(), session, _alive: alive })
    }

    /// Whether anything was ever agreed in `folder`.
    pub fn exists(folder: &Path) -> bool {
        folder.join(ENTRIES).is_file()
    }

    /// The number of the own session.
    pub fn session(&self) -> u64 {
        self.session
    }

    /// What is agreed upon; nothing of the dead.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub fn list(&self) -> Result<AgreedEntries, Disagreement> {
        let (entries, _lock) = self.read()?;
        Ok(entries)
    }

    /// Has `key` be `new`, if it is what was `expected`. Returns what it was: the swap is done if
    /// that equals `expected`.
    ///
    /// # Errors
    /// The folder cannot be used: nothing is changed.
    pub fn swap(
        &self,
        key: &str,
        expected: Option<&Agreed>,
        new: Option<Agreed>,
    ) -> Result<Option<Agreed>, Disagreement> {
        let (mut entries, _lock) = self.read()?;
        let found = entries.get(key).cloned();
        if found.as_ref() == expected {
            match new {
                Some(new) => entries.insert(key.to_owned(), new),
                None => entries.remove(key),
            };
            self.write(&entries)?;
        }
        Ok(found)
    }

    /// Has `key` be `value`, whatever it was, from now on.
    ///
    /// # Errors
    /// The folder cannot be used: nothing is changed.
    pub fn set(&self, key: &str, value: String) -> Result<(), Disagreement> {
        let (mut entries, _lock) = self.read()?;
        entries.insert(key.to_owned(), Agreed { value, session: None });
        self.write(&entries)
    }

    /// Something that differs from what it was, once an entry was changed; for a hint to look.
    pub fn version(&self) -> (u64, i64, i64) {
        let facts = fs::metadata(self.folder.join(ENTRIES));
        facts.map_or((0, 0, 0), |facts| (facts.ino(), facts.mtime(), facts.mtime_nsec()))
    }

    /// Sets `key`, which no process has, to `value` for as long as this process lives. Returns who
    /// has it, if it was taken.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub fn claim(&self, key: &str, value: String) -> Result<Option<Agreed>, Disagreement> {
        self.swap(key, None, Some(Agreed { value, session: Some(self.session) }))
    }

    /// The entries of the living, and the lock under which they may be replaced.
    fn read(&self) -> Result<(AgreedEntries, File), Disagreement> {
        let path = self.folder.join(LOCK);
        let lock = open(&path).map_err(|cause| failed("open", &path, cause))?;
        lock.lock().map_err(|cause| failed("lock", &path, cause))?;
        let path = self.folder.join(ENTRIES);
        let mut text = Vec::new();
        match File::open(&path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut text)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => text.extend(b"{}"),
            read => drop(read.map_err(|cause| failed("read", &path, cause))?),
        }
        // Nothing is synced: a power cut may leave a name without bytes, and no process alive.
        if text.is_empty() {
            text.extend(b"{}");
        }
        let entries: AgreedEntries = serde_json::from_slice(&text)
            .map_err(|cause| Disagreement::Damaged { path: path.clone(), cause })?;
        let mut living = entries.clone();
        let mut known: BTreeMap<u64, bool> = BTreeMap::from([(self.session, true)]);
        living.retain(|_, one| {
            let Some(session) = one.session else { return true };
            *known.entry(session).or_insert_with(|| is_alive(&session_path(&self.folder, session)))
        });
        // On a full disk the dead stay, and are passed over again the next time.
        if living != entries && self.write(&living).is_ok() {
            for (dead, _) in known.iter().filter(|(_, alive)| !**alive) {
                let _ = fs::remove_file(session_path(&self.folder, *dead));
            }
        }
        Ok((living, lock))
    }

    fn write(&self, entries: &AgreedEntries) -> Result<(), Disagreement> {
        let (new, path) = (self.folder.join(NEW), self.folder.join(ENTRIES));
        let text = serde_json::to_vec_pretty(entries).expect("names and texts are JSON");
        let write = || {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(FILE_MODE);
            options.open(&new)?.write_all(&text)?;
            give_to_owner_of(&self.folder, &new);
            fs::rename(&new, &path)
        };
        write().map_err(|cause| failed("write", &path, cause))
    }
}

impl Drop for Agreement {
    fn drop(&mut self) {
        // Who looks next finds the lock free: it is the same without this.
        let _ = fs::remove_file(session_path(&self.folder, self.session));
    }
}

const ENTRIES: &str = "agreement";
const NEW: &str = "agreement.new";
const LOCK: &str = "agreement.lock";
const SESSIONS: &str = "sessions";

/// Bytes of all entries that are read: far more than the largest cluster has.
const BYTES_MAX: u64 = 1 << 20;

fn session_path(folder: &Path, session: u64) -> PathBuf {
    folder.join(SESSIONS).join(format!("{session:016x}"))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)
}

/// An administrator may look into the folder of another user, who has to be able to go on.
fn give_to_owner_of(folder: &Path, file: &Path) {
    if let Ok(facts) = fs::metadata(folder) {
        // Others may not give, and own the folder.
        let _ = chown(file, Some(facts.uid()), Some(facts.gid()));
    }
}

/// Whether a process holds the lock of its session. What cannot be known is taken for alive.
fn is_alive(path: &Path) -> bool {
    match File::open(path) {
        Err(error) => error.kind() != io::ErrorKind::NotFound,
        // If it is free, it is taken for as long as the file is open here.
        Ok(file) => file.try_lock().is_err(),
    }
}

fn failed(action: &'static str, path: &Path, cause: io::Error) -> Disagreement {
    Disagreement::Io { action, path: path.to_owned(), cause }
}

#[cfg(test)]
mod tests;
