//! A disk on which nothing is certain that was not synced.
//!
//! ```text
//!   write  ─► bytes that may be lost, torn or zero    ── sync of the file ──►   certain
//!   names  ─► changes of which any may be lost        ── sync of the folder ─►  certain
//! ```
//!
//! Promises: every call is a step, at each of which the power may go; then every disk that could be
//! left is enumerated, not a sample of them. It is harder than file systems are: no change of names
//! waits for an earlier one, and no name for the bytes of its file.

mod calls;
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use potoroo::checkpoint::store::{Error, Folder};
use potoroo_sdk::random::Random;

pub use turns::{Turn, Turns};

/// A disk that counts steps; clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    /// Each step waits for it, if several processes use the disk.
    turn: Option<Turn>,
}

/// What a disk can be made to do wrong, to prove that it is needed: most leave out a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The bytes of objects are not synced.
    ObjectBytes,
    /// The names of objects are not synced.
    ObjectNames,
    /// The bytes of HEAD are not synced before it gets its name.
    HeadBytes,
    /// The name of HEAD is not synced.
    HeadName,
    /// The name of the file that has versions before refuse the folder is not synced.
    FenceName,
    /// HEAD is overwritten where it must only be linked.
    HeadOverwritten,
    /// The bytes of output are not synced.
    OutputBytes,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The power goes before this step; nothing is done any more.
    Crash(u64),
    /// This step alone fails for want of space.
    Full(u64),
    /// From this step on nothing more can be written; names can be removed and synced.
    StaysFull(u64),
}

#[derive(Clone, Default)]
struct State {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    /// Names as they were when the folder was last synced.
    names_synced: BTreeMap<String, usize>,
    changes: Vec<Change>,
    steps: u64,
    trouble: Option<Trouble>,
    broken: Option<Broken>,
}

#[derive(Clone, Default)]
struct File {
    bytes: Vec<u8>,
    /// The number of bytes that a crash cannot take, unless the file was cleared.
    synced: usize,
    /// The bytes that were certain when it was cleared; the clearing itself is not.
    cleared: Option<Vec<u8>>,
}

/// What happened to the names since the folder was synced.
#[derive(Clone)]
enum Change {
    Add(String, usize),
    Move(String, String, usize),
    Remove(String),
}

/// Bytes of one write at most, so that a crash finds parts half written.
const WRITE_BYTES_MAX: usize = 512;

/// Each change doubles the disks to enumerate.
const CHANGES_MAX: usize = 12;

impl SimDisk {
    /// Where checkpoints lie on it: syncing that folder is another step than syncing one of output.
    const CHECKPOINTS: &str = "checkpoints";

    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// The checkpoints on this disk.
    ///
    /// # Errors
    /// The disk cannot be read or written.
    pub fn checkpoints(&self) -> Result<Folder, Error> {
        Folder::on(self.clone(), Path::new(Self::CHECKPOINTS))
    }

    /// The checkpoints on this disk, which another process uses, too.
    ///
    /// # Errors
    /// The disk cannot be read or written.
    pub fn shared_checkpoints(&self) -> Result<Folder, Error> {
        Folder::shared_on(self.clone(), Path::new(Self::CHECKPOINTS))
    }

    /// The same disk for one of several processes, whose steps wait for its turns.
    #[must_use]
    pub fn with_turns(&self, turn: Turn) -> Self {
        Self { turn: Some(turn), ..self.clone() }
    }

    /// Makes the disk do something wrong.
    #[must_use]
    pub fn broken(self, broken: Broken) -> Self {
        self.state().broken = Some(broken);
        self
    }

    /// Plans trouble; steps count from the first call.
    pub fn plan(&self, trouble: Option<Trouble>) {
        self.state().trouble = trouble;
    }

    /// Whether the power has gone.
    pub fn is_down(&self) -> bool {
        let state = self.state();
        matches!(state.trouble, Some(Trouble::Crash(at)) if state.steps > at)
    }

    /// Calls so far.
    pub fn steps(&self) -> u64 {
        self.state().steps
    }

