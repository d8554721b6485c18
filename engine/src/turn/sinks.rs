//! The outer ends of the sinks that a core owns: writes what waits in their outlets, and hears from
//! a slow peer when it takes bytes again.

use potoroo_runtime::{Connection, Poller, ReadOutcome};
use potoroo_sdk::host::SinkId;

use super::links::write;
use super::mail::SinkEnd;
use crate::connect::lines::Lines;
use crate::connect::pipe::{BUFFER_BYTES, PipeIn};
use crate::flow::Outlet;

/// Tokens of sinks begin here; those below are slots of links.
const SINK_TOKENS: u64 = 1 << 32;

/// Reads of what a receiver says in one turn: some microseconds.
const DISCARDED_READS_MAX: usize = 16;

const ENDED: &str = "its writer has ended";

/// The outer end of a sink.
pub(super) enum SinkLink {
    /// Not connected: its bytes wait.
    Absent,
    /// Whoever wrote its output has ended: what it got last may be nowhere, so nothing that came
    /// before can be said to be out.
    Lost,
    Null,
    Connection(Connection),
    /// Whether it takes markers: then somebody writes what comes through it.
    Pipe(PipeIn, bool),
}

/// Where a marker went.
#[derive(Debug, PartialEq)]
pub(super) enum Passed {
    /// Nobody writes what has left: it is out.
    Here,
    /// Who writes it tells.
    ToWriter,
    /// It is to be tried again.
    NotYet,
}

/// The sink whose readiness is told under `token`; `None` for a link's.
pub(super) fn sink_of(token: u64) -> Option<usize> {
    token.checked_sub(SINK_TOKENS).map(|sink| sink as usize)
}

fn token_of(sink: SinkId) -> u64 {
    SINK_TOKENS + u64::from(sink.0)
}

impl SinkLink {
    #[cold]
    pub(super) fn open(to: SinkEnd, sink: SinkId, poller: &mut Poller) -> Self {
        match to {
            SinkEnd::Null => Self::Null,
            SinkEnd::Pipe(pipe) => Self::Pipe(pipe, true),
            SinkEnd::Channel(pipe) => Self::Pipe(pipe, false),
            SinkEnd::Connection(connection) => {
                watch_input(poller, &connection, token_of(sink));
                Self::Connection(connection)
            }
        }
    }

    #[cold]
    pub(super) fn close(&mut self, sink: SinkId, poller: &mut Poller) {
        poller.unwatch(token_of(sink));
        *self = if let Self::Pipe(..) = self { Self::Lost } else { Self::Absent };
    }

    /// Reads and forgets what a receiver says. A connection that is closed with unread bytes would
    /// be reset, and the receiver could lose the end of what it was sent. A receiver that says much
    /// must not hold the core: the rest is announced anew.
    #[cold]
    pub(super) fn discard_input(&mut self, sink: SinkId, poller: &mut Poller) {
        let Self::Connection(connection) = self else { return };
        let mut bytes = [0; 4096];
        for _ in 0..DISCARDED_READS_MAX {
            let ReadOutcome::Bytes(_) = connection.try_read(&mut bytes) else { return };
        }
        poller.unwatch(token_of(sink));
        watch_input(poller, connection, token_of(sink));
    }

    /// Has the core woken when the sink takes bytes again. A pipe's writer wakes it by itself.
    #[cold]
    pub(super) fn watch_room(&mut self, sink: SinkId, poller: &mut Poller) {
        if let Self::Connection(connection) = self {
            watch_room(poller, connection, token_of(sink));
        }
    }

    /// Passes on that everything before `epoch` has left, to whoever writes it if somebody does.
    ///
    /// # Errors
    /// Whoever writes it has ended.
    #[cold]
    pub(super) fn pass_marker(&mut self, epoch: u32) -> Result<Passed, String> {
        Ok(match self {
            Self::Pipe(pipe, true) => match pipe.try_mark(epoch).map_err(|_| ENDED)? {
                true => Passed::ToWriter,
                false => Passed::NotYet,
            },
            Self::Lost => Passed::NotYet,
            _ => Passed::Here,
        })
    }

    /// Takes from an outlet what the sink accepts now. Returns how many bytes.
    #[inline]
    pub(super) fn carry(&mut self, outlet: &mut Outlet) -> Result<usize, String> {
        match self {
            Self::Absent | Self::Lost => Ok(0),
            Self::Null => {
                let bytes = outlet.waiting().len();
                outlet.written(bytes);
                Ok(bytes)
            }
            Self::Connection(connection) => write(connection, outlet),
            Self::Pipe(pipe, _) => {
                let Some(mut buffer) = pipe.try_buffer().map_err(|_| ENDED)? else {
                    return Ok(0);
                };
                let bytes = outlet.waiting().len().min(BUFFER_BYTES);
                buffer.extend_from_slice(&outlet.waiting()[..bytes]);
                pipe.send(buffer).map_err(|_| ENDED)?;
                outlet.written(bytes);
                Ok(bytes)
            }
        }
    }
}

/// Has what a receiver says announced.
#[cold]
fn watch_input(poller: &mut Poller, connection: &Connection, token: u64) {
    if let Err(error) = poller.watch(connection, token) {
        tracing::error!("the input of a sink cannot be watched: {error}");
    }
}

/// Asks once for the moment in which `connection` takes bytes again: without it a parked core
/// would sleep over a peer that reads slowly.
#[cold]
pub(super) fn watch_room(poller: &mut Poller, connection: &Connection, token: u64) {
    if let Err(error) = poller.watch_writable(connection, token) {
        static LINES: Lines = Lines::new();
        if let Some(left_out) = LINES.admit() {
            tracing::error!(
                "a slow connection cannot be watched: {error}; it is tried at each event{left_out}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::pipe::pipe;

    /// Were a marker passed on behind its back, a checkpoint would commit without its last output.
    #[test]
    fn a_sink_whose_writer_has_ended_passes_no_mark() {
        let mut poller = Poller::new().expect("this host has one");
        let (pipe_in, pipe_out) = pipe();
        let mut sink = SinkLink::open(SinkEnd::Pipe(pipe_in), SinkId(0), &mut poller);
        assert_eq!(sink.pass_marker(1), Ok(Passed::ToWriter));
        drop(pipe_out);
        assert_eq!(sink.pass_marker(2), Err(ENDED.to_owned()));
        sink.close(SinkId(0), &mut poller);
        assert_eq!(sink.pass_marker(2), Ok(Passed::NotYet));
    }
}
