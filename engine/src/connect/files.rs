//! Files and standard output, read and written by threads of their own: a core never waits for a
//! disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::thread::{Builder, JoinHandle};

use potoroo_runtime::Waker;
use potoroo_sdk::host::SinkId;

use super::mail::{Teller, Told};
use super::pipe::{BUFFER_BYTES, Full, PipeIn, PipeOut};

/// Whether it is, or will be, a file that can be read again and beside which output can wait: no
/// pipe and no device.
pub fn is_regular(path: &Path) -> bool {
    path.metadata().map_or(true, |facts| facts.is_file())
}

/// Opens a file for a source and refuses what cannot be read to an end.
///
/// # Errors
/// It does not exist, may not be read, or is a folder.
pub fn open_source(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    match file.metadata()?.is_dir() {
        true => Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")),
        false => Ok(file),
    }
}

/// Creates or opens a file for a sink.
///
/// # Errors
/// It cannot be created or written.
pub fn open_sink(path: &Path, append: bool) -> io::Result<File> {
    OpenOptions::new().create(true).write(true).append(append).truncate(!append).open(path)
}

/// Reads `file` from where it stands to its end into `pipe`, waking the core that empties it.
///
/// # Errors
/// The thread cannot be started.
pub fn read(
    mut file: File,
    mut pipe: PipeIn,
    waker: Waker,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let run = move || -> io::Result<()> {
        while let Ok(mut buffer) = pipe.buffer() {
            buffer.resize(BUFFER_BYTES, 0);
            let bytes = file.read(&mut buffer)?;
            if bytes == 0 {
                break;
            }
            buffer.truncate(bytes);
            if pipe.send(buffer).is_err() {
                break;
            }
            waker.wake_if_parked();
        }
        drop(pipe);
        waker.wake_if_parked();
        Ok(())
    };
    Builder::new().name("potoroo-read".into()).spawn(run)
}

/// Tells the keeper of checkpoints, if there is one, that what a sink wrote before an epoch is out.
pub struct Markers {
    /// The sink.
    pub sink: SinkId,
    /// The keeper.
    pub keeper: Option<Teller>,
}

impl Markers {
    fn pass(&self, epoch: u32) {
        let keeper = self.keeper.as_ref().expect("only checkpoints mark");
        keeper.tell(Told::Marked { sink: self.sink, epoch, prepared: None });
    }
}

/// Writes what comes through `pipe`, until its other end is gone; then makes it durable with
/// `sync`. Ends early, which the core notices, when a write fails.
///
/// # Errors
/// The thread cannot be started.
pub fn write(
    mut to: impl Write + Send + 'static,
    mut pipe: PipeOut,
    waker: Waker,
    markers: Markers,
    sync: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let run = move || -> io::Result<()> {
        while let Some(full) = pipe.recv() {
            match full {
                Full::Buffer(buffer) => {
                    to.write_all(&buffer)?;
                    pipe.give_back(buffer);
                    waker.wake_if_parked();
                }
                Full::Marker(epoch) => {
                    to.flush()?;
                    markers.pass(epoch);
                    waker.wake_if_parked();
                }
            }
        }
        to.flush()?;
        sync()
    };
    Builder::new().name("potoroo-write".into()).spawn(run)
}
