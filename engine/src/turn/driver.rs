//! The driver: everything around the turn of a core, in one order.
//!
//! Owns every port of its core. The connections that were read last are filled directly in each
//! turn, up to [`HOT_INLETS_MAX`] of them: that is the shortest way from the wire (0.35 µs for a
//! read that finds nothing). All others cost nothing until they are announced as ready.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

use potoroo_runtime::{Nanos, Ready};
use potoroo_sdk::host::SinkId;

use super::handout::Handout;
use super::inlets::{Found, OpenInlet};
use super::lease::NodeLease;
use super::links::{Links, link_of};
use super::mail::{Mail, NewLink, Notice, Renew};
use super::ports::{Passed, PortLost, Readiness};
use super::sinks::{SinkPort, sink_of};
use crate::checkpoint::Epoch;
use crate::flow::{Core, Outlet};

/// The ports of one core, and what is done with them in a turn.
pub struct Driver {
    pub(super) mail: Mail,
    pub(super) notices: Sender<Notice>,
    /// Batches of dead letters that the control plane has not dealt with, of all cores.
    letters_waiting: Arc<AtomicUsize>,
    /// Where parts of checkpoints go; `None` if none are taken.
    handout: Option<Handout>,
    /// By slot.
    pub(super) inlets: Vec<Option<OpenInlet>>,
    /// Slots of inlets that are filled in each turn.
    pub(super) active: Vec<usize>,
    pub(super) sinks: Vec<SinkPort>,
    pub(super) links: Links,
    /// That of its node; `None` for a process that is alone.
    lease: Option<Arc<NodeLease>>,
    ready: Vec<Ready>,
    /// Slots of connections that only wait for late replies, and until when.
    pub(super) lingering: VecDeque<(usize, u64)>,
    pub(super) now: Nanos,
    hot_fills: u32,
    /// How long the replies of a connection may hold its core back.
    pub(super) reply_stall_ns: u64,
    pub(super) finishing: bool,
    pub(super) abandoned: bool,
    /// What the core becomes, which is abandoned for that.
    pub(super) renewal: Option<Renew>,
    /// Sources have stopped: an inlet that comes now is turned away.
    pub(super) stopped: bool,
}

/// What a turn found to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turned {
    /// A command or bytes came.
    pub came: bool,
    /// What the core did.
    pub work: usize,
    /// Bytes, dead letters or parts went, or an inlet was closed.
    pub went: bool,
    /// Everything is delivered or abandoned: there is nothing left to do, unless the core is
    /// [renewed](Driver::take_renewal).
    pub ended: bool,
}

impl Turned {
    /// Whether there was nothing to do.
    #[inline]
    pub fn is_idle(self) -> bool {
        !self.came && self.work == 0 && !self.went
    }
}

/// Announced inlets that are filled directly although they were found empty: more of them would
/// cost more than asking for readiness.
const HOT_INLETS_MAX: usize = 2;

/// Fills that find nothing before an inlet is left to its announcements: about a millisecond.
const HOT_FILLS: u32 = 2_000;

/// Batches of dead letters under way to the control plane: it should not be flooded.
const LETTER_BATCHES_MAX: usize = 64;

/// Ended inlets that are taken away in one turn.
const ENDED_PER_TURN: usize = 64;

