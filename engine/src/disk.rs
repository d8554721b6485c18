//! Disk: the few calls that checkpoints and output need on their way into files, so that tests can
//! put a disk under them that loses, tears and reorders whatever was not synced.
//!
//! Owns what the engine's files may be read by. Must never be used on a core: it waits.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, OFlags, fallocate, fstatvfs, statvfs};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::scarce::when_free;

/// What is stored is for the user only whose application it is, whatever the umask allows.
pub const FILE_MODE: u32 = 0o600;

/// As [`FILE_MODE`], of folders.
pub const FOLDER_MODE: u32 = 0o700;

/// Bytes that are set aside; of a small disk a part of it at most.
const RESERVE_BYTES: u64 = 4 << 20;
const RESERVE_PART: u64 = 16;

/// Bytes that are freed at once: HEAD takes a page or two. If another program takes them, there
/// are more.
const RELEASE_BYTES: u64 = 16 * 1024;

/// File systems of one machine alone, as of `statfs`, whose locks keep all other processes away
/// that see them. On others a lock may mean nothing to another machine.
pub const LOCKS_ARE_KEPT: [i64; 7] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0x2fc1_2fc1, // zfs
    0xf2f5_2010, // f2fs
    0x0102_1994, // tmpfs
    0x794c_7630, // overlay
];

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

    /// Gives a file a second name.
    ///
    /// # Errors
    /// The name is taken (`AlreadyExists`), files have one name only there (`Unsupported`), or the
    /// system refuses.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// What is in a folder, in any order. Nothing in it is looked at: it may be the folder of a
    /// user, with things that cannot be.
    ///
    /// # Errors
    /// The system refuses.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// The length of a file in bytes; a link is not followed.
    ///
    /// # Errors
    /// It is not there, or the system refuses.
    fn length(&self, path: &Path) -> io::Result<u64>;

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

    /// Sets room aside in a file, for when the disk is full. Costs little where all of it is there.
    ///
    /// # Errors
    /// There is no room, or the system refuses.
    fn reserve(&self, file: &Path) -> io::Result<()> {
        let _ = file;
        Ok(())
    }

    /// Frees some of the room that was set aside. Returns whether there was any.
    fn release(&self, file: &Path) -> bool {
        let _ = file;
        false
    }
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
    /// To be read, whatever the name leads to.
    Follow,
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
        match how {
            Open::Read => return Ok(Box::new(open_regular(path)?)),
            Open::Follow => return Ok(Box::new(when_free(|| File::open(path))?)),
            Open::Write | Open::New => {}
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(how == Open::Write);
        if how == Open::New {
            // A part, HEAD or output: other users must not read it.
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

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to).map_err(no_links)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        when_free(|| fs::read_dir(folder))?.map(|entry| Ok(entry?.path())).collect()
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Ok(path.symlink_metadata()?.len())
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
        // No name is the folder that the process is in.
        let here = folder.as_os_str().is_empty();
        let folder = if here { Path::new(".") } else { folder };
        when_free(|| File::open(folder))?.sync_all()
    }

    fn reserve(&self, file: &Path) -> io::Result<()> {
        let file = open_reserve(file, true)?;
        let facts = fstatvfs(&file)?;
        let most = getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX);
        let most = most.min(facts.f_blocks.saturating_mul(facts.f_frsize) / RESERVE_PART);
        let bytes = RESERVE_BYTES.min(most);
        match file.metadata()?.len() {
            there if there < bytes => {
                Ok(fallocate(&file, FallocateFlags::empty(), there, bytes - there)?)
            }
            _ => Ok(()),
        }
    }

    fn release(&self, file: &Path) -> bool {
        let Ok(file) = open_reserve(file, false) else { return false };
        let there = file.metadata().map_or(0, |facts| facts.len());
        there > 0 && file.set_len(there.saturating_sub(RELEASE_BYTES)).is_ok()
    }
}

/// The error of a link that could not be made, if there are none where it was to be.
pub(crate) fn no_links(error: io::Error) -> io::Error {
    match Errno::from_io_error(&error) {
        Some(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => {
            let text = "its file system gives no file a second name (hard links)";
            io::Error::new(io::ErrorKind::Unsupported, text)
        }
        _ => error,
    }
}

/// A link could lead to a file of another user, and a pipe would wait for its other end.
fn open_reserve(path: &Path, create: bool) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let mut options = OpenOptions::new();
    options.write(true).create(create).truncate(false).custom_flags(flags).mode(FILE_MODE);
    let file = options.open(path)?;
    let facts = file.metadata()?;
    match facts.is_file() && facts.nlink() == 1 {
        true => Ok(file),
        false => Err(io::Error::other("RESERVE is no file of its own: remove what is there")),
    }
}

/// Opens a file that another user may have put there: a link leads elsewhere, and a pipe waits.
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

/// Reads a file from its beginning to the end that it had when it was opened.
pub struct DiskReader {
    file: Box<dyn DiskFile>,
    offset: u64,
    /// Bytes from there to the end.
    left: u64,
}

impl DiskReader {
    /// Reads `file`.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new(file: Box<dyn DiskFile>) -> io::Result<Self> {
        let left = file.length()?;
        Ok(Self { file, offset: 0, left })
    }
}

impl Read for DiskReader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.file.read_at(&mut bytes[..length], self.offset)?;
        (self.offset, self.left) = (self.offset + length as u64, self.left - length as u64);
        Ok(length)
    }
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
