//! An object on its way from the bucket, piece by piece.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::service::{REQUEST_BYTES, S3Service};
use super::trouble;

/// An object that is being read. Holds one piece.
pub struct Download {
    service: Arc<S3Service>,
    name: String,
    /// Bytes of the object.
    length: u64,
    /// Bytes of it that were fetched.
    fetched: u64,
    piece: Bytes,
}

impl Download {
    /// The object `name`, which has `length` bytes.
    pub fn new(service: Arc<S3Service>, name: String, length: u64) -> Self {
        Self { service, name, length, fetched: 0, piece: Bytes::new() }
    }

    fn fetch(&mut self) -> io::Result<()> {
        let end = self.length.min(self.fetched + REQUEST_BYTES as u64);
        let piece = self.service.range(&self.name, self.fetched..end);
        self.piece = piece.map_err(|error| trouble::cause(&error))?;
        if self.piece.len() as u64 != end - self.fetched {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "it is shorter than it was"));
        }
        self.fetched = end;
        Ok(())
    }
}

impl Read for Download {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && self.fetched < self.length {
            self.fetch()?;
        }
        let count = into.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut into[..count]);
        Ok(count)
    }
}
