//! The inlets of one core, by slot.
//!
//! Owns which slots are free, which inlets may have whole frames and which have ended. Promises
//! that inlets with whole frames are served in turn. It must never give a slot to two connections,
//! nor an id to two.

use std::collections::VecDeque;

use potoroo_sdk::host::{Host, SourceId, UnderWay};
use potoroo_sdk::plan::Plan;
use potoroo_sdk::time::EventTime;

use super::connection::ConnectionId;
use super::ingress::Inlet;
use super::own_watermarks::OwnWatermarks;
use super::positions::{Ending, ReadPosition};
use super::route::Router;

/// Generations after which serials may repeat: each has a range of about a million.
const SERIAL_GENERATIONS: u32 = 4096;

/// The inlets of one core.
pub(super) struct Inlets {
    /// The core, which the ids of its connections name.
    core: usize,
    /// Bytes of each inlet's buffer.
    inlet_bytes: usize,
    /// The serial of the newest connection.
    serial: u32,
    slots: Vec<Option<Inlet>>,
    /// Slots that neither an inlet nor an outlet for replies takes.
    free: Vec<usize>,
    /// Slots whose inlets may have whole frames.
    ready: VecDeque<usize>,
    /// Slots whose inlets have ended and were not yet taken away.
    ended: Vec<usize>,
}

impl Inlets {
    // cold: at start
    pub(super) fn new(core: usize, inlet_bytes: usize) -> Self {
        Self {
            core,
            inlet_bytes,
            serial: 0,
            slots: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::with_capacity(64),
            ended: Vec::new(),
        }
    }

    /// Serials continue in the range of `generation`, or after it if a connection of an earlier run
    /// that is still under way has gone beyond its range.
    // cold: at start
    pub(super) fn begin_generation(&mut self, generation: u64) {
        let range = generation as u32 % SERIAL_GENERATIONS;
        self.raise_serial(range * (u32::MAX / SERIAL_GENERATIONS));
    }

    /// The serial of the newest connection.
    pub(super) fn serial(&self) -> u32 {
        self.serial
    }

    /// Serials up to `serial` are in use.
    pub(super) fn raise_serial(&mut self, serial: u32) {
        self.serial = self.serial.max(serial);
    }

    /// Opens an inlet at `source`, made by `kind` from a plain one with these own watermarks.
    ///
    /// # Panics
    /// There are 65 536 already.
    pub(super) fn open(
        &mut self,
        source: SourceId,
        own: OwnWatermarks,
        kind: impl FnOnce(Inlet) -> Inlet,
    ) -> ConnectionId {
        let slot = self.free.pop().unwrap_or(self.slots.len());
        let inlet = u16::try_from(slot).expect("connections are limited");
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        // After four billion connections nothing of the first is under way.
        self.serial = self.serial.wrapping_add(1);
        let id = ConnectionId::new(self.core, self.serial, inlet);
        self.slots[slot] = Some(kind(Inlet::new(source, id.0, self.inlet_bytes, own)));
        id
    }

    /// The inlet of an open connection.
    ///
    /// # Panics
    /// It is not open.
    #[inline]
    pub(super) fn at(&mut self, id: ConnectionId) -> &mut Inlet {
        let inlet = self.slots[id.inlet()].as_mut().expect("the inlet is open");
        assert_eq!(inlet.connection(), id.0, "the inlet belongs to the connection");
        inlet
    }

    /// Changes an inlet, and lists it when that has given the core something to do with it.
    #[inline]
    pub(super) fn change(&mut self, id: ConnectionId, change: impl FnOnce(&mut Inlet)) {
        let inlet = self.at(id);
        let was_ready = inlet.ready();
        change(inlet);
        if !was_ready && inlet.ready() {
            self.ready.push_back(id.inlet());
        }
    }

    /// One inlet that has ended and was not returned before.
    pub(super) fn take_ended(&mut self) -> Option<(ConnectionId, Ending)> {
        let slot = self.ended.pop()?;
        let inlet = self.slots[slot].as_ref().expect("an inlet ends once");
        let ending = inlet.ending().expect("only ended inlets are listed");
        Some((ConnectionId(inlet.connection()), ending))
    }

    /// Takes an inlet away. Its slot is taken until [`free`](Self::free).
    pub(super) fn retire(&mut self, id: ConnectionId) {
        self.at(id);
        let slot = id.inlet();
        self.slots[slot] = None;
        self.ready.retain(|ready| *ready != slot);
        self.ended.retain(|ended| *ended != slot);
    }

