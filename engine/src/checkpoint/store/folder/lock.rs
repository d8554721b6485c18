//! The folder of a file system, and the lock that keeps it to one process, or to those that share
//! it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::checkpoint::store::Error;
use crate::disk::{FILE_MODE, FOLDER_MODE, LOCKS_ARE_KEPT};

const LOCK: &str = "LOCK";

/// Who else may open the folder while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// No other process.
    Alone,
    /// Processes that share it, too.
    Shared,
}

/// Refuses what is no folder, or cannot be read.
///
/// # Errors
/// It does not exist, is no folder, or cannot be read.
pub fn check(path: &Path) -> Result<(), Error> {
    let failed = |cause| Error::Io { action: "open", object: shown(path), cause };
    let folder = File::open(path).map_err(failed)?;
    match folder.metadata().map_err(failed)?.is_dir() {
        true => Ok(()),
        false => Err(failed(ErrorKind::NotADirectory.into())),
    }
}

/// Creates the folder and those above it. Each is made durable in the one above.
///
/// # Errors
/// The system refuses.
pub fn make(path: &Path) -> Result<(), Error> {
    if path.is_dir() || path.as_os_str().is_empty() {
        return Ok(());
    }
    let failed = |cause| Error::Io { action: "create", object: shown(path), cause };
    let above = path.parent().unwrap_or(Path::new(""));
    make(above)?;
    match fs::DirBuilder::new().mode(FOLDER_MODE).create(path) {
        // Another process that shares it was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made.map_err(failed)?,
    }
    let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
    File::open(above).and_then(|above| above.sync_all()).map_err(failed)
}

/// Locks the folder while what is returned is open. Unlike a file that is created and removed, the
/// lock goes with the process, however that ends.
///
/// # Errors
/// Another process has locked it so that this one may not, or it cannot be written.
pub fn lock(folder: &Path, sharing: Sharing) -> Result<File, Error> {
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
    let locked = match sharing {
        Sharing::Alone => file.try_lock(),
        Sharing::Shared => file.try_lock_shared(),
    };
    match locked {
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
    let number = match sharing {
        Sharing::Alone => format!("{}\n", std::process::id()),
        Sharing::Shared => String::new(),
    };
    match file.set_len(0).and_then(|()| file.write_all(number.as_bytes())) {
        // The number is for messages only, and output that waits has to leave.
        Err(error) if error.kind() != ErrorKind::StorageFull => Err(failed(error)),
        _ => Ok(file),
    }
}

/// Creates a file that is locked while it is open.
///
/// # Errors
/// The system refuses.
pub fn claim(path: &Path) -> io::Result<File> {
    loop {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(FILE_MODE);
        let file = options.open(path)?;
        file.lock()?;
        // Another process may have found it free before that, and removed it.
        if file.metadata()?.nlink() > 0 {
            return Ok(file);
        }
    }
}

/// Whether no process has a file locked, on a file system whose locks are known to be kept between
/// all processes that see it.
pub fn is_free(path: &Path) -> bool {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
    let Ok(file) = options.open(path) else { return false };
    locks_are_kept(&file) && file.try_lock().is_ok()
}

/// Whether the file system is one of this machine alone: another machine may have no part in locks.
fn locks_are_kept(file: &File) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|facts| LOCKS_ARE_KEPT.contains(&facts.f_type))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
