//! The files of one folder by their names, which have no separators.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::lock::is_free;
use crate::checkpoint::store::draw;
use crate::disk::{Disk, DiskFile, DiskReader, Open, Room};

const RESERVE: &str = "RESERVE";

/// What names of temporary files begin with.
pub const TEMPORARY: &str = "tmp-";

/// How the name of the temporary file of a process ends that is locked as long as it lives.
pub const FIRST: &str = "-0";

/// The files of one folder.
pub struct Files {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// Keeps other processes out while it is open; `None` for reading.
    _lock: Option<File>,
    /// The first temporary file: locked while it is open, so that others know whether this process
    /// lives.
    alive: Option<File>,
    /// Random number in the names of temporary files: those of others are other ones.
    incarnation: u64,
    /// Number of the next temporary file.
    next: AtomicU64,
}

impl Files {
    pub fn new(disk: Arc<dyn Disk>, folder: &Path, lock: Option<File>) -> Self {
        let (folder, incarnation, next) = (folder.to_owned(), draw(), AtomicU64::new(1));
        Self { disk, folder, _lock: lock, alive: None, incarnation, next }
    }

    /// The name of the temporary file that is there as long as any other one of this process.
    pub fn first_temporary(&self) -> String {
        format!("{TEMPORARY}{:016x}{FIRST}", self.incarnation)
    }

    /// Holds the lock of the first temporary file.
    pub fn hold(&mut self, alive: File) {
        self.alive = Some(alive);
    }

    /// Whether the process has died which holds this lock while it lives.
    pub fn is_dead(&self, first: &str) -> bool {
        first != self.first_temporary() && is_free(&self.folder.join(first))
    }

    /// A name for a temporary file, which was never given before.
    pub fn temporary(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{TEMPORARY}{:016x}-{number}", self.incarnation)
    }

    /// Creates an empty file.
    pub fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(&self.folder.join(name), Open::New)
    }

    /// Opens a file for reading.
    pub fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(DiskReader::new(self.disk.open(&self.folder.join(name), Open::Follow)?)?))
    }

    /// Gives a file a second name.
    pub fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.link_from(&self.folder.join(from), to)
    }

    /// Gives a file that may lie elsewhere a second name here.
    pub fn link_from(&self, from: &Path, to: &str) -> io::Result<()> {
        self.disk.link(from, &self.folder.join(to))
    }

    /// Gives a file another name, at once; a file that had it before loses it.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(&self.folder.join(from), &self.folder.join(to))
    }

    /// Removes a name, and the file with its last one.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(&self.folder.join(name))
    }

    /// All names, in any order. A name that is no text is not ours.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let text = |path: &PathBuf| path.file_name()?.to_str().map(str::to_owned);
        Ok(self.disk.list(&self.folder)?.iter().filter_map(text).collect())
    }

    /// All [names](Self::names) and the lengths of their files in bytes.
    pub fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for name in self.names()? {
            match self.disk.length(&self.folder.join(&name)) {
                Ok(bytes) => files.push((name, bytes)),
                // It was removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }

    /// Makes all names durable as they are now.
    pub fn sync(&self) -> io::Result<()> {
        self.disk.sync(&self.folder)
    }

    /// How much room there is; `None` where that is not limited.
    pub fn room(&self) -> io::Result<Option<Room>> {
        self.disk.room(&self.folder)
    }

    /// Sets room aside, for when the disk is full.
    pub fn reserve(&self) -> io::Result<()> {
        self.disk.reserve(&self.folder.join(RESERVE))
    }

    /// Frees some of the room that was set aside. Returns whether there was any.
    pub fn release(&self) -> bool {
        self.disk.release(&self.folder.join(RESERVE))
    }

    /// `name` for messages; the folder where it is empty.
    pub fn shown(&self, name: &str) -> String {
        let path = if name.is_empty() { self.folder.clone() } else { self.folder.join(name) };
        path.display().to_string()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if self.alive.is_some() {
            // Who finds it later finds it free: it is the same.
            let _ = self.remove(&self.first_temporary());
        }
    }
}
