//! Drives a core: brings bytes from sockets and pipes into its inlets before a turn, and from its
//! outlets to sockets and pipes after it.
//!
//! Owns every descriptor of its core. A few connections that brought something lately are read
//! directly in each turn: that is the shortest way from the wire (0.35 µs for a read that finds
//! nothing). All others cost nothing until the poller says that they are ready.

mod sinks;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

use potoroo_runtime::{Connection, Nanos, Poller, ReadOutcome, Ready};
use potoroo_sdk::host::{SinkId, SourceId};

use self::sinks::{SinkLink, sink_of, watch_room, write};
use super::mail::{Command, Mail, Notice};
use super::pipe::{PipeOut, Received};
use crate::flow::{ConnectionId, Core, Ending};

/// Where the bytes of an inlet come from.
enum From {
    Connection(Connection),
    Pipe {
        pipe: PipeOut,
        /// The buffer that was taken in part, and how far.
        rest: Option<(Vec<u8>, usize)>,
        /// By the embedding program, which believes them sent; a file can be read again.
        handed_over: bool,
    },
}

/// One inlet's outer end.
struct Link {
    id: ConnectionId,
    source: SourceId,
    from: From,
    /// Reads in a row that found nothing.
    idle_reads: u32,
    /// It is in the list of links that are read in each turn.
    active: bool,
    /// The peer closed or broke it; the core still has to take what was read.
    ended: bool,
    peer: String,
}

/// The ports of one core.
pub struct Driver {
    mail: Mail,
    notices: Sender<Notice>,
    /// Batches of dead letters that the control plane has not dealt with, of all cores.
    letters_waiting: Arc<AtomicUsize>,
    links: Vec<Option<Link>>,
    active: Vec<usize>,
    sinks: Vec<SinkLink>,
    ready: Vec<Ready>,
    /// Connections that only wait for late replies, and until when.
    lingering: VecDeque<(usize, u64)>,
    now: Nanos,
    hot_reads: u32,
    finishing: bool,
    abandoned: bool,
    /// Sources were told to stop: whoever connects now is turned away.
    stopped: bool,
}

/// Connections that are read directly although they were found empty: more of them would cost
/// more than asking the poller.
const HOT_LINKS_MAX: usize = 2;

/// Reads that find nothing before a connection is left to the poller: about a millisecond.
const HOT_READS: u32 = 2_000;

/// Batches of dead letters under way to the control plane: it should not be flooded.
const LETTER_BATCHES_MAX: usize = 64;

/// Most connections of one core: their numbers have 16 bits.
const LINKS_MAX: usize = 1 << 16;

/// How long a connection that the peer has closed for writing waits for replies that are still
/// under way: far longer than any event takes that is not held back.
const LINGER_NS: u64 = 1_000_000_000;

/// What a round over the ports found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Bytes or commands came or went.
    Some,
    /// Nothing.
    None,
    /// Everything is delivered, or was given up: the core has ended.
    Ended,
}

impl Driver {
    /// Ports without any connection. With `hot` false no connection is read without being ready:
    /// for cores that share their CPU.
    pub fn new(
        mail: Mail,
        notices: Sender<Notice>,
        letters_waiting: Arc<AtomicUsize>,
        sinks: usize,
        hot: bool,
    ) -> Self {
        Self {
            mail,
            notices,
            letters_waiting,
            links: Vec::new(),
            active: Vec::new(),
            sinks: (0..sinks).map(|_| SinkLink::Absent).collect(),
            ready: Vec::with_capacity(64),
            lingering: VecDeque::new(),
            now: Nanos(0),
            hot_reads: if hot { HOT_READS } else { 0 },
            finishing: false,
            abandoned: false,
            stopped: false,
        }
    }

    /// Before a turn: commands, then bytes for the inlets.
    #[inline]
    pub fn bring(&mut self, core: &mut Core, now: Nanos, poller: &mut Poller) -> Progress {
        self.now = now;
        let commanded = self.mail.take().map(|command| self.obey(command, core, poller)).is_some();
        poller.poll(&mut self.ready);
        if !self.ready.is_empty() {
            self.note_ready();
        }
        let read = !self.active.is_empty() && self.read_active(core, now);
        if commanded || read { Progress::Some } else { Progress::None }
    }

