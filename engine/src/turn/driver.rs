//! Drives a core: brings bytes from sockets and pipes into its inlets before a turn, and from its
//! outlets to sockets and pipes after it.
//!
//! Owns every descriptor of its core. A few connections that brought something lately are read
//! directly in each turn: that is the shortest way from the wire (0.35 µs for a read that finds
//! nothing). All others cost nothing until the poller says that they are ready.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

use potoroo_runtime::{Nanos, Poller, Ready};
use potoroo_sdk::host::{SinkId, SourceId};

use super::handout::Handout;
use super::links::{Found, From, Link};
use super::mail::{CheckpointCommand, Command, Mail, Notice};
use super::sinks::{SinkLink, sink_of};
use crate::connect::lines::Lines;
use crate::flow::{ConnectionId, Core, Ending, Outlet};

/// The ports of one core.
pub struct Driver {
    pub(super) mail: Mail,
    pub(super) notices: Sender<Notice>,
    /// Batches of dead letters that the control plane has not dealt with, of all cores.
    pub(super) letters_waiting: Arc<AtomicUsize>,
    /// Where parts of checkpoints go; `None` if none are taken.
    pub(super) handout: Option<Handout>,
    pub(super) links: Vec<Option<Link>>,
    pub(super) active: Vec<usize>,
    pub(super) sinks: Vec<SinkLink>,
    pub(super) ready: Vec<Ready>,
    /// Connections that only wait for late replies, and until when.
    pub(super) lingering: VecDeque<(usize, u64)>,
    pub(super) now: Nanos,
    pub(super) hot_reads: u32,
    /// How long the replies of a connection may hold its core back.
    pub(super) reply_stall_ns: u64,
    pub(super) finishing: bool,
    pub(super) abandoned: bool,
    /// Sources were told to stop: whoever connects now is turned away.
    pub(super) stopped: bool,
}

/// Connections that are read directly although they were found empty: more of them would cost
/// more than asking the poller.
const HOT_LINKS_MAX: usize = 2;

/// Reads that find nothing before a connection is left to the poller: about a millisecond.
const HOT_READS: u32 = 2_000;

/// Batches of dead letters under way to the control plane: it should not be flooded.
const LETTER_BATCHES_MAX: usize = 64;

/// Ended inlets that are taken away in one turn.
const ENDED_PER_TURN: usize = 64;

