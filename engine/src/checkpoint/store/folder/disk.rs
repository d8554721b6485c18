//! Disk: the few calls that a folder needs, so that tests can put a disk under it that loses,
//! tears and reorders whatever was not synced.

use std::io::{self, Read, Write};

/// The files of one folder. Names are those of files in it, without separators.
pub trait Disk: Send + Sync + 'static {
    /// A file that is being written.
    type File: DiskFile;

    /// Creates an empty file.
    ///
    /// # Errors
    /// The name is taken, or the system refuses.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// There is none (`NotFound`), or the system refuses.
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>>;

    /// Gives a file a second name.
    ///
    /// # Errors
    /// The name is taken (`AlreadyExists`), or the system refuses.
    fn link(&self, from: &str, to: &str) -> io::Result<()>;

    /// Gives a file another name, at once; a file that had it before loses it.
    ///
    /// # Errors
    /// The system refuses.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a name, and the file with its last one.
    ///
    /// # Errors
    /// There is none (`NotFound`), or the system refuses.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// All names and the lengths of their files in bytes, in any order.
    ///
    /// # Errors
    /// The system refuses.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Makes all names durable as they are now. Says nothing of what is in the files.
    ///
    /// # Errors
    /// The system refuses; what is durable is then unknown.
    fn sync(&self) -> io::Result<()>;

    /// Sets room aside, for when the disk is full. Costs little where all of it is there.
    ///
    /// # Errors
    /// There is no room, or the system refuses.
    fn reserve(&self) -> io::Result<()> {
        Ok(())
    }

    /// Frees some of the room that was set aside. Returns whether there was any.
    fn release(&self) -> bool {
        false
    }

    /// `name` for messages.
    fn path(&self, name: &str) -> String;
}

/// A file that is being written.
pub trait DiskFile: Write + Send {
    /// Makes its bytes durable. Says nothing of its name.
    ///
    /// # Errors
    /// The system refuses; what is durable is then unknown.
    fn sync(&mut self) -> io::Result<()>;
}
