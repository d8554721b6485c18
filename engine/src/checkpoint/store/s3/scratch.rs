//! Output on its way to the bucket: a local file without a name, which goes with the process, until
//! it is put as a whole. It stays for another try, so an upload that fails loses nothing.

use std::fs::{File, OpenOptions, remove_file};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::Address;
use super::service::S3Service;
use super::upload::ObjectUpload;
use crate::checkpoint::store::{Error, Name, Scratch, Upload, draw};
use crate::disk::{DiskFile, FILE_MODE};
use crate::scarce::when_free;

/// Where scratch files lie: the folder for temporary files, which `TMPDIR` names.
pub fn folder() -> PathBuf {
    std::env::temp_dir()
}

/// A local file that is put into the bucket.
pub struct ObjectScratch {
    service: Arc<S3Service>,
    address: Address,
    file: File,
}

impl ObjectScratch {
    /// An empty one.
    ///
    /// # Errors
    /// There is no room, or the system refuses.
    pub fn new(service: Arc<S3Service>, address: Address) -> io::Result<Self> {
        let path = folder().join(format!("potoroo-{}-{:016x}", std::process::id(), draw()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(FILE_MODE);
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = when_free(|| options.open(&path)).map_err(named)?;
        remove_file(&path).map_err(named)?;
        Ok(Self { service, address, file })
    }

    fn upload(&self, upload: &mut ObjectUpload, bytes: u64) -> io::Result<()> {
        let mut piece = vec![0; bytes.min(PIECE_BYTES) as usize];
        let mut done = 0;
        while done < bytes {
            let piece = &mut piece[..(bytes - done).min(PIECE_BYTES) as usize];
            self.read_at(piece, done)?;
            upload.write_all(piece)?;
            done += piece.len() as u64;
        }
        Ok(())
    }
}

/// Bytes that are read at once.
const PIECE_BYTES: u64 = 256 * 1024;

impl Scratch for ObjectScratch {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        DiskFile::write_at(&self.file, bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        DiskFile::read_at(&self.file, bytes, offset)
    }

    fn store(&mut self, name: &str, bytes: u64) -> Result<(), Error> {
        Name::check(name)?;
        let object = self.address.object(name);
        let mut upload = ObjectUpload::new(self.service.clone(), name.to_owned(), object.clone());
        self.upload(&mut upload, bytes).map_err(|cause| Error::io("write", object, cause))?;
        Box::new(upload).finish()
    }
}