    /// The names that a process sees, synced or not.
    pub fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// The bytes of a file.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn read(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.files[state.names[name]].bytes.clone()
    }

    /// Replaces the bytes of a file, as damage does; `None` loses the file.
    pub fn damage(&self, name: &str, bytes: Option<Vec<u8>>) {
        let mut state = self.state();
        match (bytes, state.names.get(name).copied()) {
            (Some(bytes), Some(file)) => state.files[file].bytes = bytes,
            _ => drop(state.names.remove(name)),
        }
    }

    /// Bytes of all files that have a name.
    pub fn bytes(&self) -> usize {
        let state = self.state();
        let files: BTreeSet<usize> = state.names.values().copied().collect();
        files.into_iter().map(|file| state.files[file].bytes.len()).sum()
    }

    /// Calls `check` with every disk that may be left when the power goes now, until it returns
    /// false. Names that no reader has `read` are left as they are.
    pub fn each_rest(&self, read: impl Fn(&str) -> bool, mut check: impl FnMut(Self) -> bool) {
        let mut state = self.state().clone();
        state.changes.retain(|change| change.names().iter().any(|name| read(name)));
        assert!(state.changes.len() <= CHANGES_MAX, "{} changes", state.changes.len());
        for kept in 0..1u32 << state.changes.len() {
            let names = state.names_after(|index| kept & 1 << index != 0);
            let torn = state.unsynced(names.iter().filter(|(name, _)| read(name)));
            for variant in 0..Rest::ALL.len().pow(torn.len() as u32) {
                let mut digits = variant;
                let rest = state.rest(&names, &torn, || {
                    let rest = Rest::ALL[digits % Rest::ALL.len()];
                    digits /= Rest::ALL.len();
                    rest
                });
                if !check(rest) {
                    return;
                }
            }
        }
    }

    /// One of the disks that may be left when the power goes now.
    #[must_use]
    pub fn any_rest(&self, random: &mut Random) -> Self {
        let state = self.state();
        let names = state.names_after(|_| random.chance(0.5));
        let torn = state.unsynced(names.iter());
        state.rest(&names, &torn, || Rest::ALL[random.below(Rest::ALL.len() as u64) as usize])
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a step, and fails when it is the one that is to fail.
    fn step(&self, writes: bool) -> io::Result<MutexGuard<'_, State>> {
        self.turn.iter().for_each(Turn::wait);
        let mut state = self.state();
        let step = state.steps;
        state.steps += 1;
        match state.trouble {
            Some(Trouble::Crash(at)) if step >= at => Err(io::Error::other("the power is gone")),
            Some(Trouble::Full(at)) if step == at => Err(ErrorKind::StorageFull.into()),
            Some(Trouble::StaysFull(at)) if step >= at && writes => {
                Err(ErrorKind::StorageFull.into())
            }
            _ => Ok(state),
        }
    }
}

/// What may be left of the bytes of a file that were not synced.
#[derive(Clone, Copy)]
enum Rest {
    All,
    Nothing,
    Half,
    /// The length got to the disk and the bytes did not.
    Zeros,
}

impl Rest {
    const ALL: [Self; 4] = [Self::All, Self::Nothing, Self::Half, Self::Zeros];

    fn apply(self, file: &mut File) {
        let (synced, all) = (file.synced, file.bytes.len());
        match self {
            Self::All => (),
            Self::Nothing => match file.cleared.take() {
                Some(cleared) => file.bytes = cleared,
                None => file.bytes.truncate(synced),
            },
            Self::Half => file.bytes.truncate(synced + (all - synced) / 2),
            Self::Zeros => file.bytes[synced..].fill(0),
        }
    }
}

impl State {
    /// The names when of all changes those that are `kept` got to the disk.
    fn names_after(&self, mut kept: impl FnMut(usize) -> bool) -> BTreeMap<String, usize> {
        let mut names = self.names_synced.clone();
        for (index, change) in self.changes.iter().enumerate() {
            if kept(index) {
                change.apply(&mut names);
            }
        }
        names
    }

    /// Those of the files whose bytes are not certain.
    fn unsynced<'a>(&self, names: impl Iterator<Item = (&'a String, &'a usize)>) -> Vec<usize> {
        let files: BTreeSet<usize> = names.map(|(_, file)| *file).collect();
        files.into_iter().filter(|file| self.files[*file].is_uncertain()).collect()
    }

    /// The disk with `names`, on which `left` decides what is left of each of the files `torn`.
    fn rest(
        &self,
        names: &BTreeMap<String, usize>,
        torn: &[usize],
        mut left: impl FnMut() -> Rest,
    ) -> SimDisk {
        let mut files = self.files.clone();
        torn.iter().for_each(|file| left().apply(&mut files[*file]));
        files.iter_mut().for_each(File::settle);
        let (names, names_synced) = (names.clone(), names.clone());
        let state = Self { files, names, names_synced, broken: self.broken, ..Self::default() };
        SimDisk { state: Arc::new(Mutex::new(state)), turn: None }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    fn file(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or(ErrorKind::NotFound.into())
    }

    fn vacant(&self, name: &str) -> io::Result<()> {
        let taken = self.names.contains_key(name);
        if taken { Err(ErrorKind::AlreadyExists.into()) } else { Ok(()) }
    }
}

impl File {
    fn is_uncertain(&self) -> bool {
        self.synced < self.bytes.len() || self.cleared.is_some()
    }

    /// All that is in it is certain now.
    fn settle(&mut self) {
        (self.synced, self.cleared) = (self.bytes.len(), None);
    }

    /// Bytes before the first one that changes stay certain.
    fn write_at(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        self.bytes.resize(self.bytes.len().max(end), 0);
        let there = &mut self.bytes[offset..end];
        if let Some(first) = there.iter().zip(bytes).position(|(old, new)| old != new) {
            self.synced = self.synced.min(offset + first);
        }
        there.copy_from_slice(bytes);
    }

    fn clear(&mut self) {
        let certain = self.bytes.drain(..).take(self.synced).collect();
        self.cleared.get_or_insert(certain);
        self.synced = 0;
    }
}

impl Change {
    fn names(&self) -> Vec<&str> {
        match self {
            Self::Add(name, _) | Self::Remove(name) => vec![name],
            Self::Move(from, to, _) => vec![from, to],
        }
    }

    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Add(name, file) => drop(names.insert(name.clone(), *file)),
            Self::Remove(name) => drop(names.remove(name)),
            Self::Move(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
        }
    }
}
