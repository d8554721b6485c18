//! A file that is being written under a temporary name, until it is whole.

use std::io::{self, Write};
use std::sync::Arc;

use super::files::Files;
use crate::checkpoint::store::{Error, Upload};
use crate::disk::DiskFile;

/// A temporary file, which is removed unless it became something.
pub struct FileUpload {
    files: Arc<Files>,
    file: Box<dyn DiskFile>,
    /// Bytes written so far.
    length: u64,
    temporary: String,
    name: String,
    gone: bool,
}

impl FileUpload {
    /// Begins what is to become the file `name`.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub fn begin(files: &Arc<Files>, name: &str) -> Result<Self, Error> {
        let (files, temporary) = (files.clone(), files.temporary());
        let created = files.create(&temporary);
        let file = created.map_err(|error| Error::io("write", files.shown(&temporary), error))?;
        Ok(Self { files, file, length: 0, temporary, name: name.to_owned(), gone: false })
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Write::write_all(self, bytes).map_err(|error| self.failed(error))
    }

    /// Makes its bytes durable, then gives it its name, which must be free. The name is not durable
    /// before the folder is synced.
    ///
    /// # Errors
    /// The name is taken, or the disk cannot be written.
    pub fn link(mut self) -> Result<(), Error> {
        // A name may reach the disk before the bytes.
        self.file.sync().map_err(|error| self.failed(error))?;
        let linked = self.files.link(&self.temporary, &self.name);
        linked.map_err(|error| self.failed(error))?;
        self.files.remove(&self.temporary).map_err(|error| self.failed(error))?;
        self.gone = true;
        Ok(())
    }

    /// As [`link`](Self::link), in place of a file that has the name.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub fn replace(mut self) -> Result<(), Error> {
        self.file.sync().map_err(|error| self.failed(error))?;
        let renamed = self.files.rename(&self.temporary, &self.name);
        renamed.map_err(|error| self.failed(error))?;
        self.gone = true;
        Ok(())
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::io("write", self.files.shown(&self.name), error)
    }
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
    fn finish(self: Box<Self>) -> Result<(), Error> {
        let (files, path) = (self.files.clone(), self.files.shown(&self.name));
        self.link()?;
        files.sync().map_err(|error| Error::io("write", path, error))
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
