//! Output of a transactional sink between its marker and the store.

use std::fmt::{self, Debug, Formatter};
use std::io;

use xxhash_rust::xxh3::Xxh3;

use crate::checkpoint::Epoch;
use crate::checkpoint::store::{Scratch, Store};

/// Output of one sink that belongs to an epoch, and has no name yet.
pub struct Gathered {
    /// Name of the sink.
    pub sink: String,
    /// Name of the file that it is for; `None` for a client.
    pub file: Option<String>,
    /// The epoch at whose marker it ended.
    pub epoch: Epoch,
    /// Where in the sink's output it begins.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
    /// Of its bytes.
    pub digest: Box<Xxh3>,
    /// Where they are, from 0 on.
    pub scratch: Box<dyn Scratch>,
}

impl Debug for Gathered {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of `{}` at {}", self.bytes, self.sink, self.offset)
    }
}

impl Gathered {
    /// Nothing yet, for `sink` and the `file` into which it goes, if that is not a client. It
    /// begins at `offset`.
    ///
    /// # Errors
    /// There is no room, or the disk fails.
    pub fn new(
        store: &dyn Store,
        sink: &str,
        file: Option<String>,
        offset: u64,
    ) -> io::Result<Self> {
        let (sink, scratch, digest) = (sink.to_owned(), store.scratch()?, Box::new(Xxh3::new()));
        Ok(Self { sink, file, epoch: Epoch::NONE, offset, bytes: 0, digest, scratch })
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// There is no room, or the disk fails; the same may be written again.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.scratch.write_at(bytes, self.bytes)?;
        self.bytes += bytes.len() as u64;
        self.digest.update(bytes);
        Ok(())
    }

    /// Appends what came after it. On an error it is as it was.
    ///
    /// # Errors
    /// There is no room, or the disk fails.
    pub fn append(&mut self, next: &Self) -> io::Result<()> {
        assert_eq!(self.offset + self.bytes, next.offset, "it comes after it");
        let (bytes, digest) = (self.bytes, self.digest.clone());
        let appended = self.try_append(next);
        if appended.is_err() {
            // What was written after its last byte does not count.
            (self.bytes, self.digest) = (bytes, digest);
        }
        appended
    }

    fn try_append(&mut self, next: &Self) -> io::Result<()> {
        let mut buffer = vec![0; next.bytes.min(COPY_BYTES) as usize];
        let mut done = 0;
        while done < next.bytes {
            let piece = &mut buffer[..(next.bytes - done).min(COPY_BYTES) as usize];
            next.scratch.read_at(piece, done)?;
            self.write(piece)?;
            done += piece.len() as u64;
        }
        self.epoch = next.epoch;
        Ok(())
    }
}

/// Bytes that are copied at once.
const COPY_BYTES: u64 = 256 * 1024;
