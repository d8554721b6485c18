//! The outer ends of a core's inlets: connections, and the pipes of files and channels.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use potoroo_runtime::{Connection, Nanos, ReadOutcome, WriteOutcome};
use potoroo_sdk::host::SourceId;

use crate::connect::permits::Permit;
use crate::connect::pipe::{PipeOut, Received};
use crate::flow::{ConnectionId, Core, Outlet};

/// Where the bytes of an inlet come from.
pub(super) enum From {
    Connection {
        connection: Connection,
        /// Its place among all connections.
        _permit: Permit,
    },
    Pipe {
        pipe: PipeOut,
        /// The buffer that was taken in part.
        rest: Option<Rest>,
        /// By the embedding program, which believes them sent; a file can be read again.
        handed_over: bool,
        /// Where to tell how far it was taken, if anybody wants to know.
        taken: Option<Arc<AtomicU64>>,
    },
}

/// A buffer that was taken in part.
pub(super) struct Rest {
    buffer: Vec<u8>,
    /// How far it was taken.
    start: usize,
    /// When its bytes were read.
    read: Nanos,
}

/// What a look at the outer end of an inlet found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Bytes or the end.
    Something,
    /// Nothing.
    Nothing,
    /// No room for anything, so nobody knows.
    NoRoom,
}

/// One inlet's outer end.
pub(super) struct Link {
    pub(super) id: ConnectionId,
    pub(super) source: SourceId,
    pub(super) from: From,
    /// Reads in a row that found nothing.
    pub(super) idle_reads: u32,
    /// It is in the list of links that are read in each turn.
    pub(super) active: bool,
    /// Nothing more is read; the core still has to take what was.
    pub(super) ended: bool,
    /// Its inlet is gone, and it waits for late replies.
    pub(super) lingering: bool,
    /// It was told of as one that holds its core back.
    pub(super) holding: bool,
    pub(super) peer: String,
}

/// Reads with which a connection that is closed forgets what its peer went on sending.
const DISCARDED_READS_MAX: usize = 64;

impl Link {
    pub(super) fn new(id: ConnectionId, source: SourceId, from: From, peer: String) -> Self {
        Self {
            id,
            source,
            from,
            idle_reads: 0,
            active: true,
            ended: false,
            lingering: false,
            holding: false,
            peer,
        }
    }

    pub(super) fn is_connection(&self) -> bool {
        matches!(self.from, From::Connection { .. })
    }

    /// Brings what has come into the inlet.
    #[inline]
    pub(super) fn read(&mut self, core: &mut Core, now: Nanos) -> Found {
        match &mut self.from {
            From::Connection { connection, .. } => {
                let room = core.inlet_room(self.id);
                if room.is_empty() {
                    return Found::NoRoom;
                }
                match connection.try_read(room) {
                    ReadOutcome::Bytes(bytes) => core.inlet_filled(self.id, bytes, now),
                    ReadOutcome::WouldBlock => return Found::Nothing,
                    ReadOutcome::Closed | ReadOutcome::Failed(_) => {
                        self.ended = true;
                        core.inlet_end(self.id);
                    }
                }
                Found::Something
            }
            From::Pipe { pipe, rest, taken, .. } => {
                if let Some(taken) = taken {
                    taken.store(core.inlet_position(self.id), Ordering::Relaxed);
                }
                read_pipe(self.id, pipe, rest, core, &mut self.ended)
            }
        }
    }

    /// Tells how far its inlet was taken, for the last time.
    #[cold]
    pub(super) fn tell_taken(&self, core: &mut Core) {
        if let From::Pipe { taken: Some(taken), .. } = &self.from {
            taken.store(core.inlet_position(self.id), Ordering::Relaxed);
        }
    }

    /// Stops reading behind what was brought so far. What an embedding program has handed over
    /// counts as brought: it is read, and nothing behind it.
    #[cold]
    pub(super) fn stop(&mut self) {
        match &mut self.from {
            From::Pipe { pipe, handed_over: true, .. } => pipe.close(),
            _ => self.ended = true,
        }
    }

