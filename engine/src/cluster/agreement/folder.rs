//! The agreement of the processes of one machine, in a folder.
//!
//! ```text
//!   DIR/agreement       JSON: entries by key, some bound to the session of a process
//!   DIR/agreement.lock  held while that file is read and replaced
//!   DIR/sessions/ID     locked by the process of the session for as long as it lives; has the end
//!                       of its lease, which that process renews
//! ```
//!
//! The kernel releases the lock of a session when its process ends, however it ends: so a death is
//! proven, by the next one who looks. A process that stands still does not renew its lease: then a
//! process that has renewed its own for as long as a lease lasts takes the session for over. After
//! a pause of the whole machine there is none, until all have renewed theirs.
//!
//! Nothing is synced: what must survive a power cut is in the store.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{AgreedEntries, Agreement, Changed, Disagreement, EntryChange, Expected};
use crate::checkpoint::store::draw;
use crate::cluster::lease::boottime;
use crate::disk::{FILE_MODE, FOLDER_MODE, LOCKS_ARE_KEPT};

/// The agreement of the processes of one machine, in a folder.
#[derive(Debug)]
pub struct FolderAgreement {
    folder: PathBuf,
    /// Of the own session; none if that lives as long as its process.
    lease: Option<Duration>,
    session: Mutex<OwnSession>,
}

#[derive(Debug)]
struct OwnSession {
    number: u64,
    /// Locked while it is open.
    file: File,
    /// The renewals since then came in time.
    stands_since: Option<Duration>,
    /// The end of its lease.
    until: Duration,
}

impl FolderAgreement {
    /// Joins those that agree in `folder`, which is made if it is not there. The session has to be
    /// renewed within each `lease`; without one it lasts as long as this process.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub fn open(folder: &Path, lease: Option<Duration>) -> Result<Self, Disagreement> {
        let sessions = folder.join(SESSIONS);
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(FOLDER_MODE);
        builder.create(&sessions).map_err(|cause| failed("create", &sessions, cause))?;
        let kind = rustix::fs::statfs(folder);
        let kind = kind.map_err(|cause| failed("look at", folder, cause.into()))?.f_type;
        if !LOCKS_ARE_KEPT.contains(&kind) {
            return Err(Disagreement::FileSystem { path: folder.to_owned(), kind });
        }
        let session = Mutex::new(OwnSession::begin(folder)?);
        let agreement = Self { folder: folder.to_owned(), lease, session };
        agreement.renew()?;
        agreement.remove_left_over()?;
        Ok(agreement)
    }

    /// Whether anything was ever agreed in `folder`.
    pub fn exists(folder: &Path) -> bool {
        folder.join(ENTRIES).is_file()
    }

    fn own(&self) -> MutexGuard<'_, OwnSession> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a session that was not renewed in time is over, and not this process late itself.
    fn may_judge(&self, own: &OwnSession) -> bool {
        let now = boottime();
        let stood = own.stands_since.map(|since| now.saturating_sub(since));
        now < own.until && stood.zip(self.lease).is_some_and(|(stood, lease)| stood >= lease)
    }

    fn lock(&self) -> Result<File, Disagreement> {
        let path = self.folder.join(LOCK);
        let lock = open(&path).map_err(|cause| failed("open", &path, cause))?;
        let begun = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => sleep(LOOK),
                Err(TryLockError::WouldBlock) => {
                    return Err(Disagreement::Locked { path, seconds: PATIENCE.as_secs() });
                }
                Err(TryLockError::Error(cause)) => return Err(failed("lock", &path, cause)),
            }
        }
    }

    /// The entries of the living, and the lock under which they may be replaced.
    fn read(&self) -> Result<(AgreedEntries, File), Disagreement> {
        let lock = self.lock()?;
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
        let own = self.own();
        let mut living = entries.clone();
        let mut known: BTreeMap<u64, bool> = BTreeMap::new();
        // Another process may have removed it: then it is over.
        known.insert(own.number, !own.is_removed());
        let judge = self.may_judge(&own);
        living.retain(|_, one| {
            let Some(session) = one.session else { return true };
            let path = session_path(&self.folder, session);
            *known.entry(session).or_insert_with(|| is_alive(&path, judge))
        });
        // On a full disk the dead stay, and are passed over again the next time.
        if living != entries && self.write(&living).is_ok() {
            for (dead, _) in known.iter().filter(|(_, alive)| !**alive) {
                let _ = fs::remove_file(session_path(&self.folder, *dead));
            }
        }
        Ok((living, lock))
    }

    /// Removes files of sessions that have ended without an entry.
    fn remove_left_over(&self) -> Result<(), Disagreement> {
        let (entries, _lock) = self.read()?;
        let is_named = |path: &Path| {
            let mut sessions = entries.values().filter_map(|entry| entry.session);
            sessions.any(|session| session_path(&self.folder, session) == path)
        };
        // One that was just made is not locked yet.
        let is_old = |path: &Path| {
            let changed = fs::metadata(path).and_then(|facts| facts.modified());
            changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > LEFT_OVER))
        };
        // What cannot be removed does no harm.
        for file in fs::read_dir(self.folder.join(SESSIONS)).into_iter().flatten().flatten() {
            let path = file.path();
            if is_old(&path) && !is_named(&path) && !is_alive(&path, false) {
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }

    fn write(&self, entries: &AgreedEntries) -> Result<(), Disagreement> {
        let (new, path) = (self.folder.join(NEW), self.folder.join(ENTRIES));
        let text = serde_json::to_vec_pretty(entries).expect("names and texts are JSON");
        if text.len() as u64 > BYTES_MAX {
            return Err(Disagreement::Full { path, bytes: text.len() as u64, most: BYTES_MAX });
        }
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

impl Agreement for FolderAgreement {
    fn session(&self) -> u64 {
        self.own().number
    }

    fn list(&self) -> Result<AgreedEntries, Disagreement> {
        let (entries, _lock) = self.read()?;
        Ok(entries)
    }

    fn change(&self, change: &EntryChange<'_>) -> Result<Changed, Disagreement> {
        let (mut entries, _lock) = self.read()?;
        let own = Some(self.session());
        let holds = |key: &str| entries.get(key).is_some_and(|entry| entry.session == own);
        if change.held.is_some_and(|key| !holds(key)) {
            return Ok(Changed::NotHeld);
        }
        let found = entries.get(change.key);
        let expected = match change.expected {
            Expected::Anything => true,
            Expected::Nothing => found.is_none(),
            Expected::Entry(entry) => found == Some(entry),
        };
        if !expected {
            return Ok(Changed::Differs(found.cloned()));
        }
        // What is bound to a session that is over would be gone at the next look.
        if change.new.as_ref().is_some_and(|new| new.session == own) && self.own().is_removed() {
            return Err(Disagreement::Over);
        }
        match change.new.clone() {
            Some(new) => entries.insert(change.key.to_owned(), new),
            None => entries.remove(change.key),
        };
        self.write(&entries)?;
        Ok(Changed::Done)
    }

    fn renew(&self) -> Result<Duration, Disagreement> {
        let Some(lease) = self.lease else { return Ok(Duration::MAX) };
        // Who takes it for over does so under this lock.
        let _lock = self.lock()?;
        let mut own = self.own();
        if own.is_removed() {
            return Err(Disagreement::Over);
        }
        let now = boottime();
        let path = session_path(&self.folder, own.number);
        let text = format!("{:020} {:020}\n", (now + lease).as_nanos(), time_namespace());
        own.file.write_all_at(text.as_bytes(), 0).map_err(|cause| failed("write", &path, cause))?;
        let in_time = own.stands_since.filter(|_| now < own.until);
        (own.stands_since, own.until) = (in_time.or(Some(now)), now + lease);
        Ok(lease)
    }

    fn begin_session(&self) -> Result<(), Disagreement> {
        *self.own() = OwnSession::begin(&self.folder)?;
        self.renew().map(drop)
    }

    fn version(&self) -> Result<u64, Disagreement> {
        let facts = fs::metadata(self.folder.join(ENTRIES));
        let time = |facts: &fs::Metadata| facts.mtime().wrapping_mul(1_000_000_000);
        Ok(facts.map_or(0, |facts| {
            let time = time(&facts).wrapping_add(facts.mtime_nsec()) as u64;
            time.rotate_left(20) ^ facts.ino()
        }))
    }
}

impl Drop for FolderAgreement {
    fn drop(&mut self) {
        // Who looks next finds the lock free: it is the same without this.
        let _ = fs::remove_file(session_path(&self.folder, self.session()));
    }
}

impl OwnSession {
    fn begin(folder: &Path) -> Result<Self, Disagreement> {
        let number = draw();
        let path = session_path(folder, number);
        let file = open(&path).map_err(|cause| failed("create", &path, cause))?;
        give_to_owner_of(folder, &path);
        file.lock().map_err(|cause| failed("lock", &path, cause))?;
        Ok(Self { number, file, stands_since: None, until: Duration::ZERO })
    }

    /// Whether another process took it for over. What cannot be known is taken for not.
    fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|facts| facts.nlink() == 0)
    }
}

