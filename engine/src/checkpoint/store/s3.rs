//! S3: checkpoints in a bucket of a store that speaks its protocol.
//!
//! ```text
//!   PREFIX/HEAD         text; replaced by a conditional put only
//!   PREFIX/part-…       objects: put if absent, large ones in pieces
//!   PREFIX/manifest-…
//!   PREFIX/output-…     gathered in a local scratch file, and put when it is whole
//!   PREFIX/shown-…      marks: empty
//! ```
//!
//! There is no lock: the process that starts last swaps HEAD to the next generation, and one that
//! still runs can commit nothing more and ends. That rests on conditional puts, so a store is asked
//! for them before it is used.
//!
//! Promises: HEAD changes by comparing its entity tag (If-Match, If-None-Match) and never without;
//! whether it changed is said to be unclear until it was read again, since a request may arrive
//! late; an object that was not finished is never seen; secrets are in no message. Must never do:
//! send a put of HEAD twice by itself, or hold more of an object than one piece.

mod address;
mod download;
mod scratch;
mod service;
mod trouble;
mod upload;

use std::io::{self, ErrorKind, Read};
use std::sync::{Arc, Mutex, PoisonError};

use object_store::{Error as Refusal, PutMode, PutPayload, UpdateVersion};

use super::{Error, Head, Name, Scratch, ScratchRoom, Store, StoreReader, Upload, draw};
use crate::checkpoint::CorruptObject;
use crate::disk::{Disk, LocalDisk};
use download::Download;
use scratch::ObjectScratch;
use service::S3Service;
use upload::ObjectUpload;

pub use address::Address;
pub use service::{REQUEST_BYTES, Variables};

const HEAD: &str = "HEAD";

/// A longer HEAD is damaged: memory stays bounded.
const HEAD_BYTES_MAX: u64 = 64 * 1024;

/// How often HEAD is read when another coordinator changes it at the same time.
const SWAP_ROUNDS: usize = 3;

/// No object has this entity tag: it is the digest of something, and nothing is known to have it.
const NO_TAG: &str = "\"00000000000000000000000000000000\"";

/// Checkpoints in a bucket.
pub struct S3 {
    service: Arc<S3Service>,
    address: Address,
    /// The HEAD of which is unknown whether it came to be. Locked while HEAD is swapped.
    doubt: Mutex<Option<Head>>,
}

impl S3 {
    /// Opens the place to read and write, and proves that it compares before it replaces.
    /// Credentials, and the region unless the address has one, are in `variables`: those of the
    /// environment by the names that they have for all of Amazon's clients.
    ///
    /// # Errors
    /// It cannot be reached or written, there are no credentials, or it takes a conditional put
    /// for a plain one.
    pub fn open(address: &Address, variables: Variables<'_>) -> Result<Self, Error> {
        let store = Self::view(address, variables)?;
        store.prove()?;
        Ok(store)
    }

    /// Opens the place to read; `variables` as for [`open`](Self::open).
    ///
    /// # Errors
    /// There are no credentials.
    pub fn view(address: &Address, variables: Variables<'_>) -> Result<Self, Error> {
        let service = S3Service::start(address, variables).map_err(|cause| Error::Io {
            action: "use",
            object: address.to_string(),
            cause,
        })?;
        Ok(Self { service: Arc::new(service), address: address.clone(), doubt: Mutex::new(None) })
    }

    /// A store that takes conditional puts for plain ones would let two coordinators commit.
    fn prove(&self) -> Result<(), Error> {
        let object = self.address.to_string();
        let name = format!("probe-{:016x}", draw());
        let put = |mode| self.service.put(&name, b"probe".as_slice().into(), mode);
        let first = put(PutMode::Create);
        let again = put(PutMode::Create);
        let other = put(PutMode::Update(of_tag(NO_TAG.to_owned())));
        let removed = self.service.delete(&name);
        match first {
            // That is the first request itself, sent a second time after no answer came.
            Ok(()) | Err(Refusal::AlreadyExists { .. }) => {}
            Err(error) => {
                let cause = trouble::cause(&error);
                return Err(Error::Io { action: "write", object, cause });
            }
        }
        let compares = matches!(again, Err(Refusal::AlreadyExists { .. }))
            && matches!(other, Err(Refusal::Precondition { .. } | Refusal::AlreadyExists { .. }));
        if !compares {
            let text = "it ignores the conditions If-None-Match and If-Match, and replaces objects";
            let cause = io::Error::new(ErrorKind::Unsupported, text);
            return Err(Error::Io { action: "keep checkpoints in", object, cause });
        }
        removed.map_err(|error| Error::io("remove", self.shown(&name), trouble::cause(&error)))
    }