impl Driver {
    /// A driver without any port. With `hot` false no inlet is filled directly that is announced:
    /// for cores that share their CPU. A connection may hold the core back with its replies for
    /// `reply_stall_ns`.
    // cold: at start
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
            links: Links::new(notices.clone()),
            notices,
            letters_waiting,
            handout,
            inlets: Vec::new(),
            active: Vec::new(),
            sinks: (0..sinks).map(|_| SinkPort::Absent).collect(),
            lease: None,
            ready: Vec::with_capacity(64),
            lingering: VecDeque::new(),
            now: Nanos(0),
            hot_fills: if hot { HOT_FILLS } else { 0 },
            reply_stall_ns,
            finishing: false,
            abandoned: false,
            renewal: None,
            stopped: false,
        }
    }

    /// Adds a link, to which the lanes of `core` belong that lead to and from its seat.
    ///
    /// # Panics
    /// There was a turn.
    // cold: at start
    pub fn add_link(&mut self, link: NewLink) {
        self.links.add(link);
    }

    /// Lets nothing in or out after the end of `lease`.
    // cold: at start
    pub fn set_lease(&mut self, lease: Arc<NodeLease>) {
        self.lease = Some(lease);
    }

    /// What the core is to become: it has ended then, and another one takes its place.
    // cold: when nodes come or go
    pub fn take_renewal(&mut self) -> Option<Renew> {
        let renewal = self.renewal.take()?;
        self.abandoned = false;
        Some(renewal)
    }

    /// One turn of `core` at `now` with everything around it, in the order of the module's picture.
    /// Calls `wake` for each core that has to turn because of it.
    #[inline]
    pub fn turn<R: Readiness>(
        &mut self,
        core: &mut Core,
        now: Nanos,
        readiness: &mut R,
        mut wake: impl FnMut(usize),
    ) -> Turned {
        self.now = now;
        let command = self.mail.take();
        let mut came = command.map(|command| self.obey(command, core, readiness)).is_some();
        if let Some(lease) = &self.lease
            && lease.is_over(now)
        {
            return self.suspended(came, core, readiness);
        }
        readiness.poll(&mut self.ready);
        if !self.ready.is_empty() {
            self.note_ready(readiness);
        }
        if !self.active.is_empty() {
            came |= self.fill_inlets(core, now);
        }
        if !self.links.is_empty() {
            came |= self.links.bring(core, now, self.hot_fills, readiness);
        }
        if core.checkpoint_waits()
            && let Some(handout) = &mut self.handout
        {
            handout.attend(core, &mut wake);
        }
        let work = core.turn(now, wake);
        let mut went = !self.links.is_empty() && self.links.carry(core, readiness);
        went |= self.carry_sinks(core, readiness);
        if !core.replying().is_empty() {
            went |= self.carry_replies(core, readiness);
        }
        went |= self.retire_ended(core, readiness);
        if !self.lingering.is_empty() {
            self.close_lingering(core, readiness);
        }
        if core.has_letters() {
            went |= self.carry_letters(core);
        }
        if let Some(handout) = &mut self.handout
            && handout.is_needed(core)
        {
            went |= handout.carry(core, work);
        }
        Turned { came, work, went, ended: self.has_ended(core) }
    }

    /// A turn after the end of the lease: a command at most. What became ready is noted, so that
    /// the core can sleep.
    #[cold]
    fn suspended<R: Readiness>(
        &mut self,
        came: bool,
        core: &mut Core,
        readiness: &mut R,
    ) -> Turned {
        readiness.poll(&mut self.ready);
        if !self.ready.is_empty() {
            self.note_ready(readiness);
        }
        Turned { came, ended: self.has_ended(core), ..Turned::default() }
    }

    #[cold]
    fn note_ready(&mut self, readiness: &mut dyn Readiness) {
        for ready in self.ready.drain(..) {
            if let Some(link) = link_of(ready.token) {
                self.links.note_ready(link, ready);
                continue;
            }
            if let Some(sink) = sink_of(ready.token) {
                self.sinks[sink].discard_input(sink, readiness);
                continue;
            }
            let slot = ready.token as usize;
            let Some(Some(inlet)) = self.inlets.get_mut(slot) else { continue };
            inlet.idle_fills = 0;
            if !inlet.active {
                inlet.active = true;
                self.active.push(slot);
            }
        }
    }

    /// Fills each active inlet once. Announced ones that stay empty become inactive.
    fn fill_inlets(&mut self, core: &mut Core, now: Nanos) -> bool {
        let mut any = false;
        let hot = if self.active.len() <= HOT_INLETS_MAX { self.hot_fills } else { 0 };
        let Self { active, inlets, .. } = self;
        active.retain(|slot| {
            let Some(inlet) = inlets[*slot].as_mut() else { return false };
            let found = if inlet.ended { Found::Nothing } else { inlet.fill(core, now) };
            any |= found == Found::Something;
            // Without room it stays: what waits outside is announced only once.
            inlet.idle_fills = match found {
                Found::Nothing => inlet.idle_fills.saturating_add(1),
                Found::Something | Found::NoRoom => 0,
            };
            inlet.active = !inlet.ended && (!inlet.announced || inlet.idle_fills <= hot);
            inlet.active
        });
        any
    }

    #[inline]
    fn carry_sinks(&mut self, core: &mut Core, readiness: &mut dyn Readiness) -> bool {
        let mut carried = false;
        for sink in 0..self.sinks.len() {
            let Some(outlet) = core.outlet(SinkId(sink as u16)) else { continue };
            if outlet.is_empty() {
                continue;
            }
            let marked = outlet.take_marker().map(|epoch| self.pass_marker(sink, epoch, outlet));
            carried |= matches!(marked, Some(Ok(true)));
            let put = match marked {
                Some(Err(lost)) => Err(lost),
                _ if outlet.waiting().is_empty() => continue,
                _ => self.sinks[sink].put(outlet.waiting()),
            };
            match put {
                Ok(0) => self.sinks[sink].watch_room(sink, readiness),
                Ok(bytes) => {
                    outlet.written(bytes);
                    carried = true;
                }
                Err(lost) => {
                    outlet.restart();
                    self.lose_sink(sink, lost, readiness);
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
        sink: usize,
        epoch: Epoch,
        outlet: &mut Outlet,
    ) -> Result<bool, PortLost> {
        let handout = self.handout.as_mut().expect("only checkpoints mark");
        match self.sinks[sink].pass_marker(epoch)? {
            Passed::Here => handout.report_marked(SinkId(sink as u16), epoch),
            Passed::ToWriter => {}
            Passed::NotYet => {
                outlet.put_back_marker(epoch);
                return Ok(false);
            }
        }
        Ok(true)
    }

    #[cold]
    fn lose_sink(&mut self, sink: usize, lost: PortLost, readiness: &mut dyn Readiness) {
        self.sinks[sink].close(sink, lost.for_good, readiness);
        let (sink, reason) = (SinkId(sink as u16), lost.reason);
        let _ = self.notices.send(Notice::SinkLost { sink, reason });
    }

    /// Takes ended inlets away. Returns whether there were any.
    #[inline]
    fn retire_ended(&mut self, core: &mut Core, readiness: &mut dyn Readiness) -> bool {
        for retired in 0..ENDED_PER_TURN {
            let Some((id, ending)) = core.take_ended() else { return retired > 0 };
            self.retire(id, ending, core, readiness);
        }
        true
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

    /// Whether everything is delivered or abandoned.
    fn has_ended(&self, core: &mut Core) -> bool {
        self.abandoned || (self.finishing && !core.has_letters() && self.delivered(core))
    }

    /// Whether nothing waits in an outlet of a sink or reply.
    #[cold]
    fn delivered(&self, core: &mut Core) -> bool {
        let sinks = (0..self.sinks.len())
            .all(|sink| core.outlet(SinkId(sink as u16)).is_none_or(|outlet| outlet.is_empty()));
        sinks && core.replying().is_empty()
    }
}
