//! Folder: checkpoints as files of one folder, the default.
//!
//! ```text
//!   LOCK            held by the one process that may write, whose number is in it; or by all that
//!                   share the folder
//!   HEAD-NUMBER     text; the newest counts, and the next swap links one more
//!   HEAD            text; has versions before refuse the folder, and counts until they are refused
//!   part-…          objects, linked to their names when they are durable
//!   manifest-…
//!   output-…        output of sinks, gathered in a temporary file and linked likewise
//!   shown-…         marks: empty, and not synced
//!   tmp-…           being written, or left over by a crash: removed by the next process that has
//!                   the folder alone, or by one of those that share it when their process is dead
//!   tmp-…-0         locked as long as its process shares the folder
//!   RESERVE         room of which HEAD gets some when the disk is full: a start has to write HEAD
//!                   before output that waits here can leave
//! ```
//!
//! The orders that a crash tests: a file's bytes are synced before it gets its name, since a name
//! may reach the disk first; the folder is synced before an object counts as stored, so that what
//! HEAD names exists; HEAD is linked only then, and the folder synced again before the commit
//! counts. Promises: after a crash at any step HEAD is the old or the new one, and all that it
//! names is whole; names are never reused or replaced; of several processes that share the folder
//! one wins each swap of HEAD. Must never do: trust that anything is on the disk that was not
//! synced, or touch a temporary file of another process that may live.

// In reading order; the blank lines keep it.
mod files;
mod lock;
mod scratch;

mod upload;

mod heads;

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::{Error, Head, Name, Scratch, ScratchRoom, Store, StoreReader, Upload};
use crate::disk::{Disk, LocalDisk};
use files::{FIRST, Files, TEMPORARY};
use lock::{Sharing, claim};
use scratch::FileScratch;
use upload::FileUpload;

/// Checkpoints in a folder, to read and write.
pub struct Folder {
    view: FolderView,
}

/// Checkpoints in a folder, to read. Takes no lock: an application may use it meanwhile.
pub struct FolderView {
    /// With the lock of the folder, if it is to be written: uploads hold it, too.
    files: Arc<Files>,
}

impl Folder {
    /// Opens or creates the folder, and keeps it to this process until it is dropped.
    ///
    /// # Errors
    /// Another process uses it, or it cannot be written.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::locked(path, Sharing::Alone)
    }

    /// As [`open`](Self::open), together with other processes that open it so. HEAD decides which
    /// of them may commit. What they may have half written stays.
    ///
    /// # Errors
    /// Another process has it alone, or it cannot be written.
    pub fn open_shared(path: &Path) -> Result<Self, Error> {
        Self::locked(path, Sharing::Shared)
    }

    fn locked(path: &Path, sharing: Sharing) -> Result<Self, Error> {
        lock::make(path)?;
        let lock = lock::lock(path, sharing)?;
        lock::check(path)?;
        let mut files = Files::new(Arc::new(LocalDisk), path, Some(lock));
        if sharing == Sharing::Shared {
            // Without it others cannot know when its files are left over, and leave them.
            claim(&path.join(files.first_temporary())).into_iter().for_each(|it| files.hold(it));
        }
        Self::over(files, sharing)
    }

    /// Takes over what is on `disk` in the folder `path`, which no other process uses.
    ///
    /// # Errors
    /// The disk cannot be read or written.
    pub fn on(disk: impl Disk + 'static, path: &Path) -> Result<Self, Error> {
        Self::over(Files::new(Arc::new(disk), path, None), Sharing::Alone)
    }

    /// As [`on`](Self::on), of a folder that other processes use, too.
    ///
    /// # Errors
    /// As of [`on`](Self::on).
    pub fn shared_on(disk: impl Disk + 'static, path: &Path) -> Result<Self, Error> {
        Self::over(Files::new(Arc::new(disk), path, None), Sharing::Shared)
    }

    fn over(files: Files, sharing: Sharing) -> Result<Self, Error> {
        if sharing == Sharing::Alone {
            remove_left_over(&files)?;
        }
        // A disk that is full now had room before.
        let _ = files.reserve();
        Ok(Self { view: FolderView { files: Arc::new(files) } })
    }
}

