//! Store: where the objects of checkpoints lie, and the one pointer that says which of them count.
//!
//! ```text
//!   create ─► write … ─► finish      an object: there for ever and as it is, or not at all
//!   scratch ─► write_at … ─► store   the same, of bytes that have no name yet
//!   swap_head                        HEAD: the commit of a checkpoint
//! ```
//!
//! Promises: an object has come to stay when `finish` returns, HEAD when `swap_head` does; HEAD
//! changes by compare-and-swap only, and nothing else commits. Calls wait for the storage: they are
//! for a thread beside the cores. Must never do: overwrite an object, or know what is in one.

// In reading order; the blank lines keep it.
mod error;

mod head;
mod name;

mod folder;
mod memory;
#[cfg(feature = "s3")]
mod s3;

mod location;

pub mod contract;

use std::io::{self, Read, Write};
use std::path::Path;

pub use error::Error;
pub use folder::{Folder, FolderView};
pub use head::Head;
pub use location::{Location, NoLocation};
pub use memory::Memory;
pub use name::{Name, NameKind};
#[cfg(feature = "s3")]
pub use s3::{Address, S3, Variables};

use crate::disk::Room;
pub use crate::system::draw;

/// The reading half of a [`Store`]: takes no lock and changes nothing.
pub trait StoreReader: Send + Sync {
    /// Opens an object.
    ///
    /// # Errors
    /// It is missing, or the storage cannot be read.
    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>, Error>;

    /// All whole objects with their lengths in bytes, in the order of their names. Without HEAD.
    ///
    /// # Errors
    /// The storage cannot be read.
    fn list(&self) -> Result<Vec<(String, u64)>, Error>;

    /// The last commit, or `None` when nothing was ever committed.
    ///
    /// # Errors
    /// HEAD is damaged, or the storage cannot be read.
    fn head(&self) -> Result<Option<Head>, Error>;
}

/// Storage of checkpoints.
pub trait Store: StoreReader {
    /// Begins an object. Its name must never have been used: see [`Name`].
    ///
    /// # Errors
    /// The name is taken, or the storage cannot be written.
    fn create(&self, name: &str) -> Result<Box<dyn Upload>, Error>;

    /// Makes an object of a file without a copy of its bytes, which are durable and never change.
    /// Returns whether that can be done here; if not, they are to be copied.
    ///
    /// # Errors
    /// It is unclear whether the object is durable.
    fn link(&self, file: &Path, name: &str) -> Result<bool, Error> {
        let _ = (file, name);
        Ok(false)
    }

    /// Begins a scratch file: bytes that become an object later, or never.
    ///
    /// # Errors
    /// It cannot be made.
    fn scratch(&self) -> io::Result<Box<dyn Scratch>>;

    /// Removes what processes that have died had half written, if others share the storage. What
    /// may be of one that lives stays.
    ///
    /// # Errors
    /// The storage cannot be read or written.
    fn remove_left_over(&self) -> Result<(), Error> {
        Ok(())
    }

    /// How much room there is for scratch files; `None` where that is not limited.
    ///
    /// # Errors
    /// The system refuses.
    fn room(&self) -> io::Result<Option<ScratchRoom>>;

    /// Makes an empty object, which is a mark: it may get lost with the power, and one that is
    /// there stays.
    ///
    /// # Errors
    /// The storage cannot be written.
    fn mark(&self, name: &Name) -> Result<(), Error>;

    /// Deletes an object; one that is not there is gone already.
    ///
    /// # Errors
    /// The storage cannot be written.
    fn delete(&self, name: &str) -> Result<(), Error>;

    /// Sets HEAD to `new` when it is `expected`: the only commit point. A caller that got
    /// [`Error::Unclear`] may call it again with the same arguments: it is fine when HEAD is `new`
    /// already.
    ///
    /// # Errors
    /// [`Error::Overtaken`]: another coordinator changed HEAD, and this one is to stop.
    /// [`Error::Unclear`]: it may have been changed or not. Any other: this call did not change it;
    /// one before it that was unclear may have.
    fn swap_head(&self, expected: Option<&Head>, new: &Head) -> Result<(), Error>;
}

/// An object that is being written. When it is dropped without [`finish`](Self::finish), nothing
/// of it remains.
pub trait Upload: Write + Send {
    /// Makes the object durable and visible under its name, unless the name is taken.
    ///
    /// # Errors
    /// The name is taken, or the storage cannot be written.
    fn finish(self: Box<Self>) -> Result<(), Error>;
}

/// Room for scratch files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScratchRoom {
    /// Of the disk on which they are.
    pub disk: Room,
    /// Objects take of it, too.
    pub has_objects: bool,
}

/// A scratch file of a store. When it is dropped without [`store`](Self::store), nothing of it
/// remains.
pub trait Scratch: Send {
    /// Writes all of `bytes` from `offset` on. An object that was stored of it is gone then.
    ///
    /// # Errors
    /// There is no room, or the system refuses; some of it may be written.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Reads all of `bytes` from `offset` on.
    ///
    /// # Errors
    /// It is shorter, or the system refuses.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Makes an object of its first `bytes` bytes, durably; more may follow them in a folder. An
    /// object that was stored of it before, and that nothing names, is gone then.
    ///
    /// # Errors
    /// [`Error::NotDurable`]: what of it is on the disk is unknown, so it is of no use any more.
    /// Any other: it may be tried again.
    fn store(&mut self, name: &str, bytes: u64) -> Result<(), Error>;
}