    /// After a turn: bytes from the outlets, ended connections, dead letters.
    #[inline]
    pub fn carry(&mut self, core: &mut Core, poller: &mut Poller) -> Progress {
        let mut carried = self.carry_sinks(core, poller);
        if !core.replying().is_empty() {
            carried |= self.carry_replies(core, poller);
        }
        while let Some((id, ending)) = core.take_ended() {
            self.retire(id, ending, core, poller);
            carried = true;
        }
        if !self.lingering.is_empty() {
            self.close_lingering(core, poller);
        }
        if core.has_letters() {
            self.carry_letters(core);
        }
        if self.abandoned || (self.finishing && !core.has_letters() && self.delivered(core)) {
            return Progress::Ended;
        }
        if carried { Progress::Some } else { Progress::None }
    }

    /// Hands dead letters to the control plane, unless it has not dealt with earlier ones: they
    /// then stay, and in the end hold the sources back.
    #[cold]
    fn carry_letters(&mut self, core: &mut Core) {
        if self.letters_waiting.load(Ordering::Relaxed) < LETTER_BATCHES_MAX {
            self.letters_waiting.fetch_add(1, Ordering::Relaxed);
            let _ = self.notices.send(Notice::Letters(core.take_letters()));
        }
    }

    #[cold]
    fn obey(&mut self, command: Command, core: &mut Core, poller: &mut Poller) {
        match command {
            Command::Connection { .. } if self.stopped => {}
            Command::Connection { source, connection } if self.is_full() => {
                let peer = connection.peer_addr().map_or_else(|_| "?".into(), |a| a.to_string());
                tracing::error!("{peer} is turned away: {LINKS_MAX} connections are open here");
                self.tell_closed(source, Ending::Ended, peer);
            }
            Command::Connection { source, connection } => {
                let peer = connection.peer_addr().map_or_else(|_| "?".into(), |a| a.to_string());
                self.open(source, From::Connection(connection), peer, false, core, poller);
            }
            Command::Pipe { source, pipe, archives } => {
                let from = From::Pipe { pipe, rest: None, handed_over: archives };
                self.open(source, from, String::new(), archives, core, poller);
            }
            Command::Sink { sink, to } => {
                self.sinks[sink.0 as usize] = SinkLink::open(to, sink, poller);
            }
            Command::SourcesComplete => core.set_open_sources(false),
            Command::StopSources => self.stop_sources(core),
            Command::Finish => self.finishing = true,
            Command::Abandon => {
                core.count_overdue(self.now);
                self.abandoned = true;
            }
        }
    }

    fn open(
        &mut self,
        source: SourceId,
        from: From,
        peer: String,
        archives: bool,
        core: &mut Core,
        poller: &mut Poller,
    ) {
        let id = core.open_inlet(source, archives);
        let slot = id.inlet();
        if let From::Connection(connection) = &from
            && let Err(error) = poller.watch(connection, slot as u64)
        {
            tracing::error!("connection from {peer}: {error}; it is closed");
            core.retire_inlet(id);
            core.close_reply(id.inlet());
            self.tell_closed(source, Ending::Ended, peer);
            return;
        }
        if slot >= self.links.len() {
            self.links.resize_with(slot + 1, || None);
        }
        let link = Link { id, source, from, idle_reads: 0, active: true, ended: false, peer };
        self.links[slot] = Some(link);
        self.active.push(slot);
    }

    fn stop_sources(&mut self, core: &mut Core) {
        self.stopped = true;
        core.count_overdue(self.now);
        core.stop_sources();
        for link in self.links.iter_mut().flatten() {
            link.ended = true;
            if let From::Pipe { pipe, rest, handed_over: true } = &mut link.from {
                let bytes = unread_bytes(pipe, rest);
                if bytes > 0 {
                    let _ = self.notices.send(Notice::Unread { source: link.source, bytes });
                }
            }
        }
    }

    #[cold]
    fn note_ready(&mut self) {
        for ready in self.ready.drain(..) {
            if let Some(sink) = sink_of(ready.token) {
                self.sinks[sink].discard_input();
                continue;
            }
            let slot = ready.token as usize;
            let Some(Some(link)) = self.links.get_mut(slot) else { continue };
            link.idle_reads = 0;
            if !link.active {
                link.active = true;
                self.active.push(slot);
            }
        }
    }

