//! A file of the folder on its way to a name: temporary at first, linked when it is durable.

use std::io;
use std::sync::Arc;

use super::files::Files;
use crate::checkpoint::store::{Error, Name, Scratch};
use crate::disk::DiskFile;

/// A temporary file, which is removed unless it became something.
pub struct FileScratch {
    files: Arc<Files>,
    file: Box<dyn DiskFile>,
    temporary: String,
    /// What it became.
    name: Option<String>,
}

impl FileScratch {
    /// Makes an empty one.
    ///
    /// # Errors
    /// There is no room, or the system refuses.
    pub fn new(files: Arc<Files>) -> io::Result<Self> {
        let temporary = files.temporary();
        let file = files.create(&temporary)?;
        Ok(Self { files, file, temporary, name: None })
    }

    /// Makes its bytes durable, then gives it the name, which must be free. The name is not durable
    /// before the folder is synced.
    ///
    /// # Errors
    /// As of [`Scratch::store`].
    pub fn link(&mut self, name: &str) -> Result<(), Error> {
        let path = self.files.shown(name);
        let failed = |error| Error::io("write", path.clone(), error);
        self.take_back().map_err(failed)?;
        // A name may reach the disk before the bytes.
        self.sync(name)?;
        // Linking never replaces what is there, as renaming would.
        self.files.link(&self.temporary, name).map_err(failed)?;
        self.files.remove(&self.temporary).map_err(failed)?;
        self.name = Some(name.to_owned());
        Ok(())
    }

    /// As [`link`](Self::link), in place of a file that has the name.
    ///
    /// # Errors
    /// As of [`Scratch::store`].
    pub fn replace(&mut self, name: &str) -> Result<(), Error> {
        self.sync(name)?;
        let renamed = self.files.rename(&self.temporary, name);
        renamed.map_err(|error| Error::io("write", self.files.shown(name), error))?;
        self.name = Some(name.to_owned());
        Ok(())
    }

    fn sync(&self, name: &str) -> Result<(), Error> {
        let object = || self.files.shown(name);
        self.file.sync().map_err(|cause| Error::NotDurable { object: object(), cause })
    }

    /// An object is never changed: what goes on has no name again.
    fn take_back(&mut self) -> io::Result<()> {
        if let Some(name) = &self.name {
            self.files.rename(name, &self.temporary)?;
            self.name = None;
        }
        Ok(())
    }
}

impl Scratch for FileScratch {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.take_back()?;
        self.file.write_at(bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(bytes, offset)
    }

    fn store(&mut self, name: &str, _bytes: u64) -> Result<(), Error> {
        Name::check(name)?;
        self.link(name)?;
        let object = || self.files.shown(name);
        self.files.sync().map_err(|cause| Error::NotDurable { object: object(), cause })
    }
}

impl Drop for FileScratch {
    fn drop(&mut self) {
        if self.name.is_none() {
            // If that fails, the next start does it.
            let _ = self.files.remove(&self.temporary);
        }
    }
}