/// Removes what a crash left half written.
fn remove_left_over(files: &Files) -> Result<(), Error> {
    let failed = |action, name: &str, error| Error::io(action, files.shown(name), error);
    let names = files.names().map_err(|error| failed("list", "", error))?;
    for name in names.iter().filter(|name| name.starts_with(TEMPORARY)) {
        files.remove(name).map_err(|error| failed("remove", name, error))?;
    }
    Ok(())
}

/// As [`remove_left_over`], while others may write: that of processes which hold no lock any more.
fn remove_of_dead(files: &Files) -> Result<(), Error> {
    let failed = |action, name: &str, error| Error::io(action, files.shown(name), error);
    let names = files.names().map_err(|error| failed("list", "", error))?;
    let is_first = |name: &&String| name.starts_with(TEMPORARY) && name.ends_with(FIRST);
    for first in names.iter().filter(is_first).filter(|name| files.is_dead(name)) {
        let owner = first.strip_suffix(FIRST).expect("it was just looked at");
        let of_owner = |name: &&String| {
            let number = name.strip_prefix(owner).is_some_and(|rest| rest.starts_with('-'));
            number && name != &first
        };
        // The lock itself goes last: without it nothing is known of the others.
        for name in names.iter().filter(of_owner).chain([first]) {
            match files.remove(name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", name, error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

impl FolderView {
    /// Opens an existing folder.
    ///
    /// # Errors
    /// It does not exist or is no folder.
    pub fn open(path: &Path) -> Result<Self, Error> {
        lock::check(path)?;
        Ok(Self { files: Arc::new(Files::new(Arc::new(LocalDisk), path, None)) })
    }
}

impl Store for Folder {
    fn create(&self, name: &str) -> Result<Box<dyn Upload>, Error> {
        match self.open(name) {
            Err(Error::Missing { .. }) => Ok(Box::new(FileUpload::begin(&self.view.files, name)?)),
            Ok(_) => Err(Error::Taken { object: self.view.files.shown(name) }),
            Err(error) => Err(error),
        }
    }

    fn link(&self, file: &Path, name: &str) -> Result<bool, Error> {
        Name::check(name)?;
        let files = &self.view.files;
        if files.link_from(file, name).is_err() {
            return Ok(false);
        }
        let object = || files.shown(name);
        files.sync().map_err(|cause| Error::NotDurable { object: object(), cause })?;
        Ok(true)
    }

    fn remove_left_over(&self) -> Result<(), Error> {
        remove_of_dead(&self.view.files)
    }

    fn scratch(&self) -> io::Result<Box<dyn Scratch>> {
        Ok(Box::new(FileScratch::new(self.view.files.clone())?))
    }

    fn room(&self) -> io::Result<Option<ScratchRoom>> {
        let room = self.view.files.room()?;
        Ok(room.map(|disk| ScratchRoom { disk, has_objects: true }))
    }

    fn mark(&self, name: &Name) -> Result<(), Error> {
        let name = name.to_string();
        match self.view.files.create(&name) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(Error::io("write", self.view.files.shown(&name), error))
            }
            _ => Ok(()),
        }
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        Name::check(name)?;
        match self.view.files.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", self.view.files.shown(name), error))
            }
            _ => Ok(()),
        }
    }

    fn swap_head(&self, expected: Option<&Head>, new: &Head) -> Result<(), Error> {
        heads::swap(&self.view.files, expected, new)
    }
}

impl StoreReader for Folder {
    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>, Error> {
        self.view.open(name)
    }

    fn list(&self) -> Result<Vec<(String, u64)>, Error> {
        self.view.list()
    }

    fn head(&self) -> Result<Option<Head>, Error> {
        self.view.head()
    }
}

impl StoreReader for FolderView {
    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>, Error> {
        Name::check(name)?;
        self.files.open(name).map_err(|error| Error::io("read", self.files.shown(name), error))
    }

    fn list(&self) -> Result<Vec<(String, u64)>, Error> {
        let listed = self.files.list();
        let mut files = listed.map_err(|error| Error::io("list", self.files.shown(""), error))?;
        files.retain(|(name, _)| Name::check(name).is_ok());
        files.sort();
        Ok(files)
    }

    fn head(&self) -> Result<Option<Head>, Error> {
        Ok(heads::newest(&self.files)?.head)
    }
}

#[cfg(test)]
mod tests;