/// How long a connection that the peer has closed for writing waits for replies that are still
/// under way: far longer than any event takes that is not held back.
pub(super) const LINGER_NS: u64 = 1_000_000_000;

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
    /// for cores that share their CPU. A connection may hold the core back with its replies for
    /// `reply_stall_ns`.
    pub fn new(
        mail: Mail,
        notices: Sender<Notice>,
        letters_waiting: Arc<AtomicUsize>,
        handout: Option<Handout>,
        sinks: usize,
        hot: bool,
        reply_stall_ns: u64,
    ) -> Self {
        Self {
            mail,
            notices,
            letters_waiting,
            handout,
            links: Vec::new(),
            active: Vec::new(),
            sinks: (0..sinks).map(|_| SinkLink::Absent).collect(),
            ready: Vec::with_capacity(64),
            lingering: VecDeque::new(),
            now: Nanos(0),
            hot_reads: if hot { HOT_READS } else { 0 },
            reply_stall_ns,
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
            self.note_ready(poller);
        }
        let read = !self.active.is_empty() && self.read_active(core, now);
        if commanded || read { Progress::Some } else { Progress::None }
    }

    /// Right before a turn: what it would have to do for a checkpoint, so that it is measured.
    #[inline]
    pub fn attend(&mut self, core: &mut Core, wake: impl FnMut(usize)) {
        if core.checkpoint_waits()
            && let Some(handout) = &mut self.handout
        {
            handout.attend(core, wake);
        }
    }

    /// After a turn that did `work`: bytes from the outlets, ended connections, dead letters, parts
    /// of checkpoints.
    #[inline]
    pub fn carry(&mut self, core: &mut Core, poller: &mut Poller, work: usize) -> Progress {
        let mut carried = self.carry_sinks(core, poller);
        if !core.replying().is_empty() {
            carried |= self.carry_replies(core, poller);
        }
        for _ in 0..ENDED_PER_TURN {
            let Some((id, ending)) = core.take_ended() else { break };
            self.retire(id, ending, core, poller);
            carried = true;
        }
        if !self.lingering.is_empty() {
            self.close_lingering(core, poller);
        }
        if core.has_letters() {
            carried |= self.carry_letters(core);
        }
        if let Some(handout) = &mut self.handout
            && handout.is_needed(core)
        {
            carried |= handout.carry(core, work);
        }
        if self.abandoned || (self.finishing && !core.has_letters() && self.delivered(core)) {
            return Progress::Ended;
        }
        if carried { Progress::Some } else { Progress::None }
    }

    /// Hands dead letters to the control plane, unless it has not dealt with earlier ones: they
    /// then stay, and in the end hold the sources back. Returns whether they went.
    #[cold]
    fn carry_letters(&mut self, core: &mut Core) -> bool {
        let room = self.letters_waiting.load(Ordering::Relaxed) < LETTER_BATCHES_MAX;
        if room {
            self.letters_waiting.fetch_add(1, Ordering::Relaxed);
            let _ = self.notices.send(Notice::Letters(core.take_letters()));
        }
        room
    }

    #[cold]
    fn obey(&mut self, command: Command, core: &mut Core, poller: &mut Poller) {
        match command {
            Command::Connection { .. } | Command::Stream { .. } if self.stopped => {}
            Command::HoldSources { .. } if self.stopped => {}
            Command::HoldSources { sink, hold } => core.hold_sources(sink, hold),
            Command::Connection { source, connection, permit } => {
                let peer = connection.peer_addr().map_or_else(|_| "?".into(), |a| a.to_string());
                let from = From::Connection { connection, _permit: permit };
                self.open(source, from, peer, core, poller);
            }
            Command::Pipe { source, pipe } => {
                let from = From::Pipe { pipe, rest: None, handed_over: true, taken: None };
                let id = core.open_inlet(source, true);
                self.link(id, source, from, String::new());
            }
            Command::File { source, pipe, start } => {
                let from = From::Pipe { pipe, rest: None, handed_over: false, taken: None };
                let id = match start {
                    Some(start) => core.open_replayed(source, start),
                    None => core.open_inlet(source, false),
                };
                self.link(id, source, from, String::new());
            }
            Command::Stream { source, stream, name_hash, pipe, start, taken } => {
                let from = From::Pipe { pipe, rest: None, handed_over: false, taken };
                let id = core.open_stream(source, stream, name_hash, start);
                self.link(id, source, from, String::new());
            }
            Command::Checkpoint(CheckpointCommand::Begin(epoch)) => core.begin_checkpoint(epoch),
            Command::Checkpoint(CheckpointCommand::Commit(epoch)) => core.commit_checkpoint(epoch),
            Command::Checkpoint(CheckpointCommand::Abort(epoch)) => core.abort_checkpoint(epoch),
            Command::Sink { sink, to } => {
                self.sinks[sink.0 as usize] = SinkLink::open(to, sink, poller);
            }
            Command::SourcesComplete => core.set_open_sources(false),
            Command::StopSources => self.stop_sources(core),
            Command::Finish => self.finishing = true,
            Command::Abandon => {
                core.count_overdue(self.now);
                self.tell_unread();
                self.abandoned = true;
            }
        }
    }

    fn open(
        &mut self,
        source: SourceId,
        from: From,
        peer: String,
        core: &mut Core,
        poller: &mut Poller,
    ) {
        let id = core.open_inlet(source, false);
        let slot = id.inlet();
        if let From::Connection { connection, .. } = &from
            && let Err(error) = poller.watch(connection, slot as u64)
        {
            if let Some(left_out) = UNWATCHED.admit() {
                tracing::error!("connection from {peer}: {error}; it is closed{left_out}");
            }
            core.retire_inlet(id);
            core.close_reply(id.inlet());
            self.tell_closed(source, Ending::Ended, peer);
            return;
        }
        self.link(id, source, from, peer);
    }

    fn link(&mut self, id: ConnectionId, source: SourceId, from: From, peer: String) {
        let slot = id.inlet();
        if slot >= self.links.len() {
            self.links.resize_with(slot + 1, || None);
        }
        self.links[slot] = Some(Link::new(id, source, from, peer));
        self.active.push(slot);
    }

    fn stop_sources(&mut self, core: &mut Core) {
        self.stopped = true;
        core.count_overdue(self.now);
        core.stop_sources();
        self.links.iter_mut().flatten().for_each(Link::stop);
    }

    /// Tells of what the embedding program has handed over in vain.
    fn tell_unread(&mut self) {
        for link in self.links.iter_mut().flatten() {
            let bytes = link.take_unread_bytes();
            if bytes > 0 {
                let _ = self.notices.send(Notice::Unread { source: link.source, bytes });
            }
        }
    }

    #[cold]
    fn note_ready(&mut self, poller: &mut Poller) {
        for ready in self.ready.drain(..) {
            if let Some(sink) = sink_of(ready.token) {
                self.sinks[sink].discard_input(SinkId(sink as u16), poller);
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
            let found = if link.ended { Found::Nothing } else { link.read(core, now) };
            any |= found == Found::Something;
            // Without room it stays: what waits outside is announced only once.
            link.idle_reads = match found {
                Found::Nothing => link.idle_reads.saturating_add(1),
                Found::Something | Found::NoRoom => 0,
            };
            let pipe = !link.is_connection();
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
            if outlet.is_empty() {
                continue;
            }
            let marked = outlet.take_marker().map(|epoch| self.pass_marker(id, epoch, outlet));
            carried |= matches!(marked, Some(Ok(true)));
            let done = match marked {
                Some(Err(reason)) => Err(reason),
                _ if outlet.waiting().is_empty() => continue,
                _ => self.sinks[sink].carry(outlet),
            };
            match done {
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

    /// Passes a marker on, or puts it back if there is no room for it now. Returns whether it was
    /// passed on.
    #[cold]
    fn pass_marker(
        &mut self,
        sink: SinkId,
        epoch: u32,
        outlet: &mut Outlet,
    ) -> Result<bool, String> {
        let handout = self.handout.as_mut().expect("only checkpoints mark");
        let passed = handout.pass_marker(sink, &mut self.sinks[sink.0 as usize], epoch)?;
        if !passed {
            outlet.put_back_marker(epoch);
        }
        Ok(passed)
    }

    pub(super) fn tell_closed(&self, source: SourceId, ending: Ending, peer: String) {
        let _ = self.notices.send(Notice::Closed { source, ending, peer });
    }

    /// Whether nothing waits in an outlet of a sink or reply.
    fn delivered(&mut self, core: &mut Core) -> bool {
        let sinks = (0..self.sinks.len())
            .all(|sink| core.outlet(SinkId(sink as u16)).is_none_or(|outlet| outlet.is_empty()));
        sinks && core.replying().is_empty()
    }
}

/// Connections come as often as peers like, and all may fail to be watched.
static UNWATCHED: Lines = Lines::new();
