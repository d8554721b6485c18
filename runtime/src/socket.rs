//! Non-blocking TCP, as thin as it can be.
//!
//! Owns descriptors. Promises that no call waits and that outcomes which are no errors (not yet,
//! closed) are distinguished from failures without allocation. It must never retry, buffer or log:
//! the caller knows its turn.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};

/// After so much silence a peer is asked whether it is there, and as often until it has not
/// answered [`KEEP_ALIVE_PROBES`] times: within a minute the kernel knows that it is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const KEEP_ALIVE_PROBES: u32 = 3;

/// Has the kernel ask a silent peer whether it is there, and end a connection whose peer is gone.
/// No `TCP_USER_TIMEOUT` goes with it: that also ends connections of peers that are there and read
/// nothing for a while, which is how they push back.
///
/// # Errors
/// It is no TCP socket.
pub fn keep_alive(socket: &impl AsFd) -> io::Result<()> {
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEP_ALIVE)?;
    sockopt::set_tcp_keepintvl(socket, KEEP_ALIVE)?;
    Ok(sockopt::set_tcp_keepcnt(socket, KEEP_ALIVE_PROBES)?)
}

/// Accepts connections without waiting.
#[derive(Debug)]
pub struct Listener {
    inner: TcpListener,
}

impl Listener {
    /// Listens on `address`; port 0 takes a free one. A port whose last owner has just gone can be
    /// taken at once.
    ///
    /// # Errors
    /// As the operating system says: port in use, address of another host, no permission.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        // The standard library sets SO_REUSEADDR.
        let inner = TcpListener::bind(address)?;
        inner.set_nonblocking(true)?;
        Ok(Self { inner })
    }

    /// The address it listens on, with the port that was taken.
    ///
    /// # Errors
    /// None in practice.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// The next connection, or `None` if none waits.
    ///
    /// # Errors
    /// When descriptors or memory run out. A peer that left while it waited is passed over.
    pub fn accept(&self) -> io::Result<Option<Connection>> {
        loop {
            match self.inner.accept() {
                Ok((stream, _)) => return Connection::adopt(stream).map(Some),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(None),
                    ErrorKind::ConnectionAborted | ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

/// One TCP connection, never waiting, without delay of small segments. Dropping it closes it; take
/// it out of its poller first.
#[derive(Debug)]
pub struct Connection {
    inner: TcpStream,
}

/// What reading gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// This many bytes, at least one unless the buffer is empty.
    Bytes(usize),
    /// Nothing has arrived.
    WouldBlock,
    /// The peer will send nothing more.
    Closed,
    /// The connection is broken; the number is the operating system's `errno`.
    Failed(i32),
}

/// What writing gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// This many bytes were taken, maybe fewer than offered.
    Bytes(usize),
    /// The peer does not keep up: no room.
    WouldBlock,
    /// The connection is broken; the number is the operating system's `errno`.
    Failed(i32),
}

impl Connection {
    /// Begins to connect. The socket becomes writable when there is a result; then ask
    /// [`Connection::finish_connect`].
    ///
    /// # Errors
    /// When descriptors run out or the address cannot be reached at all.
    pub fn connect_start(address: SocketAddr) -> io::Result<Self> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Self::adopt(TcpStream::from(socket)),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the connection stands: `false` while it is still being made.
    ///
    /// # Errors
    /// Why it could not be made; then the connection is of no more use.
    pub fn finish_connect(&self) -> io::Result<bool> {
        if let Some(error) = self.inner.take_error()? {
            return Err(error);
        }
        match self.inner.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads what has arrived, as much as `buffer` takes. An empty buffer gives `Closed`.
    #[inline]
    pub fn try_read(&mut self, buffer: &mut [u8]) -> ReadOutcome {
        loop {
            match self.inner.read(buffer) {
                Ok(0) => return ReadOutcome::Closed,
                Ok(bytes) => return ReadOutcome::Bytes(bytes),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return ReadOutcome::WouldBlock,
                    ErrorKind::Interrupted => {}
                    _ => return ReadOutcome::Failed(error.raw_os_error().unwrap_or(0)),
                },
            }
        }
    }

    /// Hands over as many of `bytes` as the system takes.
    #[inline]
    pub fn try_write(&mut self, bytes: &[u8]) -> WriteOutcome {
        loop {
            match self.inner.write(bytes) {
                Ok(count) => return WriteOutcome::Bytes(count),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return WriteOutcome::WouldBlock,
                    ErrorKind::Interrupted => {}
                    _ => return WriteOutcome::Failed(error.raw_os_error().unwrap_or(0)),
                },
            }
        }
    }

    /// As [`Connection::try_write`], of bytes in several places, one after another.
    #[inline]
    pub fn try_write_parts(&mut self, parts: &[IoSlice<'_>]) -> WriteOutcome {
        loop {
            match self.inner.write_vectored(parts) {
                Ok(count) => return WriteOutcome::Bytes(count),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return WriteOutcome::WouldBlock,
                    ErrorKind::Interrupted => {}
                    _ => return WriteOutcome::Failed(error.raw_os_error().unwrap_or(0)),
                },
            }
        }
    }

    /// Shuts the writing direction down; reading goes on.
    ///
    /// # Errors
    /// If the connection is broken already.
    pub fn shutdown_write(&self) -> io::Result<()> {
        self.inner.shutdown(Shutdown::Write)
    }

    /// Ends both directions. What was written is still delivered.
    ///
    /// # Errors
    /// If the connection is broken already.
    pub fn shutdown(&self) -> io::Result<()> {
        self.inner.shutdown(Shutdown::Both)
    }

    /// The address of this end.
    ///
    /// # Errors
    /// If the connection is broken.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// The address of the other end.
    ///
    /// # Errors
    /// If the connection is broken or not made yet.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }

    /// A connection that was made elsewhere, from now on without waiting.
    ///
    /// # Errors
    /// It is broken.
    pub fn adopt(inner: TcpStream) -> io::Result<Self> {
        inner.set_nonblocking(true)?;
        inner.set_nodelay(true)?;
        keep_alive(&inner)?;
        Ok(Self { inner })
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_both_ways_and_a_shutdown_is_seen() {
        let (mut client, mut server) = pair();
        let mut buffer = [0; 16];
        assert_eq!(server.try_read(&mut buffer), ReadOutcome::WouldBlock);
        assert_eq!(client.try_write(b"ping"), WriteOutcome::Bytes(4));
        assert_eq!(read_some(&mut server, &mut buffer), ReadOutcome::Bytes(4));
        assert_eq!(server.try_write(b"pong!"), WriteOutcome::Bytes(5));
        assert_eq!(read_some(&mut client, &mut buffer), ReadOutcome::Bytes(5));
        assert_eq!(&buffer[..5], b"pong!");
        client.shutdown_write().expect("still connected");
        assert_eq!(read_some(&mut server, &mut buffer), ReadOutcome::Closed);
    }

    /// Else a peer whose host lost its power would keep its place for ever.
    #[test]
    fn both_ends_of_a_connection_ask_whether_the_other_is_there() {
        let (client, server) = pair();
        for end in [client, server] {
            assert_eq!(sockopt::socket_keepalive(&end), Ok(true));
            assert_eq!(sockopt::tcp_keepidle(&end), Ok(KEEP_ALIVE));
            assert_eq!(sockopt::tcp_keepintvl(&end), Ok(KEEP_ALIVE));
            assert_eq!(sockopt::tcp_keepcnt(&end), Ok(KEEP_ALIVE_PROBES));
            assert_eq!(sockopt::tcp_user_timeout(&end), Ok(0), "a peer may push back for hours");
        }
    }

    #[test]
    fn a_full_socket_says_so_and_a_dead_one_fails() {
        let (mut client, server) = pair();
        let block = [0; 65_536];
        while client.try_write(&block) != WriteOutcome::WouldBlock {}
        drop(server);
        let failed = loop {
            match client.try_write(&block) {
                WriteOutcome::Failed(errno) => break errno,
                WriteOutcome::Bytes(_) | WriteOutcome::WouldBlock => std::thread::yield_now(),
            }
        };
        assert_ne!(failed, 0);
    }

    #[test]
    fn connecting_to_a_closed_port_fails_in_the_end() {
        let listener = Listener::bind(loopback()).expect("a free port");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        let refused = Connection::connect_start(address).and_then(|connection| {
            loop {
                if connection.finish_connect()? {
                    return Ok(());
                }
                std::thread::yield_now();
            }
        });
        assert_eq!(refused.expect_err("no process listens").kind(), ErrorKind::ConnectionRefused);
    }

    fn pair() -> (Connection, Connection) {
        let listener = Listener::bind(loopback()).expect("a free port");
        assert!(listener.accept().expect("listening").is_none());
        let address = listener.local_addr().expect("bound");
        let client = Connection::connect_start(address).expect("descriptors are left");
        let server = loop {
            if let Some(accepted) = listener.accept().expect("listening") {
                break accepted;
            }
            std::thread::yield_now();
        };
        while !client.finish_connect().expect("accepted") {
            std::thread::yield_now();
        }
        assert_eq!(client.local_addr().expect("connected"), server.peer_addr().expect("connected"));
        (client, server)
    }

    fn read_some(connection: &mut Connection, buffer: &mut [u8]) -> ReadOutcome {
        loop {
            match connection.try_read(buffer) {
                ReadOutcome::WouldBlock => std::thread::yield_now(),
                outcome => return outcome,
            }
        }
    }

    fn loopback() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }
}
