//! Folder: checkpoints as files of one folder, the default.
//!
//! ```text
//!   LOCK            held by the one process that may write; its number is in it
//!   HEAD            text; replaced by renaming, never written in place
//!   part-…          objects, linked to their names when they are durable
//!   manifest-…
//!   tmp-…           being written, or left over by a crash: removed at the next start
//!   RESERVE         room of which HEAD gets some when the disk is full: a start has to write HEAD
//!                   before output that waits here can leave
//! ```
//!
//! The orders that a crash tests: a file's bytes are synced before it gets its name, since a name
//! may reach the disk first; the folder is synced before an object counts as stored, so that what
//! HEAD names exists; HEAD is renamed to only then, and the folder synced again before the commit
//! counts. Promises: after a crash at any step HEAD is the old or the new one, and all that it
//! names is whole; names are never reused or replaced. Must never do: trust that anything is on
//! the disk that was not synced.

mod files;
mod lock;

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Error, Head, Name, Store, StoreReader, Upload};
use crate::checkpoint::CorruptObject;
use crate::disk::{Disk, DiskFile, LocalDisk};
use files::Files;

const HEAD: &str = "HEAD";
const TEMPORARY: &str = "tmp-";

/// A longer HEAD is damaged: memory stays bounded.
const HEAD_BYTES_MAX: u64 = 64 * 1024;

/// Checkpoints in a folder, to read and write.
pub struct Folder {
    view: FolderView,
    /// Held while HEAD is compared and swapped; the lock file excludes other processes.
    swapping: Mutex<()>,
    /// Number of the next temporary file.
    next: AtomicU64,
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
        lock::make(path)?;
        let lock = lock::lock(path)?;
        lock::check(path)?;
        Self::over(Files::new(Arc::new(LocalDisk), path, Some(lock)))
    }

    /// Takes over what is on `disk` in the folder `path`, which no other process uses.
    ///
    /// # Errors
    /// The disk cannot be read or written.
    pub fn on(disk: impl Disk + 'static, path: &Path) -> Result<Self, Error> {
        Self::over(Files::new(Arc::new(disk), path, None))
    }

    /// Removes what a crash left half written.
    fn over(files: Files) -> Result<Self, Error> {
        let failed = |action, name: &str, error| Error::io(action, files.shown(name), error);
        for (name, _) in files.list().map_err(|error| failed("list", "", error))? {
            if name.starts_with(TEMPORARY) {
                files.remove(&name).map_err(|error| failed("remove", &name, error))?;
            }
        }
        // A disk that is full now had room before.
        let _ = files.reserve();
        let view = FolderView { files: Arc::new(files) };
        Ok(Self { view, swapping: Mutex::new(()), next: AtomicU64::new(1) })
    }

    fn begin(&self, name: &str) -> Result<FileUpload, Error> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (files, temporary) = (self.view.files.clone(), format!("{TEMPORARY}{number}"));
        let created = files.create(&temporary);
        let file = created.map_err(|error| Error::io("write", files.shown(&temporary), error))?;
        Ok(FileUpload { files, file, length: 0, temporary, name: name.to_owned(), gone: false })
    }

    /// Renames a new file to HEAD. The order is that of an object, but that HEAD is replaced.
    fn replace_head(&self, new: &Head) -> Result<(), Error> {
        let files = &self.view.files;
        let failed = |error| Error::io("write", files.shown(HEAD), error);
        let bytes = new.write();
        let mut upload = loop {
            match self.write_head(&bytes) {
                Err(error) if error.is_full() && files.release() => {}
                written => break written?,
            }
        };
        files.rename(&upload.temporary, HEAD).map_err(failed)?;
        upload.gone = true;
        // The HEAD before has made room.
        let _ = files.reserve();
        self.settle_head()
    }

    fn write_head(&self, bytes: &[u8]) -> Result<FileUpload, Error> {
        let failed = |error| Error::io("write", self.view.files.shown(HEAD), error);
        let mut upload = self.begin(HEAD)?;
        upload.write_all(bytes).map_err(failed)?;
        upload.file.sync().map_err(failed)?;
        Ok(upload)
    }

    fn settle_head(&self) -> Result<(), Error> {
        let files = &self.view.files;
        files.sync().map_err(|cause| Error::Unclear { object: files.shown(HEAD), cause })
    }
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
            Err(Error::Missing { .. }) => Ok(Box::new(self.begin(name)?)),
            Ok(_) => Err(Error::Taken { object: self.view.files.shown(name) }),
            Err(error) => Err(error),
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
        // The lock guards no data: a panic under it leaves nothing half done.
        let _alone = self.swapping.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.head()?;
        if found.as_ref() == Some(new) {
            return self.settle_head();
        }
        if found.as_ref() != expected {
            let (expected, found) = (expected.cloned().map(Box::new), found.map(Box::new));
            return Err(Error::Overtaken { expected, found });
        }
        self.replace_head(new)
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
        let failed = |error| Error::io("read", self.files.shown(HEAD), error);
        let file = match self.files.open(HEAD).map_err(failed) {
            Err(Error::Missing { .. }) => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(HEAD_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
        let named = |corrupt| CorruptObject { object: self.files.shown(HEAD), ..corrupt };
        Ok(Some(Head::parse(&bytes).map_err(named)?))
    }
}

/// A temporary file, which is removed unless it became something.
struct FileUpload {
    files: Arc<Files>,
    file: Box<dyn DiskFile>,
    /// Bytes written so far.
    length: u64,
    temporary: String,
    name: String,
    gone: bool,
}

impl Write for FileUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(bytes, self.length)?;
        self.length += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for FileUpload {
    fn finish(mut self: Box<Self>) -> Result<(), Error> {
        let path = self.files.shown(&self.name);
        let failed = |error| Error::io("write", path.clone(), error);
        self.file.sync().map_err(failed)?;
        // Linking never replaces what is there, as renaming would.
        self.files.link(&self.temporary, &self.name).map_err(failed)?;
        self.files.remove(&self.temporary).map_err(failed)?;
        self.gone = true;
        self.files.sync().map_err(failed)
    }
}

impl Drop for FileUpload {
    fn drop(&mut self) {
        if !self.gone {
            // If that fails, the next start does it.
            let _ = self.files.remove(&self.temporary);
        }
    }
}

#[cfg(test)]
mod tests;
