//! The hot half of TCP: the ports of established connections. Direct non-blocking calls.

use std::os::fd::AsFd;

use potoroo_runtime::{Connection, Nanos, ReadOutcome, WriteOutcome};

use crate::connect::lines::LineLimiter;
use crate::connect::permits::Permit;
use crate::turn::{Fill, InletPort, OutletPort, PortLost, Readiness, Watching};

/// An accepted connection: bytes for an inlet, and the way back for replies.
pub struct TcpInlet {
    out: TcpOutlet,
    peer: String,
    /// Its place among all connections.
    _permit: Permit,
}

/// The sending half of a connection.
pub struct TcpOutlet {
    connection: Connection,
}

/// Reads with which a connection that is closed forgets what its peer went on sending.
const CLOSING_READS_MAX: usize = 64;

/// Reads of what the receiver of a sink sends, in one turn: some microseconds.
const DISCARDED_READS_MAX: usize = 16;

impl TcpInlet {
    /// The port of an accepted connection, which has this place among all connections.
    // cold: once per connection
    pub fn new(connection: Connection, permit: Permit) -> Self {
        let peer = connection.peer_addr().map_or_else(|_| "?".into(), |at| at.to_string());
        Self { out: TcpOutlet { connection }, peer, _permit: permit }
    }
}

impl InletPort for TcpInlet {
    #[inline]
    fn fill(&mut self, room: &mut [u8], now: Nanos) -> Fill {
        match self.out.connection.try_read(room) {
            ReadOutcome::Bytes(bytes) => Fill::Bytes(bytes, now),
            ReadOutcome::WouldBlock => Fill::Nothing,
            ReadOutcome::Closed | ReadOutcome::Failed(_) => Fill::Ended,
        }
    }

    #[cold]
    fn watch(&mut self, readiness: &mut dyn Readiness, token: u64) -> Watching {
        /// Connections come as often as peers like, and all may fail to be watched.
        static LINES: LineLimiter = LineLimiter::new();
        match readiness.watch(self.out.connection.as_fd(), token) {
            Ok(()) => Watching::Announced,
            Err(error) => {
                if let Some(left_out) = LINES.admit() {
                    let peer = &self.peer;
                    tracing::error!("connection from {peer}: {error}; it is closed{left_out}");
                }
                Watching::Refused
            }
        }
    }

    fn replies(&mut self) -> Option<&mut dyn OutletPort> {
        Some(&mut self.out)
    }

    fn peer(&self) -> &str {
        &self.peer
    }

    /// Without the last reads, what its peer went on sending would reset the connection, and the
    /// peer could lose the end of its replies.
    #[cold]
    fn close(&mut self) {
        // It may be broken already; then there is no peer to be polite to.
        let _ = self.out.connection.shutdown_write();
        self.out.discard(CLOSING_READS_MAX);
    }
}

impl TcpOutlet {
    /// The port of a connection that was made for a sink.
    pub fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// Reads and forgets up to `reads` buffers. Returns whether there may be more.
    #[cold]
    fn discard(&mut self, reads: usize) -> bool {
        let mut bytes = [0; 4096];
        (0..reads).all(|_| matches!(self.connection.try_read(&mut bytes), ReadOutcome::Bytes(_)))
    }
}

impl OutletPort for TcpOutlet {
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<usize, PortLost> {
        match self.connection.try_write(bytes) {
            WriteOutcome::Bytes(count) => Ok(count),
            WriteOutcome::WouldBlock => Ok(0),
            WriteOutcome::Failed(code) => Err(broken(code)),
        }
    }

    /// Without it a parked core would sleep over a peer that reads slowly.
    #[cold]
    fn watch_room(&mut self, readiness: &mut dyn Readiness, token: u64) {
        static LINES: LineLimiter = LineLimiter::new();
        if let Err(error) = readiness.watch_writable(self.connection.as_fd(), token)
            && let Some(left_out) = LINES.admit()
        {
            tracing::error!(
                "a slow connection cannot be watched: {error}; it is tried at each event{left_out}"
            );
        }
    }

    #[cold]
    fn watch_input(&mut self, readiness: &mut dyn Readiness, token: u64) {
        if let Err(error) = readiness.watch(self.connection.as_fd(), token) {
            tracing::error!("the input of a sink cannot be watched: {error}");
        }
    }

    /// A connection that is closed with unread bytes would be reset, and the receiver could lose
    /// the end of what it was sent. A receiver that sends much must not hold the core: the rest is
    /// announced anew.
    #[cold]
    fn discard_input(&mut self, readiness: &mut dyn Readiness, token: u64) {
        if self.discard(DISCARDED_READS_MAX) {
            readiness.unwatch(token);
            self.watch_input(readiness, token);
        }
    }
}

#[cold]
fn broken(code: i32) -> PortLost {
    let reason = std::io::Error::from_raw_os_error(code).to_string();
    PortLost { reason, for_good: false }
}