    /// HEAD with its entity tag.
    fn head_with_tag(&self) -> Result<Option<(Head, String)>, Error> {
        let object = self.shown(HEAD);
        let failed = |cause| Error::io("read", object.clone(), cause);
        let read = self.service.whole(HEAD, HEAD_BYTES_MAX);
        let read = read.map_err(|error| failed(trouble::cause(&error)))?;
        let Some((bytes, tag)) = read else { return Ok(None) };
        let named = |corrupt| CorruptObject { object: object.clone(), ..corrupt };
        let head = Head::parse(&bytes).map_err(named)?;
        let without = || io::Error::new(ErrorKind::Unsupported, "it has no entity tag (ETag)");
        Ok(Some((head, tag.ok_or_else(|| failed(without()))?)))
    }

    /// Swaps HEAD, or returns why not. A request without an answer may still arrive: reading the
    /// old HEAD then proves nothing.
    fn try_swap(&self, expected: Option<&Head>, new: &Head) -> Result<(), Error> {
        for _ in 0..SWAP_ROUNDS {
            let (found, tag) = self.head_with_tag()?.unzip();
            if found.as_ref() == Some(new) {
                return Ok(());
            }
            if found.as_ref() != expected {
                let (expected, found) = (expected.cloned().map(Box::new), found.map(Box::new));
                return Err(Error::Overtaken { expected, found });
            }
            let mode = tag.map_or(PutMode::Create, |tag| PutMode::Update(of_tag(tag)));
            match self.service.put_once(HEAD, new.write().into(), mode) {
                Ok(()) => return Ok(()),
                // It is not what was read any more: what it is decides.
                Err(Refusal::Precondition { .. } | Refusal::AlreadyExists { .. }) => {}
                Err(error) if trouble::is_certain(&error) => {
                    return Err(Error::io("write", self.shown(HEAD), trouble::cause(&error)));
                }
                Err(error) => return Err(self.unclear(trouble::cause(&error))),
            }
        }
        Err(self.unclear(io::Error::other("it changes all the time")))
    }

    fn unclear(&self, cause: io::Error) -> Error {
        Error::Unclear { object: self.shown(HEAD), cause }
    }

    /// An object for messages.
    fn shown(&self, name: &str) -> String {
        self.address.object(name)
    }
}

fn of_tag(tag: String) -> UpdateVersion {
    UpdateVersion { e_tag: Some(tag), version: None }
}

impl StoreReader for S3 {
    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>, Error> {
        Name::check(name)?;
        let object = self.shown(name);
        match self.service.length(name) {
            Ok(Some(length)) => {
                Ok(Box::new(Download::new(self.service.clone(), name.to_owned(), length)))
            }
            Ok(None) => Err(Error::Missing { object }),
            Err(error) => Err(Error::io("read", object, trouble::cause(&error))),
        }
    }

    fn list(&self) -> Result<Vec<(String, u64)>, Error> {
        let failed = |error| Error::io("list", self.address.to_string(), trouble::cause(&error));
        let mut objects = self.service.list().map_err(failed)?;
        objects.retain(|(name, _)| Name::check(name).is_ok());
        objects.sort();
        Ok(objects)
    }

    fn head(&self) -> Result<Option<Head>, Error> {
        Ok(self.head_with_tag()?.map(|(head, _)| head))
    }
}

impl Store for S3 {
    fn create(&self, name: &str) -> Result<Box<dyn Upload>, Error> {
        Name::check(name)?;
        let object = self.shown(name);
        match self.service.length(name) {
            Ok(None) => {
                Ok(Box::new(ObjectUpload::new(self.service.clone(), name.to_owned(), object)))
            }
            Ok(Some(_)) => Err(Error::Taken { object }),
            Err(error) => Err(Error::io("write", object, trouble::cause(&error))),
        }
    }

    fn scratch(&self) -> io::Result<Box<dyn Scratch>> {
        Ok(Box::new(ObjectScratch::new(self.service.clone(), self.address.clone())?))
    }

    fn room(&self) -> io::Result<Option<ScratchRoom>> {
        let room = LocalDisk.room(&scratch::folder())?;
        Ok(room.map(|disk| ScratchRoom { disk, has_objects: false }))
    }

    fn mark(&self, name: &Name) -> Result<(), Error> {
        let name = name.to_string();
        match self.service.put(&name, PutPayload::default(), PutMode::Create) {
            Ok(()) | Err(Refusal::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(Error::io("write", self.shown(&name), trouble::cause(&error))),
        }
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        Name::check(name)?;
        let deleted = self.service.delete(name);
        deleted.map_err(|error| Error::io("remove", self.shown(name), trouble::cause(&error)))
    }

    fn swap_head(&self, expected: Option<&Head>, new: &Head) -> Result<(), Error> {
        // The lock guards no more than the doubt: a panic under it leaves nothing half done.
        let mut doubt = self.doubt.lock().unwrap_or_else(PoisonError::into_inner);
        match self.try_swap(expected, new) {
            Err(Error::Unclear { object, cause }) => {
                *doubt = Some(new.clone());
                Err(Error::Unclear { object, cause })
            }
            // An earlier request for the same may have done it, or may yet.
            Err(Error::Io { object, cause, .. }) if doubt.as_ref() == Some(new) => {
                Err(Error::Unclear { object, cause })
            }
            clear => {
                *doubt = None;
                clear
            }
        }
    }
}