    /// Reads each active link once. Links that stay empty become inactive.
    fn read_active(&mut self, core: &mut Core, now: Nanos) -> bool {
        let mut any = false;
        let hot = if self.active.len() <= HOT_LINKS_MAX { self.hot_reads } else { 0 };
        let Self { active, links, .. } = self;
        active.retain(|slot| {
            let Some(link) = links[*slot].as_mut() else { return false };
            let read = !link.ended && link.read(core, now);
            any |= read;
            link.idle_reads = if read { 0 } else { link.idle_reads.saturating_add(1) };
            let pipe = matches!(link.from, From::Pipe { .. });
            link.active = !link.ended && (pipe || link.idle_reads <= hot);
            link.active
        });
        any
    }

    #[inline]
    fn carry_sinks(&mut self, core: &mut Core, poller: &mut Poller) -> bool {
        let mut carried = false;
        for sink in 0..self.sinks.len() {
            let id = SinkId(sink as u16);
            let Some(outlet) = core.outlet(id) else { continue };
            if outlet.waiting().is_empty() {
                continue;
            }
            match self.sinks[sink].carry(outlet) {
                Ok(0) => self.sinks[sink].watch_room(id, poller),
                Ok(_) => carried = true,
                Err(reason) => {
                    outlet.restart();
                    self.sinks[sink].close(id, poller);
                    let _ = self.notices.send(Notice::SinkLost { sink: id, reason });
                }
            }
        }
        carried
    }

    fn carry_replies(&mut self, core: &mut Core, poller: &mut Poller) -> bool {
        let mut carried = false;
        let mut broken = None;
        for at in 0..core.replying().len() {
            let slot = core.replying()[at];
            let Some(outlet) = core.reply(slot) else { continue };
            if outlet.waiting().is_empty() {
                continue;
            }
            match self.links[slot].as_mut().map(|link| &mut link.from) {
                Some(From::Connection(connection)) => match write(connection, outlet) {
                    Ok(0) => watch_room(poller, connection, slot as u64),
                    Ok(_) => carried = true,
                    Err(_) => broken = Some(slot),
                },
                // Files and pipes have no way back: their replies are counted as lost.
                _ => broken = Some(slot),
            }
        }
        if let Some(slot) = broken {
            self.lose_replies(slot, core, poller);
        }
        carried
    }

    #[cold]
    fn lose_replies(&mut self, slot: usize, core: &mut Core, poller: &mut Poller) {
        core.close_reply(slot);
        if let Some(at) = self.lingering.iter().position(|(lingering, _)| *lingering == slot) {
            // It only waited for these replies. Its place is free now, so no entry may be left
            // that would close whoever takes it.
            self.lingering.remove(at);
            poller.unwatch(slot as u64);
            self.links[slot] = None;
            return;
        }
        if let Some(link) = self.links[slot].as_mut()
            && matches!(link.from, From::Connection(_))
            && !link.ended
        {
            link.ended = true;
            core.inlet_end(link.id);
        }
    }

    /// An inlet has ended. Its connection stays for replies that are still under way.
    #[cold]
    fn retire(&mut self, id: ConnectionId, ending: Ending, core: &mut Core, poller: &mut Poller) {
        let slot = id.inlet();
        core.retire_inlet(id);
        let Some(link) = self.links[slot].as_mut() else { return };
        link.ended = true;
        let (source, peer) = (link.source, std::mem::take(&mut link.peer));
        let connection = matches!(link.from, From::Connection(_));
        if connection {
            poller.unwatch(slot as u64);
        }
        if connection && core.reply(slot).is_some() && ending == Ending::Ended {
            self.lingering.push_back((slot, self.now.0 + LINGER_NS));
        } else {
            core.close_reply(slot);
            self.links[slot] = None;
        }
        self.tell_closed(source, ending, peer);
    }

    fn tell_closed(&self, source: SourceId, ending: Ending, peer: String) {
        let _ = self.notices.send(Notice::Closed { source, ending, peer });
    }