    /// Says what each has seen of time.
    // cold: when nodes come or go
    pub(super) fn set_times(&mut self, router: &mut Router) {
        let slots = self.slots.iter_mut().enumerate();
        for (slot, inlet) in slots.filter_map(|(slot, inlet)| Some((slot, inlet.as_mut()?))) {
            open_times(slot, inlet, router);
        }
    }

    /// The inlet of an open connection says what it has seen of time: one that goes on from a
    /// checkpoint holds time from now on.
    // cold: once per connection
    pub(super) fn open_times(&mut self, id: ConnectionId, router: &mut Router) {
        open_times(id.inlet(), self.at(id), router);
    }

    /// The source and the id of the connection in a slot.
    // cold: for gauges
    pub(super) fn connection(&self, slot: usize) -> Option<(SourceId, ConnectionId)> {
        let inlet = self.slots.get(slot)?.as_ref()?;
        Some((inlet.source(), ConnectionId(inlet.connection())))
    }

    /// Whether a slot has an inlet.
    pub(super) fn is_open(&self, slot: usize) -> bool {
        self.slots[slot].is_some()
    }

    /// Frees a slot: neither an inlet nor an outlet for replies takes it.
    pub(super) fn free(&mut self, slot: usize) {
        self.free.push(slot);
    }

    /// Whether no inlet is open.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    /// Whether one is open of `source`.
    // cold: when nodes come or go
    pub(super) fn has(&self, source: SourceId) -> bool {
        self.slots.iter().flatten().any(|inlet| inlet.source() == source)
    }

    /// Where those that can be read again would continue.
    pub(super) fn positions(&self) -> impl Iterator<Item = ReadPosition> {
        self.slots.iter().flatten().filter_map(Inlet::replay_position)
    }

    /// Ends all inlets after the last whole frame that they have read, but for those of archives.
    pub(super) fn stop(&mut self) {
        for slot in 0..self.slots.len() {
            if let Some(inlet) = self.slots[slot].as_ref().filter(|inlet| !inlet.archives()) {
                self.change(ConnectionId(inlet.connection()), Inlet::stop);
            }
        }
    }

    /// Runs waiting events of all inlets, up to a limit for each, until the router is blocked.
    /// Returns how many events were run or refused.
    pub(super) fn ingest(&mut self, plan: &Plan, under_way: &UnderWay, router: &mut Router) -> u64 {
        let mut work = 0;
        // An inlet that was served and has more goes to the back.
        for _ in 0..self.ready.len() {
            if router.blocked() {
                break;
            }
            let Some(slot) = self.ready.pop_front() else { break };
            work += self.ingest_slot(slot, plan, under_way, router);
        }
        work
    }

    fn ingest_slot(
        &mut self,
        slot: usize,
        plan: &Plan,
        under_way: &UnderWay,
        router: &mut Router,
    ) -> u64 {
        let Some(inlet) = &mut self.slots[slot] else { return 0 };
        if router.watermarks.is_ahead(inlet.own()) {
            router.watermarks.hold(inlet.source(), Some(slot));
            self.ready.push_back(slot);
            return 0;
        }
        router.gauges.begin(inlet.source().into());
        let (id, source) = (inlet.source(), inlet.source().0 as usize);
        let timed = !router.watermarks.is_unused();
        if timed {
            router.watermarks.begin_input(id, Some(slot), inlet.own());
        }
        let done = inlet.ingest(&*plan.sources[source].stage, under_way, router);
        if timed {
            let entered = inlet.ingress().0;
            let brought = (done.events, entered);
            router.watermarks.end_input((id, Some(slot)), inlet.own(), brought);
        }
        if inlet.ready() {
            self.ready.push_back(slot);
        } else if inlet.ending().is_some() {
            self.ended.push(slot);
        }
        let counts = &mut router.counts.sources[source];
        counts.events += done.events;
        counts.bytes += done.bytes;
        done.events + done.refused
    }
}

/// An inlet that was opened says what it has seen of time.
// cold: once per connection
fn open_times(slot: usize, inlet: &mut Inlet, router: &mut Router) {
    let goes_on = inlet.goes_on();
    let (source, own) = (inlet.source(), inlet.own());
    let has_brought = own.each().any(|(_, own)| own > EventTime::MIN);
    router.watermarks.times().open(source, slot, own, goes_on || has_brought);
}
