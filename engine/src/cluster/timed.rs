//! A connection that is greeted: each byte of that goes before its deadline, however slowly.
//!
//! Promises: what was looked at is read once more; a peer that stops in the midst of its greeting,
//! or that sends a byte now and then, holds its thread until the deadline only.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a peer may take to accept a connection, then for all of its greeting, and for each
/// message.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes that a peer may still have sent: more than any handshake.
const UNREAD_BYTES_MAX: u64 = 256 * 1024;

/// Bytes that show what a peer speaks. Every greeting has more.
const FIRST_BYTES: usize = 3;

/// A connection that is greeted.
#[derive(Debug)]
pub struct TimedStream {
    stream: TcpStream,
    until: Instant,
    first: [u8; FIRST_BYTES],
    /// The last of them that were looked at and not read.
    unread: usize,
}

impl TimedStream {
    /// A connection that has [`PATIENCE`] from now on.
    ///
    /// # Errors
    /// It is broken.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let until = Instant::now() + PATIENCE;
        Ok(Self { stream, until, first: [0; FIRST_BYTES], unread: 0 })
    }

    /// Connects with `address`.
    ///
    /// # Errors
    /// No process listens there.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::new(TcpStream::connect_timeout(&address, PATIENCE)?)
    }

    /// Looks at the first bytes, which are read afterwards.
    ///
    /// # Errors
    /// They do not come.
    pub fn look(&mut self) -> io::Result<[u8; FIRST_BYTES]> {
        let mut first = [0; FIRST_BYTES];
        self.read_exact(&mut first)?;
        (self.first, self.unread) = (first, FIRST_BYTES);
        Ok(first)
    }

    /// The connection below.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The connection, whose greeting is over: it waits for its peer without end.
    ///
    /// # Errors
    /// It is broken.
    ///
    /// # Panics
    /// Bytes were looked at and not read.
    pub fn into_stream(self) -> io::Result<TcpStream> {
        assert!(self.unread == 0, "a greeting is longer than what was looked at");
        self.stream.set_read_timeout(None)?;
        self.stream.set_write_timeout(None)?;
        Ok(self.stream)
    }

    /// Ends it so that the peer can read what was written last: the system drops that if bytes of
    /// the peer are left unread.
    pub fn part(mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        let _ = io::copy(&mut (&mut self).take(UNREAD_BYTES_MAX), &mut io::sink());
    }
}

/// Bytes of one call. The system counts only those waits of a call that are long enough for its
/// clock: a peer that takes a large message bit by bit would hold the call beyond the deadline.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// Where messages go, when the greeting is over: each has a deadline, however slowly the peer takes
/// it.
#[derive(Debug)]
pub struct TimedWriter {
    stream: Arc<TcpStream>,
    until: Instant,
}

impl TimedWriter {
    /// A connection that has [`PATIENCE`] from now on.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream: Arc::new(stream), until: Instant::now() + PATIENCE }
    }

    /// A message begins, which has `patience` from now on.
    pub fn begin(&mut self, patience: Duration) {
        self.until = Instant::now() + patience;
    }

    /// The connection below.
    pub fn stream(&self) -> &Arc<TcpStream> {
        &self.stream
    }
}

/// Reads or writes before the deadline. A process that was stopped goes on: the system ends a call
/// for that.
fn in_time(
    until: Instant,
    mut call: impl FnMut(Option<Duration>) -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(too_late());
        }
        match call(Some(left)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // So the system says that the time is over.
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(too_late()),
            done => return done,
        }
    }
}

fn write_in_time(until: Instant, mut stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let bytes = &bytes[..bytes.len().min(WRITE_BYTES_MAX)];
    in_time(until, |left| {
        stream.set_write_timeout(left)?;
        stream.write(bytes)
    })
}

fn too_late() -> io::Error {
    let text = format!("it did not answer within {PATIENCE:?}: it stands still, or is no node");
    io::Error::new(ErrorKind::TimedOut, text)
}

/// The error of a read that wants more than a peer sends.
pub fn ended(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => {
            let text = "it ended the connection in the midst of the greeting";
            io::Error::new(ErrorKind::UnexpectedEof, text)
        }
        _ => error,
    }
}

impl Read for TimedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unread > 0 {
            let count = self.unread.min(buffer.len());
            let from = FIRST_BYTES - self.unread;
            buffer[..count].copy_from_slice(&self.first[from..from + count]);
            self.unread -= count;
            return Ok(count);
        }
        let mut stream = &self.stream;
        in_time(self.until, |left| {
            stream.set_read_timeout(left)?;
            stream.read(buffer)
        })
    }
}

impl Write for TimedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_in_time(self.until, &self.stream, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for TimedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_in_time(self.until, &self.stream, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