    /// Whether there is no place for another connection.
    fn is_full(&self) -> bool {
        self.links.len() == LINKS_MAX && self.links.iter().all(Option::is_some)
    }

    /// Closes connections whose time for late replies is over.
    #[cold]
    fn close_lingering(&mut self, core: &mut Core, poller: &mut Poller) {
        while let Some((slot, deadline)) = self.lingering.front().copied() {
            let waiting = core.reply(slot).is_some_and(|outlet| !outlet.waiting().is_empty());
            if self.now.0 < deadline {
                return;
            }
            self.lingering.pop_front();
            if waiting {
                self.lingering.push_back((slot, self.now.0 + LINGER_NS));
            } else {
                poller.unwatch(slot as u64);
                core.close_reply(slot);
                self.links[slot] = None;
            }
        }
    }

    /// Whether nothing waits in an outlet of a sink or reply.
    fn delivered(&mut self, core: &mut Core) -> bool {
        let sinks = (0..self.sinks.len()).all(|sink| {
            core.outlet(SinkId(sink as u16)).is_none_or(|outlet| outlet.waiting().is_empty())
        });
        sinks && core.replying().is_empty()
    }
}

impl Link {
    /// Brings what has come into the inlet. Returns whether there was something.
    #[inline]
    fn read(&mut self, core: &mut Core, now: Nanos) -> bool {
        match &mut self.from {
            From::Connection(connection) => {
                let room = core.inlet_room(self.id);
                if room.is_empty() {
                    return true;
                }
                match connection.try_read(room) {
                    ReadOutcome::Bytes(bytes) => core.inlet_filled(self.id, bytes, now),
                    ReadOutcome::WouldBlock => return false,
                    ReadOutcome::Closed | ReadOutcome::Failed(_) => {
                        self.ended = true;
                        core.inlet_end(self.id);
                    }
                }
                true
            }
            From::Pipe { pipe, rest, .. } => {
                read_pipe(self.id, pipe, rest, core, now, &mut self.ended)
            }
        }
    }
}

/// Empties a pipe that nobody will read. Its buffers are not given back, so it ends.
fn unread_bytes(pipe: &mut PipeOut, rest: &mut Option<(Vec<u8>, usize)>) -> usize {
    let mut bytes = rest.take().map_or(0, |(buffer, start)| buffer.len() - start);
    while let Received::Buffer(buffer) = pipe.try_recv() {
        bytes += buffer.len();
    }
    bytes
}

/// Copies from the buffers of a pipe into the inlet as far as there is room.
fn read_pipe(
    id: ConnectionId,
    pipe: &mut PipeOut,
    rest: &mut Option<(Vec<u8>, usize)>,
    core: &mut Core,
    now: Nanos,
    ended: &mut bool,
) -> bool {
    let (buffer, start) = match rest.take() {
        Some(rest) => rest,
        None => match pipe.try_recv() {
            Received::Buffer(buffer) => (buffer, 0),
            Received::Nothing => return false,
            Received::Ended => {
                *ended = true;
                core.inlet_end(id);
                return true;
            }
        },
    };
    let room = core.inlet_room(id);
    let bytes = room.len().min(buffer.len() - start);
    room[..bytes].copy_from_slice(&buffer[start..start + bytes]);
    core.inlet_filled(id, bytes, now);
    if start + bytes == buffer.len() {
        pipe.give_back(buffer);
    } else {
        *rest = Some((buffer, start + bytes));
    }
    bytes > 0
}

#[cfg(test)]
mod tests {
    use super::unread_bytes;
    use crate::connect::pipe::pipe;

    #[test]
    fn what_was_handed_over_and_not_read_is_counted_whole() {
        let (mut pipe_in, mut pipe_out) = pipe();
        let mut rest = Some((vec![0; 10], 3));
        for bytes in [100, 1] {
            let mut buffer = pipe_in.buffer().expect("the pipe is open");
            buffer.resize(bytes, 0);
            pipe_in.send(buffer).expect("the pipe is open");
        }
        assert_eq!(unread_bytes(&mut pipe_out, &mut rest), 7 + 100 + 1);
        assert_eq!(unread_bytes(&mut pipe_out, &mut rest), 0);
    }
}