const ENTRIES: &str = "agreement";
const NEW: &str = "agreement.new";
const LOCK: &str = "agreement.lock";
const SESSIONS: &str = "sessions";

/// How long a process may be waited for that holds the lock: it needs some microseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time between two tries to lock.
const LOOK: Duration = Duration::from_millis(1);

/// A file of a session that nothing names is removed when it is older.
const LEFT_OVER: Duration = Duration::from_secs(60);

/// Bytes of the file of a session that are read.
const SESSION_BYTES_MAX: u64 = 64;

/// Bytes of all entries that are written and read: far more than the largest cluster has.
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

/// Whether a session stands: a process holds its lock, and if this one is to `judge`, that process
/// has renewed its lease. What cannot be known is taken for alive.
fn is_alive(path: &Path, judge: bool) -> bool {
    match File::open(path) {
        Err(error) => error.kind() != io::ErrorKind::NotFound,
        // If it is free, it is taken for as long as the file is open here.
        Ok(file) => file.try_lock().is_err() && !(judge && is_late(&file)),
    }
}

/// Whether the lease that is in the file of a session has ended.
fn is_late(file: &File) -> bool {
    let mut text = String::new();
    if file.take(SESSION_BYTES_MAX).read_to_string(&mut text).is_err() {
        return false;
    }
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    let (Some(Ok(until)), Some(Ok(namespace))) = (numbers.next(), numbers.next()) else {
        return false;
    };
    // Others have another clock.
    namespace == time_namespace() && boottime() > Duration::from_nanos(until)
}

/// What differs between processes whose clocks differ.
fn time_namespace() -> u64 {
    fs::metadata("/proc/self/ns/time").map_or(0, |facts| facts.ino())
}

fn failed(action: &'static str, path: &Path, cause: io::Error) -> Disagreement {
    Disagreement::Io { action, path: path.to_owned(), cause }
}

#[cfg(test)]
mod tests;
