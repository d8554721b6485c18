//! The folder of a file system, and the lock that keeps it to one process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, OFlags, fallocate, fstatvfs};
use rustix::process::{Resource, getrlimit};

use super::{Disk, DiskFile};
use crate::checkpoint::store::Error;
use crate::scarce::when_free;

const LOCK: &str = "LOCK";

/// What is stored is for the user only whose application it is, whatever the umask allows.
pub const FILE_MODE: u32 = 0o600;

/// As [`FILE_MODE`], of folders.
pub const FOLDER_MODE: u32 = 0o700;

const RESERVE: &str = "RESERVE";

/// Bytes that are set aside; of a small disk a part of it at most.
const RESERVE_BYTES: u64 = 4 << 20;
const RESERVE_PART: u64 = 16;

/// Bytes that are freed at once: HEAD takes a page or two. If another program takes them, there
/// are more.
const RELEASE_BYTES: u64 = 16 * 1024;

/// A folder of the file system.
pub struct LocalDisk {
    path: PathBuf,
    /// The folder itself, to sync it.
    folder: File,
    /// Locked while it is open; `None` for reading. Unlike a file that is created and removed, it
    /// goes with the process, however that ends.
    _lock: Option<File>,
}

impl LocalDisk {
    /// Opens the folder at `path`, creates it if need be, and locks it.
    ///
    /// # Errors
    /// Another process has locked it, or it cannot be written.
    pub fn lock(path: &Path) -> Result<Self, Error> {
        make(path)?;
        let lock = lock(path)?;
        Ok(Self { _lock: Some(lock), ..Self::view(path)? })
    }

    /// Opens the folder at `path` to read it.
    ///
    /// # Errors
    /// It does not exist, is no folder, or cannot be read.
    pub fn view(path: &Path) -> Result<Self, Error> {
        let failed = |cause| Error::Io { action: "open", object: shown(path), cause };
        let folder = File::open(path).map_err(failed)?;
        if !folder.metadata().map_err(failed)?.is_dir() {
            return Err(failed(ErrorKind::NotADirectory.into()));
        }
        Ok(Self { path: path.to_owned(), folder, _lock: None })
    }
}

impl Disk for LocalDisk {
    type File = File;

    fn create(&self, name: &str) -> io::Result<File> {
        let path = self.path.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(FILE_MODE);
        when_free(|| options.open(&path))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        let path = self.path.join(name);
        Ok(Box::new(when_free(|| File::open(&path))?))
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        fs::hard_link(self.path.join(from), self.path.join(to))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in when_free(|| fs::read_dir(&self.path))? {
            let entry = entry?;
            // A name that is no text is not ours. A file may be removed while it is listed.
            match (entry.file_name().into_string(), entry.metadata()) {
                (_, Err(error)) if error.kind() != ErrorKind::NotFound => return Err(error),
                (Ok(name), Ok(metadata)) => files.push((name, metadata.len())),
                _ => (),
            }
        }
        Ok(files)
    }

    fn sync(&self) -> io::Result<()> {
        self.folder.sync_all()
    }

    fn reserve(&self) -> io::Result<()> {
        let facts = fstatvfs(&self.folder)?;
        let most = getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX);
        let most = most.min(facts.f_blocks.saturating_mul(facts.f_frsize) / RESERVE_PART);
        let (file, bytes) = (self.open_reserve(true)?, RESERVE_BYTES.min(most));
        match file.metadata()?.len() {
            there if there < bytes => {
                Ok(fallocate(&file, FallocateFlags::empty(), there, bytes - there)?)
            }
            _ => Ok(()),
        }
    }

    fn release(&self) -> bool {
        let Ok(file) = self.open_reserve(false) else { return false };
        let there = file.metadata().map_or(0, |facts| facts.len());
        there > 0 && file.set_len(there.saturating_sub(RELEASE_BYTES)).is_ok()
    }

    fn path(&self, name: &str) -> String {
        if name.is_empty() { shown(&self.path) } else { shown(&self.path.join(name)) }
    }
}

impl LocalDisk {
    /// A link could lead to a file of another user, and a pipe would wait for its other end.
    fn open_reserve(&self, create: bool) -> io::Result<File> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
        let mut options = OpenOptions::new();
        options.write(true).create(create).truncate(false).custom_flags(flags).mode(FILE_MODE);
        let file = options.open(self.path.join(RESERVE))?;
        let facts = file.metadata()?;
        match facts.is_file() && facts.nlink() == 1 {
            true => Ok(file),
            false => Err(io::Error::other("RESERVE is no file of its own: remove what is there")),
        }
    }
}

impl DiskFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// Creates the folder and those above it. Each is made durable in the one above.
fn make(path: &Path) -> Result<(), Error> {
    if path.is_dir() || path.as_os_str().is_empty() {
        return Ok(());
    }
    let failed = |cause| Error::Io { action: "create", object: shown(path), cause };
    let above = path.parent().unwrap_or(Path::new(""));
    make(above)?;
    fs::DirBuilder::new().mode(FOLDER_MODE).create(path).map_err(failed)?;
    let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
    File::open(above).and_then(|above| above.sync_all()).map_err(failed)
}

fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join(LOCK);
    let failed = |cause| Error::Io { action: "lock", object: shown(&path), cause };
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    // Where others can write, a link would have a file of ours emptied that is elsewhere.
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
    let mut file = options.open(&path).map_err(failed)?;
    let facts = file.metadata().map_err(failed)?;
    if !facts.is_file() {
        let text = "it is no file: remove what is there";
        return Err(failed(io::Error::other(text)));
    }
    match file.try_lock() {
        Ok(()) => (),
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // The holder may be about to write its number: then it is not known.
            let _ = file.take(32).read_to_string(&mut text);
            return Err(Error::InUse { place: shown(folder), process: text.trim().parse().ok() });
        }
        Err(TryLockError::Error(cause)) => return Err(failed(cause)),
    }
    // A backup may be made of links; and a link may be to a file of another user.
    if facts.nlink() > 1 {
        return Ok(file);
    }
    let number = format!("{}\n", std::process::id());
    match file.set_len(0).and_then(|()| file.write_all(number.as_bytes())) {
        // The number is for messages only, and output that waits has to leave.
        Err(error) if error.kind() != ErrorKind::StorageFull => Err(failed(error)),
        _ => Ok(file),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
