//! A connection that is greeted: each byte of that goes before its deadline, however slowly.
//!
//! Promises: what was looked at is read once more; a peer that stops in the midst of its greeting,
//! or that sends a byte now and then, holds its thread until the deadline only.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a peer may take to accept a connection, and then for all of its greeting.
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

    /// The connection, whose greeting is over: it waits for its peer without end, and for room
    /// [`PATIENCE`] for each write.
    ///
    /// # Errors
    /// It is broken.
    ///
    /// # Panics
    /// Bytes were looked at and not read.
    pub fn into_stream(self) -> io::Result<TcpStream> {
        assert!(self.unread == 0, "a greeting is longer than what was looked at");
        self.stream.set_read_timeout(None)?;
        self.stream.set_write_timeout(Some(PATIENCE))?;
        Ok(self.stream)
    }

    /// Ends it so that the peer can read what was written last: the system drops that if bytes of
    /// the peer are left unread.
    pub fn part(mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        let _ = io::copy(&mut (&mut self).take(UNREAD_BYTES_MAX), &mut io::sink());
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
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
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for TimedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
