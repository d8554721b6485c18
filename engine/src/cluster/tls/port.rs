//! The connection of a link, encrypted, on a core.
//!
//! ```text
//!   read    system ─► incoming ─► rustls: decrypts records ─► room of the core
//!   write   parts ─► rustls: encrypts records ─► system; taken when the system has all of it
//! ```
//!
//! Promises: one read of the system and as many writes as it takes at once; bytes that were taken
//! are with the system. **What is encrypted and does not fit stays the caller's**: it was not
//! taken, so the caller offers it again, first, when there is room. So a core that sleeps wakes up
//! for it, as for what it could not send in the clear. It is not encrypted twice: this remembers
//! how much it owes.
//!
//! What rustls allocates in the steady state, and frees at once: for each record (up to 16 KiB) one
//! buffer where it is encrypted and one where it is decrypted, for each write of several parts a
//! list of them, and its own buffer of incoming bytes grows to a record and shrinks again. Nothing
//! of it is per event. What it holds is bounded: [`WRITE_BYTES`] that wait to be sent, one record
//! that has come in part.
//!
//! A record that asks for new keys is answered with the next write. The end of the connection, with
//! or without goodbye, and each alert end the link: what was under way in it is lost anyway.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::TcpStream;

use potoroo_runtime::{Connection, ReadOutcome, WriteOutcome};
use rustix::io::Errno;

use super::incoming::{Decrypted, Incoming};
use super::words;
use crate::turn::{LinkPort, Readiness, Watching};

/// The connection of a link.
pub struct TlsPort {
    connection: Connection,
    session: rustls::Connection,
    incoming: Incoming,
    /// Bytes that were offered and encrypted, and that the system does not have yet.
    owed: usize,
    fault: Option<rustls::Error>,
}

/// Bytes that are read at once: as many as a core reads in the clear.
const READ_BYTES: usize = 64 * 1024;

/// Bytes that are encrypted at once: more would wait for the system too long.
pub const WRITE_BYTES: usize = 64 * 1024;

impl TlsPort {
    // cold: when a link is made
    pub(super) fn new(stream: TcpStream, mut session: rustls::Connection) -> io::Result<Self> {
        session.set_buffer_limit(Some(WRITE_BYTES));
        let (connection, incoming) = (Connection::adopt(stream)?, Incoming::new(READ_BYTES));
        Ok(Self { connection, session, incoming, owed: 0, fault: None })
    }

    /// The bytes of the peer are wrong. An alert has the reason for it.
    #[cold]
    fn fail(&mut self, error: rustls::Error) -> i32 {
        let _ = self.session.write_tls(&mut Wire(&mut self.connection));
        self.fault = Some(error);
        WRONG
    }
}

/// The code of what is wrong in the bytes of the peer.
const WRONG: i32 = Errno::BADMSG.raw_os_error(); // cold: a constant

impl LinkPort for TlsPort {
    fn read(&mut self, room: &mut [u8]) -> ReadOutcome {
        loop {
            match self.incoming.decrypt(&mut self.session, room) {
                Ok(Decrypted::Bytes(count)) => return ReadOutcome::Bytes(count),
                Ok(Decrypted::Closed) => return ReadOutcome::Closed,
                Ok(Decrypted::Nothing) => {}
                Err(error) => return ReadOutcome::Failed(self.fail(error)),
            }
            match self.connection.try_read(self.incoming.room()) {
                ReadOutcome::Bytes(count) => self.incoming.came(count),
                outcome => return outcome,
            }
        }
    }

    fn write(&mut self, parts: &[IoSlice<'_>]) -> WriteOutcome {
        if self.owed == 0 {
            // Nothing waits, so it takes something, unless it has failed: what the peer sent last
            // may be wrong.
            match self.session.writer().write_vectored(parts) {
                Ok(count) if count > 0 => self.owed = count,
                _ => return WriteOutcome::Failed(WRONG),
            }
        }
        while self.session.wants_write() {
            match self.session.write_tls(&mut Wire(&mut self.connection)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return WriteOutcome::WouldBlock;
                }
                Err(error) => return WriteOutcome::Failed(error.raw_os_error().unwrap_or(0)),
            }
        }
        WriteOutcome::Bytes(std::mem::take(&mut self.owed))
    }

    #[cold]
    fn watch(&mut self, readiness: &mut dyn Readiness, token: u64) -> Watching {
        self.connection.watch(readiness, token)
    }

    #[cold]
    fn watch_room(&mut self, readiness: &mut dyn Readiness, token: u64) -> Watching {
        self.connection.watch_room(readiness, token)
    }

    #[cold]
    fn explain(&self, code: i32) -> String {
        match &self.fault {
            Some(error) if code == WRONG => words::of_peer(error),
            _ => self.connection.explain(code),
        }
    }
}

/// The connection as rustls writes to it.
struct Wire<'a>(&'a mut Connection);

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        taken(self.0.try_write(bytes))
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        taken(self.0.try_write_parts(parts))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn taken(outcome: WriteOutcome) -> io::Result<usize> {
    match outcome {
        WriteOutcome::Bytes(count) => Ok(count),
        WriteOutcome::WouldBlock => Err(ErrorKind::WouldBlock.into()),
        WriteOutcome::Failed(code) => Err(io::Error::from_raw_os_error(code)),
    }
}