    /// Bytes that the embedding program has handed over and that nobody will read.
    #[cold]
    pub(super) fn take_unread_bytes(&mut self) -> usize {
        match &mut self.from {
            From::Pipe { pipe, rest, handed_over: true, .. } => unread_bytes(pipe, rest),
            _ => 0,
        }
    }

    /// Closes a connection whose replies are out. Without the last reads, what its peer went on
    /// sending would reset it, and the peer could lose the end of its replies.
    #[cold]
    pub(super) fn hang_up(mut self) {
        let From::Connection { connection, .. } = &mut self.from else { return };
        // It may be broken already; then nobody is there to be polite to.
        let _ = connection.shutdown_write();
        let mut bytes = [0; 4096];
        for _ in 0..DISCARDED_READS_MAX {
            let ReadOutcome::Bytes(_) = connection.try_read(&mut bytes) else { return };
        }
    }
}

/// Writes what waits in `outlet` as far as `connection` takes it. Returns how many bytes.
#[inline]
pub(super) fn write(connection: &mut Connection, outlet: &mut Outlet) -> Result<usize, String> {
    match connection.try_write(outlet.waiting()) {
        WriteOutcome::Bytes(bytes) => {
            outlet.written(bytes);
            Ok(bytes)
        }
        WriteOutcome::WouldBlock => Ok(0),
        WriteOutcome::Failed(code) => Err(std::io::Error::from_raw_os_error(code).to_string()),
    }
}

/// Empties a pipe that nobody will read. Its buffers are not given back, so it ends.
fn unread_bytes(pipe: &mut PipeOut, rest: &mut Option<Rest>) -> usize {
    let mut bytes = rest.take().map_or(0, |rest| rest.buffer.len() - rest.start);
    while let Received::Buffer(buffer, _) = pipe.try_recv() {
        bytes += buffer.len();
    }
    bytes
}

/// Copies from the buffers of a pipe into the inlet as far as there is room.
fn read_pipe(
    id: ConnectionId,
    pipe: &mut PipeOut,
    rest: &mut Option<Rest>,
    core: &mut Core,
    ended: &mut bool,
) -> Found {
    let Rest { buffer, start, read } = match rest.take() {
        Some(rest) => rest,
        None => match pipe.try_recv() {
            Received::Buffer(buffer, read) => Rest { buffer, start: 0, read },
            Received::Nothing => return Found::Nothing,
            Received::Ended => {
                *ended = true;
                core.inlet_end(id);
                return Found::Something;
            }
        },
    };
    let room = core.inlet_room(id);
    let bytes = room.len().min(buffer.len() - start);
    room[..bytes].copy_from_slice(&buffer[start..start + bytes]);
    core.inlet_filled(id, bytes, read);
    if start + bytes == buffer.len() {
        pipe.give_back(buffer);
    } else {
        *rest = Some(Rest { buffer, start: start + bytes, read });
    }
    if bytes > 0 { Found::Something } else { Found::NoRoom }
}

#[cfg(test)]
mod tests {
    use potoroo_runtime::Nanos;

    use super::{Rest, unread_bytes};
    use crate::connect::pipe::pipe;

    #[test]
    fn what_was_handed_over_and_not_read_is_counted_whole() {
        let (mut pipe_in, mut pipe_out) = pipe();
        let mut rest = Some(Rest { buffer: vec![0; 10], start: 3, read: Nanos::ZERO });
        for bytes in [100, 1] {
            let mut buffer = pipe_in.buffer().expect("the pipe is open");
            buffer.resize(bytes, 0);
            pipe_in.send(buffer).expect("the pipe is open");
        }
        assert_eq!(unread_bytes(&mut pipe_out, &mut rest), 7 + 100 + 1);
        assert_eq!(unread_bytes(&mut pipe_out, &mut rest), 0);
    }
}
