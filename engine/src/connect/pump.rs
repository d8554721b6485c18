//! Threads that pump bytes between pipes and what may wait: a core never waits for a disk.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::{Builder, JoinHandle};

use potoroo_runtime::Waker;
use potoroo_sdk::host::SinkId;

use super::edge_lease::EdgeLease;
use super::mail::{StorageMessage, StorageSender};
use super::pipe::{BUFFER_BYTES, PipeIn, PipeItem, PipeOut};
use super::stopping::Stopping;
use super::waiting::STOP_CHECK;
use crate::checkpoint::Epoch;
use crate::turn::Notice;

/// What was read last of a file that can be read again, to see that it is still there.
pub struct Tail {
    file: Arc<File>,
    /// Bytes before `bytes`.
    position: u64,
    bytes: Vec<u8>,
}

impl Tail {
    const BYTES_MAX: usize = 1024;

    /// Of `file`, which is read from `position` on.
    pub fn new(file: Arc<File>, position: u64) -> Self {
        Self { file, position, bytes: Vec::with_capacity(2 * Self::BYTES_MAX) }
    }

    fn read(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(&bytes[bytes.len().saturating_sub(Self::BYTES_MAX)..]);
        let surplus = self.bytes.len().saturating_sub(Self::BYTES_MAX);
        self.bytes.drain(..surplus);
        self.position += bytes.len() as u64;
    }

    /// # Errors
    /// The file is not what was read.
    fn check(&self) -> io::Result<()> {
        let mut now = vec![0; self.bytes.len()];
        let at = self.position - now.len() as u64;
        let read = self.file.read_exact_at(&mut now, at);
        match read {
            Ok(()) if now == self.bytes => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "its file was truncated or written anew while it was read: what is in it now may \
                 not have been read",
            )),
        }
    }
}

/// Reads `from` to its end into `pipe`, waking the core that empties it; then looks whether `tail`
/// is still there.
///
/// # Errors
/// The thread cannot be started.
pub fn read(
    mut from: impl Read + Send + 'static,
    mut tail: Option<Tail>,
    mut pipe: PipeIn,
    waker: Waker,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let run = move || -> io::Result<()> {
        let mut ended = Ok(());
        while let Ok(mut buffer) = pipe.buffer() {
            buffer.resize(BUFFER_BYTES, 0);
            let bytes = from.read(&mut buffer)?;
            if bytes == 0 {
                ended = tail.as_ref().map_or(Ok(()), Tail::check);
                break;
            }
            buffer.truncate(bytes);
            tail.iter_mut().for_each(|tail| tail.read(&buffer));
            if pipe.send(buffer).is_err() {
                break;
            }
            waker.wake_if_parked();
        }
        drop(pipe);
        waker.wake_if_parked();
        ended
    };
    Builder::new().name("potoroo-read".into()).spawn(run)
}

/// Reports to the storage thread, if there is one, that what a sink wrote before an epoch is out.
pub struct Markers {
    /// The sink.
    pub sink: SinkId,
    /// The way to the storage thread.
    pub storage: Option<StorageSender>,
    /// To report a failed write at once: the core may have nothing more to write.
    pub notices: Sender<Notice>,
}

impl Markers {
    fn pass(&self, epoch: Epoch) {
        let storage = self.storage.as_ref().expect("only checkpoints mark");
        storage.send(StorageMessage::Marked { sink: self.sink, epoch, output: None });
    }
}

/// When what is in a pipe may be written: while the lease of the node stands.
pub struct WriteGuard {
    /// The lease.
    pub lease: EdgeLease,
    /// Who waits for it has to end.
    pub stop: Stopping,
}

impl WriteGuard {
    /// Writes all of `bytes`. Waits while the lease is over: it may be renewed, and then nothing
    /// was processed again. Returns whether all was written; if not, the next lead writes it.
    fn write_all(&self, to: &mut impl Write, mut bytes: &[u8]) -> io::Result<bool> {
        while !bytes.is_empty() {
            if !self.may_write() {
                return Ok(false);
            }
            match to.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Waits for the lease; returns whether it stands.
    fn may_write(&self) -> bool {
        while self.lease.is_over() {
            if self.stop.has_begun() {
                return false;
            }
            std::thread::sleep(STOP_CHECK);
        }
        true
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
    (markers, guard): (Markers, WriteGuard),
    sync: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let (sink, notices) = (markers.sink, markers.notices.clone());
    let mut run = move || -> io::Result<()> {
        while let Some(full) = pipe.recv() {
            match full {
                PipeItem::Buffer(buffer) => {
                    if !guard.write_all(&mut to, &buffer)? {
                        return Ok(());
                    }
                    pipe.return_buffer(buffer);
                    waker.wake_if_parked();
                }
                PipeItem::Marker(epoch) => {
                    to.flush()?;
                    markers.pass(epoch);
                    waker.wake_if_parked();
                }
            }
        }
        to.flush()
    };
    let run = move || -> io::Result<()> {
        let written = run();
        if let Err(error) = &written {
            let _ = notices.send(Notice::SinkLost { sink, reason: error.to_string() });
        }
        written.and_then(|()| sync())
    };
    Builder::new().name("potoroo-write".into()).spawn(run)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::sync::{Mutex, PoisonError};

    use potoroo_runtime::{Nanos, Poller};

    use super::super::pipe::pipe;
    use super::*;
    use crate::turn::NodeLease;

    /// What was written.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Written {
        fn bytes(&self) -> Vec<u8> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }
    }

    impl Write for Written {
        /// A pipe takes a part at a time.
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = &bytes[..1];
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(taken);
            Ok(taken.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The next lead writes it.
    #[test]
    fn what_is_in_a_pipe_waits_for_the_lease_of_the_node() {
        for renewed in [false, true] {
            let (lease, stop) = (Arc::new(NodeLease::default()), Stopping::default());
            let (written, (mut pipe_in, pipe_out)) = (Written::default(), pipe());
            let waker = Poller::new().expect("this host has one").waker();
            let markers = Markers { sink: SinkId(0), storage: None, notices: channel().0 };
            let guard = WriteGuard { lease: EdgeLease::new(Some(lease.clone())), stop };
            let stop = guard.stop.clone();
            let to = written.clone();
            let thread = write(to, pipe_out, waker, (markers, guard), || Ok(()));
            let mut buffer = pipe_in.buffer().expect("all are empty");
            buffer.extend(b"late");
            pipe_in.send(buffer).expect("it is received");
            match renewed {
                true => lease.set(Nanos(u64::MAX)),
                false => stop.begin(std::time::Duration::ZERO),
            }
            drop(pipe_in);
            thread.expect("it starts").join().expect("it ends").expect("it can be written");
            assert_eq!(written.bytes(), if renewed { &b"late"[..] } else { b"" });
        }
    }
}
