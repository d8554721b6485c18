//! A file that is written from its beginning to its end under a temporary name, until it is whole.

use std::io::{self, Write};
use std::sync::Arc;

use super::files::Files;
use super::scratch::FileScratch;
use crate::checkpoint::store::{Error, Scratch, Upload};

/// A temporary file, which is removed unless it became something.
pub struct FileUpload {
    files: Arc<Files>,
    scratch: FileScratch,
    /// Bytes written so far.
    length: u64,
    name: String,
}

impl FileUpload {
    /// Begins what is to become the file `name`.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub fn begin(files: &Arc<Files>, name: &str) -> Result<Self, Error> {
        let scratch = FileScratch::new(files.clone());
        let scratch = scratch.map_err(|error| Error::io("write", files.shown(name), error))?;
        Ok(Self { files: files.clone(), scratch, length: 0, name: name.to_owned() })
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = Write::write_all(self, bytes);
        written.map_err(|error| Error::io("write", self.files.shown(&self.name), error))
    }

    /// Makes its bytes durable, then gives it its name, which must be free. The name is not durable
    /// before the folder is synced.
    ///
    /// # Errors
    /// The name is taken, or the disk cannot be written.
    pub fn link(mut self) -> Result<(), Error> {
        self.scratch.link(&self.name)
    }

    /// As [`link`](Self::link), in place of a file that has the name.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub fn replace(mut self) -> Result<(), Error> {
        self.scratch.replace(&self.name)
    }
}

impl Write for FileUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.scratch.write_at(bytes, self.length)?;
        self.length += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for FileUpload {
    fn finish(mut self: Box<Self>) -> Result<(), Error> {
        self.scratch.store(&self.name, self.length)
    }
}
