//! Ports: all that the driver knows of the world outside, one trait per direction.
//!
//! ```text
//!   InletPort ── bytes ──► inlet ─► core ─► outlet ── bytes ──► OutletPort
//!       └─────────────────── replies ◄───────┘
//!   LinkPort ◄── bytes in both directions, of lanes ──► LinkPort of another node
//! ```
//!
//! A call moves a buffer or happens once per turn, never once per event. A port never waits. Each
//! connector brings its own ports, beside the rest of it; a port that the kernel serves registers
//! its descriptor with [`Readiness`] under the token that the driver gives it.

use std::io::{Error as SystemError, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};

use potoroo_runtime::poller::Error;
use potoroo_runtime::{Connection, Nanos, Poller, ReadOutcome, Ready, WriteOutcome};

use crate::checkpoint::Epoch;

/// Where the bytes of an inlet come from.
pub trait InletPort: Send {
    /// Fills the beginning of `room`, which is not empty, with what has come. `now` is the time of
    /// the turn.
    fn fill(&mut self, room: &mut [u8], now: Nanos) -> Fill;

    /// Has its bytes announced under `token`, if a descriptor announces them. The driver fills the
    /// inlets of other ports in each turn.
    fn watch(&mut self, readiness: &mut dyn Readiness, token: u64) -> Watching {
        let _ = (readiness, token);
        Watching::EachTurn
    }

    /// Takes nothing new: the source stops. Returns whether bytes that were handed over before
    /// still come; the driver goes on until [`Fill::Ended`] then, and fills no more otherwise.
    fn stop(&mut self) -> bool {
        false
    }

    /// Bytes that were handed over and that the core will never read. They are gone afterwards.
    fn take_unread_bytes(&mut self) -> usize {
        0
    }

    /// The way back to the peer, if there is one.
    fn replies(&mut self) -> Option<&mut dyn OutletPort> {
        None
    }

    /// Who is at the other end, for people; empty for what is no peer.
    fn peer(&self) -> &str {
        ""
    }

    /// All that was read is taken and all replies are out: says goodbye before it is dropped.
    fn close(&mut self) {}
}

/// What an [`InletPort`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// The first bytes of the room are filled with what was read at this time.
    Bytes(usize, Nanos),
    /// Nothing has come.
    Nothing,
    /// Nothing will come any more.
    Ended,
}

/// How the driver learns that an [`InletPort`] or [`LinkPort`] has bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watching {
    /// They are announced.
    Announced,
    /// It looks in each turn.
    EachTurn,
    /// Not at all: the port is of no use. An [`InletPort`] has logged why.
    Refused,
}

/// Where the bytes of an outlet go: those of a sink, or the replies of a connection.
pub trait OutletPort: Send {
    /// Takes as many of the first of `bytes`, which are not empty, as it has room for now. Returns
    /// how many.
    ///
    /// # Errors
    /// It takes nothing any more.
    fn put(&mut self, bytes: &[u8]) -> Result<usize, PortLost>;

    /// Everything before `epoch` was put. A port whose bytes are written elsewhere passes it on.
    ///
    /// # Errors
    /// It takes nothing any more.
    fn pass_marker(&mut self, epoch: Epoch) -> Result<Passed, PortLost> {
        let _ = epoch;
        Ok(Passed::Here)
    }

    /// Has the core woken, once, when there is room again. A port whose other end wakes the core by
    /// itself does nothing.
    fn watch_room(&mut self, readiness: &mut dyn Readiness, token: u64) {
        let _ = (readiness, token);
    }

    /// It belongs to a sink from now on: has announced under `token` what its peer sends.
    fn watch_input(&mut self, readiness: &mut dyn Readiness, token: u64) {
        let _ = (readiness, token);
    }

    /// Forgets what its peer sent, which was announced under `token`.
    fn discard_input(&mut self, readiness: &mut dyn Readiness, token: u64) {
        let _ = (readiness, token);
    }
}

/// Where a marker went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// Through a sink without a writer: what was put is out.
    Here,
    /// To the writer, which reports it to the storage thread.
    ToWriter,
    /// Nowhere yet: it is to be tried again.
    NotYet,
}

/// An [`OutletPort`] takes nothing any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortLost {
    /// Why, for people.
    pub reason: String,
    /// No other port takes its place, and what it took last may be nowhere: no marker passes here
    /// any more.
    pub for_good: bool,
}

/// The connection of a link.
pub trait LinkPort: Send {
    /// Reads what has come, as much as `room` takes, which is not empty.
    fn read(&mut self, room: &mut [u8]) -> ReadOutcome;

    /// Takes as many of `parts`, which are not empty, as it has room for now. They begin with what
    /// was not taken before.
    fn write(&mut self, parts: &[IoSlice<'_>]) -> WriteOutcome;

    /// Has its bytes announced under `token`.
    fn watch(&mut self, readiness: &mut dyn Readiness, token: u64) -> Watching;

    /// Has room announced under `token`, once. The driver tries to write in each turn if it is not.
    fn watch_room(&mut self, readiness: &mut dyn Readiness, token: u64) -> Watching;

    /// Why it [failed](WriteOutcome::Failed) with `code`, for people.
    #[cold]
    fn explain(&self, code: i32) -> String {
        SystemError::from_raw_os_error(code).to_string()
    }
}

impl LinkPort for Connection {
    #[inline]
    fn read(&mut self, room: &mut [u8]) -> ReadOutcome {
        self.try_read(room)
    }

    #[inline]
    fn write(&mut self, parts: &[IoSlice<'_>]) -> WriteOutcome {
        self.try_write_parts(parts)
    }

    #[cold]
    fn watch(&mut self, readiness: &mut dyn Readiness, token: u64) -> Watching {
        match readiness.watch(self.as_fd(), token) {
            Ok(()) => Watching::Announced,
            Err(_) => Watching::Refused,
        }
    }

    #[cold]
    fn watch_room(&mut self, readiness: &mut dyn Readiness, token: u64) -> Watching {
        match readiness.watch_writable(self.as_fd(), token) {
            Ok(()) => Watching::Announced,
            Err(_) => Watching::EachTurn,
        }
    }
}

/// Which descriptors are ready: the poller of a core, or a simulated one.
pub trait Readiness {
    /// Appends what became ready since the last call. Never waits.
    fn poll(&mut self, ready: &mut Vec<Ready>);

    /// Announces under `token` that something can be read, until [`unwatch`](Self::unwatch).
    ///
    /// # Errors
    /// The kernel refuses.
    fn watch(&mut self, descriptor: BorrowedFd<'_>, token: u64) -> Result<(), Error>;

    /// Announces under `token`, once, that something can be written.
    ///
    /// # Errors
    /// The kernel refuses.
    fn watch_writable(&mut self, descriptor: BorrowedFd<'_>, token: u64) -> Result<(), Error>;

    /// Announces nothing more under `token`.
    fn unwatch(&mut self, token: u64);
}

impl Readiness for Poller {
    #[inline]
    fn poll(&mut self, ready: &mut Vec<Ready>) {
        Self::poll(self, ready);
    }

    #[cold]
    fn watch(&mut self, descriptor: BorrowedFd<'_>, token: u64) -> Result<(), Error> {
        Self::watch(self, descriptor, token)
    }

    #[cold]
    fn watch_writable(&mut self, descriptor: BorrowedFd<'_>, token: u64) -> Result<(), Error> {
        Self::watch_writable(self, descriptor, token)
    }

    #[cold]
    fn unwatch(&mut self, token: u64) {
        Self::unwatch(self, token);
    }
}
