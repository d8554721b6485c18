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

mod disk;
mod local;

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Error, Head, Name, Store, Upload, View};
use crate::checkpoint::Corrupt;

pub use disk::{Disk, DiskFile};
pub use local::{FILE_MODE, FOLDER_MODE, LocalDisk};

const HEAD: &str = "HEAD";
const TEMPORARY: &str = "tmp-";

/// A longer HEAD is damaged: memory stays bounded.
const HEAD_BYTES_MAX: u64 = 64 * 1024;

/// Checkpoints in a folder of `D`, to read and write.
pub struct Folder<D: Disk = LocalDisk> {
    view: FolderView<D>,
    /// Held while HEAD is compared and swapped; the lock file excludes other processes.
    swapping: Mutex<()>,
    /// Number of the next temporary file.
    next: AtomicU64,
}

/// Checkpoints in a folder of `D`, to read. Takes no lock: an application may use it meanwhile.
pub struct FolderView<D: Disk = LocalDisk> {
    disk: Arc<D>,
}

impl Folder {
    /// Opens or creates the folder, and keeps it to this process until it is dropped.
    ///
    /// # Errors
    /// Another process uses it, or it cannot be written.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::on(LocalDisk::lock(path)?)
    }
}

impl FolderView {
    /// Opens an existing folder.
    ///
    /// # Errors
    /// It does not exist or is no folder.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self { disk: Arc::new(LocalDisk::view(path)?) })
    }
}

impl<D: Disk> Folder<D> {
    /// Takes over what is on `disk`, and removes what a crash left half written.
    ///
    /// # Errors
    /// The disk cannot be read or written.
    pub fn on(disk: D) -> Result<Self, Error> {
        let failed = |action, name: &str, error| Error::io(action, disk.path(name), error);
        for (name, _) in disk.list().map_err(|error| failed("list", "", error))? {
            if name.starts_with(TEMPORARY) {
                disk.remove(&name).map_err(|error| failed("remove", &name, error))?;
            }
        }
        // A disk that is full now had room before.
        let _ = disk.reserve();
        let view = FolderView { disk: Arc::new(disk) };
        Ok(Self { view, swapping: Mutex::new(()), next: AtomicU64::new(1) })
    }

    fn begin(&self, name: &str) -> Result<FileUpload<D>, Error> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (disk, temporary) = (self.view.disk.clone(), format!("{TEMPORARY}{number}"));
        let created = disk.create(&temporary);
        let file = created.map_err(|error| Error::io("write", disk.path(&temporary), error))?;
        Ok(FileUpload { disk, file, temporary, name: name.to_owned(), gone: false })
    }

    /// Renames a new file to HEAD. The order is that of an object, but that HEAD is replaced.
    fn replace_head(&self, new: &Head) -> Result<(), Error> {
        let disk = &self.view.disk;
        let failed = |error| Error::io("write", disk.path(HEAD), error);
        let bytes = new.write();
        let mut upload = loop {
            match self.write_head(&bytes) {
                Err(error) if error.is_full() && disk.release() => {}
                written => break written?,
            }
        };
        disk.rename(&upload.temporary, HEAD).map_err(failed)?;
        upload.gone = true;
        // The HEAD before has made room.
        let _ = disk.reserve();
        self.settle_head()
    }

    fn write_head(&self, bytes: &[u8]) -> Result<FileUpload<D>, Error> {
        let failed = |error| Error::io("write", self.view.disk.path(HEAD), error);
        let mut upload = self.begin(HEAD)?;
        upload.write_all(bytes).map_err(failed)?;
        upload.file.sync().map_err(failed)?;
        Ok(upload)
    }

    fn settle_head(&self) -> Result<(), Error> {
        let disk = &self.view.disk;
        disk.sync().map_err(|cause| Error::Unclear { object: disk.path(HEAD), cause })
    }
}

impl<D: Disk> Store for Folder<D> {
    fn create(&self, name: &str) -> Result<Box<dyn Upload>, Error> {
        match self.open(name) {
            Err(Error::Missing { .. }) => Ok(Box::new(self.begin(name)?)),
            Ok(_) => Err(Error::Taken { object: self.view.disk.path(name) }),
            Err(error) => Err(error),
        }
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        Name::check(name)?;
        match self.view.disk.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", self.view.disk.path(name), error))
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

impl<D: Disk> View for Folder<D> {
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

impl<D: Disk> View for FolderView<D> {
    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>, Error> {
        Name::check(name)?;
        self.disk.open(name).map_err(|error| Error::io("read", self.disk.path(name), error))
    }

    fn list(&self) -> Result<Vec<(String, u64)>, Error> {
        let listed = self.disk.list();
        let mut files = listed.map_err(|error| Error::io("list", self.disk.path(""), error))?;
        files.retain(|(name, _)| Name::check(name).is_ok());
        files.sort();
        Ok(files)
    }

    fn head(&self) -> Result<Option<Head>, Error> {
        let failed = |error| Error::io("read", self.disk.path(HEAD), error);
        let file = match self.disk.open(HEAD).map_err(failed) {
            Err(Error::Missing { .. }) => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(HEAD_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
        let named = |corrupt| Corrupt { object: self.disk.path(HEAD), ..corrupt };
        Ok(Some(Head::parse(&bytes).map_err(named)?))
    }
}

/// A temporary file, which is removed unless it became something.
struct FileUpload<D: Disk> {
    disk: Arc<D>,
    file: D::File,
    temporary: String,
    name: String,
    gone: bool,
}

impl<D: Disk> Write for FileUpload<D> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl<D: Disk> Upload for FileUpload<D> {
    fn finish(mut self: Box<Self>) -> Result<(), Error> {
        let path = self.disk.path(&self.name);
        let failed = |error| Error::io("write", path.clone(), error);
        self.file.sync().map_err(failed)?;
        // Linking never replaces what is there, as renaming would.
        self.disk.link(&self.temporary, &self.name).map_err(failed)?;
        self.disk.remove(&self.temporary).map_err(failed)?;
        self.gone = true;
        self.disk.sync().map_err(failed)
    }
}

impl<D: Disk> Drop for FileUpload<D> {
    fn drop(&mut self) {
        if !self.gone {
            // If that fails, the next start does it.
            let _ = self.disk.remove(&self.temporary);
        }
    }
}

#[cfg(test)]
mod tests;
