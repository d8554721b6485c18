//! An object on its way to the bucket: by one put when it is small, in pieces when it is not.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use object_store::{Error as Refusal, MultipartUpload, PutMode};

use super::service::{REQUEST_BYTES, S3Service};
use super::trouble;
use crate::checkpoint::store::{Error, Upload};

/// An object that is being written. Holds one piece.
pub struct ObjectUpload {
    service: Arc<S3Service>,
    name: String,
    /// The object for messages.
    object: String,
    piece: Vec<u8>,
    /// The pieces that were sent; `None` before the first.
    sent: Option<Box<dyn MultipartUpload>>,
    /// Their bytes.
    sent_bytes: u64,
}

impl ObjectUpload {
    /// Begins an object. Nothing is sent before there is a piece, or the end.
    pub fn new(service: Arc<S3Service>, name: String, object: String) -> Self {
        Self { service, name, object, piece: Vec::new(), sent: None, sent_bytes: 0 }
    }

    fn send(&mut self) -> Result<(), Refusal> {
        let piece = std::mem::take(&mut self.piece);
        self.sent_bytes += piece.len() as u64;
        let upload = match &mut self.sent {
            Some(upload) => upload,
            None => self.sent.insert(self.service.begin(&self.name)?),
        };
        self.service.add(&mut **upload, piece)
    }

    fn finish_pieces(&mut self) -> Result<(), Refusal> {
        if !self.piece.is_empty() {
            self.send()?;
        }
        // The protocol has no condition for the client to use here. The name was free before the
        // first piece, and another writer of it would have to draw the same random number
        // in the same generation, of which there is one coordinator.
        if self.service.length(&self.name)?.is_some() {
            let (path, source) = (self.name.clone(), "it is there".into());
            return Err(Refusal::AlreadyExists { path, source });
        }
        let pieces = self.sent.take().expect("a piece was sent");
        match self.service.complete(pieces) {
            // Of a request that is sent again, since its answer got lost, the pieces are gone.
            Err(Refusal::NotFound { .. })
                if self.service.length(&self.name)? == Some(self.sent_bytes) =>
            {
                Ok(())
            }
            completed => completed,
        }
    }

    fn finish_whole(&mut self) -> Result<(), Refusal> {
        let whole = Bytes::from(std::mem::take(&mut self.piece));
        match self.service.put(&self.name, whole.clone().into(), PutMode::Create) {
            // A request that is sent again, since its answer was none, finds its own object.
            Err(Refusal::AlreadyExists { .. }) if self.is_stored(&whole)? => Ok(()),
            put => put,
        }
    }

    /// Whether exactly this is what is there.
    fn is_stored(&self, whole: &Bytes) -> Result<bool, Refusal> {
        let found = self.service.whole(&self.name, REQUEST_BYTES as u64)?;
        Ok(found.is_some_and(|(bytes, _)| bytes == whole && !bytes.is_empty()))
    }
}

impl Write for ObjectUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = &bytes[..bytes.len().min(REQUEST_BYTES - self.piece.len())];
        self.piece.extend_from_slice(taken);
        if self.piece.len() == REQUEST_BYTES {
            self.send().map_err(|error| trouble::cause(&error))?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for ObjectUpload {
    fn finish(mut self: Box<Self>) -> Result<(), Error> {
        let finished = match self.sent {
            Some(_) => self.finish_pieces(),
            None => self.finish_whole(),
        };
        finished.map_err(|error| match error {
            Refusal::AlreadyExists { .. } => Error::Taken { object: self.object.clone() },
            error => Error::io("write", &self.object, trouble::cause(&error)),
        })
    }
}

impl Drop for ObjectUpload {
    fn drop(&mut self) {
        if let Some(upload) = self.sent.take() {
            // Only to free what it takes. A process that is killed leaves it to the bucket's rule
            // for uploads that were never completed.
            self.service.abort(upload);
        }
    }
}
