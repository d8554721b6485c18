//! Patience: reads and writes that wait for another process, until they have to stop.
//!
//! A named pipe has no reader or writer before its other end is opened; a terminal or pipe may
//! be silent, or full, for ever. Files at both ends of an application may be such: a thread that
//! waits for them must notice that the application ends.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;

use super::stopping::Stopping;

/// How often a waiting thread checks whether it has to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Flags of files that may be pipes: opening does not wait.
pub fn at_once(options: &mut OpenOptions) -> &mut OpenOptions {
    options.custom_flags(OFlags::NONBLOCK.bits().cast_signed())
}

/// Whether it is a named pipe.
pub fn is_fifo(path: &Path) -> bool {
    path.metadata().is_ok_and(|facts| facts.file_type().is_fifo())
}

/// Waits for `events`; returns whether they came before the next look.
fn ready(of: impl AsFd, events: PollFlags) -> io::Result<bool> {
    let limit = Timespec { tv_sec: 0, tv_nsec: LOOK.as_nanos() as i64 };
    match poll(&mut [PollFd::new(&of, events)], Some(&limit)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Reads what may be a pipe or device, opened [`at_once`]; ends early when a stop has begun.
pub struct PatientReader {
    file: Arc<File>,
    /// The note about a named pipe that has no writer yet.
    waiting: Option<String>,
    stopping: Stopping,
}

impl PatientReader {
    /// A reader of `file`, for the source `name`.
    pub fn new(name: &str, path: &Path, file: Arc<File>, stopping: Stopping) -> Self {
        let line = || format!("source `{name}` waits for a writer of file:{}", path.display());
        let waiting = is_fifo(path).then(line);
        Self { file, waiting, stopping }
    }
}

impl Read for PatientReader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.stopping.has_begun() {
                return Ok(0);
            }
            // A pipe that never had a writer has ended by the word of `read`, but not of `poll`.
            let ready = ready(&self.file, PollFlags::IN)?;
            if !ready && self.waiting.is_none() {
                continue;
            }
            match self.file.read(bytes) {
                Ok(0) if !ready => {
                    self.waiting.take().iter().for_each(|line| tracing::info!("{line}"));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => {
                    self.waiting = None;
                    return done;
                }
            }
        }
    }
}

/// Writes to what may be a pipe or device.
pub struct PatientWriter {
    to: To,
    stopping: Stopping,
    /// How long it waits if no stop begins.
    limit: Option<Duration>,
}

enum To {
    /// A named pipe that has had no reader yet, and what to say of it once.
    Unopened(PathBuf, Option<String>),
    Open(Arc<File>),
}

/// What writes an output.
pub enum Output {
    /// A file: waits for the disk only.
    File(Arc<File>),
    /// An output that may wait for its reader.
    Waiting(PatientWriter),
}

impl Output {
    /// The same, for a thread that must not wait for the reader for longer than `limit`.
    pub fn within(self, limit: Duration) -> Self {
        match self {
            Self::File(_) => self,
            Self::Waiting(writer) => Self::Waiting(PatientWriter { limit: Some(limit), ..writer }),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Waiting(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A pipe that is ready takes this many bytes at once (`PIPE_BUF`); more of them may wait, unless
/// it was opened so that nothing does.
const PIPE_WRITE_BYTES: usize = 4096;

impl PatientWriter {
    /// Writes the named pipe at `path` for `what`; it is opened as soon as it has a reader.
    pub fn to_fifo(what: &str, path: &Path, stopping: Stopping) -> Self {
        let line = format!("{what} waits for a reader of file:{}", path.display());
        Self { to: To::Unopened(path.to_owned(), Some(line)), stopping, limit: None }
    }

    /// Writes an open file.
    pub fn to_open(file: Arc<File>, stopping: Stopping) -> Self {
        Self { to: To::Open(file), stopping, limit: None }
    }

    /// Tries once; `WouldBlock` after having waited until the next look.
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let To::Unopened(path, line) = &mut self.to {
            match at_once(OpenOptions::new().write(true)).open(path) {
                Ok(file) => self.to = To::Open(Arc::new(file)),
                Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => {
                    line.take().iter().for_each(|line| tracing::info!("{line}"));
                    std::thread::sleep(LOOK);
                    return Err(ErrorKind::WouldBlock.into());
                }
                Err(error) => return Err(error),
            }
        }
        let To::Open(file) = &mut self.to else { unreachable!("it was just opened") };
        match ready(&*file, PollFlags::OUT)? {
            true => {
                let waits = !fcntl_getfl(&*file)?.contains(OFlags::NONBLOCK);
                let most = if waits { PIPE_WRITE_BYTES } else { bytes.len() };
                file.write(&bytes[..bytes.len().min(most)])
            }
            false => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for PatientWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let until = self.limit.map(|limit| Instant::now() + limit);
        loop {
            match self.try_write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            if self.stopping.is_over() || until.is_some_and(|until| Instant::now() >= until) {
                // It is tried again with what follows, and that must not wait as long once more.
                self.limit = self.limit.map(|_| Duration::ZERO);
                return Err(io::Error::new(ErrorKind::TimedOut, "no process reads it"));
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
