//! Disk: the few calls that output needs on its way into a file, so that tests can put a disk under
//! it that loses and tears whatever was not synced.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, statvfs};
use rustix::io::Errno;

use crate::checkpoint::store::{FILE_MODE, FOLDER_MODE};
use crate::scarce::when_free;

/// Files and folders by their paths.
pub trait Disk: Debug + Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    /// There is none to read (`NotFound`), it is no regular file (`InvalidData`), the name of a new
    /// one is taken, or the system refuses.
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>>;

    /// Removes a file.
    ///
    /// # Errors
    /// There is none (`NotFound`), or the system refuses.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name, at once; a file that had it before loses it.
    ///
    /// # Errors
    /// There is none (`NotFound`), or the system refuses.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// The files of a folder, in any order.
    ///
    /// # Errors
    /// The system refuses.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// Makes a folder unless it is there; its name is durable then.
    ///
    /// # Errors
    /// The system refuses.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;

    /// How much room there is; `None` where that is not limited.
    ///
    /// # Errors
    /// The system refuses.
    fn room(&self, folder: &Path) -> io::Result<Option<Room>>;

    /// Makes the names in a folder durable as they are now. Says nothing of what is in the files.
    ///
    /// # Errors
    /// The system refuses; what is durable is then unknown.
    fn sync(&self, folder: &Path) -> io::Result<()>;
}

/// Room on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that can still be written.
    pub free: u64,
    /// Bytes of all of it.
    pub total: u64,
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// To be read: a regular file, which is not reached through a symbolic link.
    Read,
    /// To be read and written; it is made unless it is there.
    Write,
    /// To be made and written.
    New,
}

/// An open file.
pub trait DiskFile: Debug + Send {
    /// Its length in bytes.
    ///
    /// # Errors
    /// The system refuses.
    fn length(&self) -> io::Result<u64>;

    /// Reads all of `bytes` from `offset` on.
    ///
    /// # Errors
    /// It is shorter, or the system refuses.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` from `offset` on.
    ///
    /// # Errors
    /// The disk is full, or the system refuses; some of it may be written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Drops all its bytes.
    ///
    /// # Errors
    /// The system refuses.
    fn clear(&self) -> io::Result<()>;

    /// Makes its bytes durable. Says nothing of its name.
    ///
    /// # Errors
    /// The system refuses; what is durable is then unknown.
    fn sync(&self) -> io::Result<()>;
}

/// The disk of this machine.
#[derive(Clone, Copy, Debug)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        if how == Open::Read {
            return Ok(Box::new(open_regular(path)?));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(how == Open::Write);
        if how == Open::New {
            // A spool: what waits in it is for nobody else yet.
            options.mode(FILE_MODE);
        }
        options.create_new(how == Open::New);
        Ok(Box::new(when_free(|| options.open(path))?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        when_free(|| fs::read_dir(folder))?.map(|entry| entry.map(|entry| entry.path())).collect()
    }

    fn room(&self, folder: &Path) -> io::Result<Option<Room>> {
        let facts = statvfs(folder)?;
        let bytes = |blocks: u64| blocks.saturating_mul(facts.f_frsize);
        Ok(Some(Room { free: bytes(facts.f_bavail), total: bytes(facts.f_blocks) }))
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
        match folder.parent().filter(|above| *above != Path::new("")) {
            Some(above) => self.sync(above),
            None => Ok(()),
        }
    }

    fn sync(&self, folder: &Path) -> io::Result<()> {
        when_free(|| File::open(folder))?.sync_all()
    }
}

/// Opens a file that somebody else may have put there: a link leads elsewhere, and a pipe waits.
fn open_regular(path: &Path) -> io::Result<File> {
    let refused = |what| {
        let text = format!("it is {what}, and output waits in regular files only: remove it");
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits() as i32);
    let file =
        when_free(|| options.open(path)).map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::LOOP) => refused("a symbolic link"),
            Some(Errno::NXIO) => refused("a socket"),
            _ => error,
        })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(refused("no file")) }
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn clear(&self) -> io::Result<()> {
        self.set_len(0)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
}
