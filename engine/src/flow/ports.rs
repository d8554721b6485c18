//! The ports of a core: its driver brings bytes in and takes bytes out between turns.
//!
//! Cold: a call per connection or per buffer, never per event.

use std::rc::Rc;

use potoroo_runtime::{LinkSender, Nanos};
use potoroo_sdk::host::{Generate, SinkId, SourceId, UnderWay};

use super::connection::{ConnectionId, replayed_origin};
use super::egress::Outlet;
use super::generated::Generated;
use super::holder::Holder;
use super::ingress::Inlet;
use super::letters::DeadLetter;
use super::own_watermarks::OwnWatermarks;
use super::positions::{Ending, Start};
use super::route::Router;
use super::skip::Skips;
use super::turn::{Core, Phase};

/// How soon a core looks again at a checkpoint or a recovery, since not all of their steps wake it:
/// seldom enough that a core costs little while a checkpoint waits for its full sink, and often
/// enough for a thousand chunks per second.
const RETRY_NS: u64 = 1_000_000;

impl Core {
    /// Opens an inlet at `source` and, if the application replies, an outlet for its replies.
    /// `archives`: its bytes are archives after their lengths (u32, little-endian) instead of what
    /// the codec expects.
    ///
    /// # Panics
    /// There are 65 536 already: the limit of connections is lower.
    pub fn open_inlet(&mut self, source: SourceId, archives: bool) -> ConnectionId {
        self.open(source, |inlet| if archives { inlet.of_archives() } else { inlet })
    }

    /// As [`open_inlet`](Self::open_inlet), for what can be read again and begins at `start`.
    pub fn open_replayed(&mut self, source: SourceId, start: Start) -> ConnectionId {
        let origin = self.origin_of(source);
        self.open(source, |inlet| inlet.replayed_from(origin, start))
    }

    /// As [`open_replayed`](Self::open_replayed), for the stream of this number in this run, and of
    /// a name with this hash in all of them.
    pub fn open_stream(
        &mut self,
        source: SourceId,
        stream: u32,
        name_hash: u64,
        start: Start,
    ) -> ConnectionId {
        let origin = self.origin_of(source);
        self.open(source, |inlet| inlet.of_stream(origin, stream, name_hash, start))
    }

    fn origin_of(&self, source: SourceId) -> u64 {
        replayed_origin(self.plan.sources[usize::from(source.0)].origin)
    }

    /// `count` streams of `source` go on here from a checkpoint: they hold time before they are
    /// [opened](Self::open_stream). Before the first turn.
    ///
    /// # Panics
    /// It was begun.
    pub fn await_streams(&mut self, source: SourceId, count: usize) {
        assert_ne!(self.phase, Phase::Turning, "streams are awaited before the first turn");
        self.router.watermarks.times().await_connections(&self.plan, source, count);
    }

    /// Bytes of an inlet that were taken since its beginning: their events are under way.
    pub fn inlet_position(&mut self, id: ConnectionId) -> u64 {
        self.inlets.at(id).position()
    }

    fn open(&mut self, source: SourceId, kind: impl FnOnce(Inlet) -> Inlet) -> ConnectionId {
        self.tally.set_quiet(false);
        let Self { inlets, skips, plan, .. } = self;
        let own = OwnWatermarks::of(plan, usize::from(source.0));
        let id = inlets.open(source, own, |inlet| kind(inlet).with_skips(skips));
        if !self.router.watermarks.is_unused() {
            self.inlets.open_times(id, &mut self.router);
        }
        if self.replies {
            self.router.outputs.open_reply(id, Outlet::new(self.outlet_bytes));
        }
        id
    }

    /// Room for bytes of an inlet; empty while earlier ones wait.
    #[inline]
    pub fn inlet_room(&mut self, id: ConnectionId) -> &mut [u8] {
        self.inlets.at(id).room()
    }

    /// The first `bytes` of [`inlet_room`](Self::inlet_room) were filled at `now`.
    #[inline]
    pub fn inlet_filled(&mut self, id: ConnectionId, bytes: usize, now: Nanos) {
        self.inlets.change(id, |inlet| inlet.filled(bytes, now));
    }

    /// No byte will follow at an inlet.
    pub fn inlet_end(&mut self, id: ConnectionId) {
        self.inlets.change(id, Inlet::end);
    }

    /// One inlet that has ended and was not returned before; [`retire_inlet`](Self::retire_inlet)
    /// takes it away.
    pub fn take_ended(&mut self) -> Option<(ConnectionId, Ending)> {
        self.inlets.take_ended()
    }

    /// Takes an inlet away. Its place is free again when its outlet is closed, too. Returns whether
    /// it has brought events, so that replies to them may still be under way.
    pub fn retire_inlet(&mut self, id: ConnectionId) -> bool {
        let inlet = self.inlets.at(id);
        let (fruitful, position) = (inlet.fruitful(), inlet.replay_position());
        let source = inlet.source();
        self.router.watermarks.times().end(&self.plan, source, Some(id.inlet()));
        self.checkpoints.ended.extend(position);
        self.inlets.retire(id);
        if !self.router.outputs.has_reply(id.inlet()) {
            self.inlets.free(id.inlet());
        }
        fruitful
    }

    /// Closes the outlet for replies of an inlet. What waits and what comes later is lost, and
    /// counted; returns how many wait.
    pub fn close_reply(&mut self, inlet: usize) -> u64 {
        let Router { outputs, counts, .. } = &mut self.router;
        let Some(lost) = outputs.close_reply(inlet, counts) else { return 0 };
        self.tally.write(counts);
        if !self.inlets.is_open(inlet) {
            self.inlets.free(inlet);
        }
        lost
    }

    /// Counts a connection of `source` that was closed because it did not take its replies.
    pub fn count_stalled(&mut self, source: SourceId) {
        self.tally.count_stalled(source);
    }

    /// Where the bytes for a sink wait; `None` if another core owns it.
    pub fn outlet(&mut self, sink: SinkId) -> Option<&mut Outlet> {
        self.router.outputs.outlets[sink.0 as usize].as_mut()
    }

    /// Where replies for a connection wait.
    pub fn reply(&mut self, inlet: usize) -> Option<&mut Outlet> {
        self.router.outputs.reply_mut(inlet)
    }

    /// The inlets for which replies may wait.
    pub fn replying(&self) -> &[usize] {
        self.router.outputs.replying()
    }

    /// The event under way, for the report of a panic: on the thread of the core only.
    pub fn under_way(&self) -> Rc<UnderWay> {
        self.under_way.clone()
    }

    /// Events at these positions become dead letters. Before anything is restored or opened.
    ///
    /// # Panics
    /// Something was restored or opened.
    pub fn skip(&mut self, skips: &Skips) {
        assert_eq!(self.phase, Phase::New, "positions are skipped before anything is restored");
        assert!(self.inlets.is_empty(), "positions are skipped before an inlet is opened");
        assert!(self.generators.is_empty(), "positions are skipped before a generator is added");
        self.skips = skips.clone();
    }

    /// Adds a generator at `source`: the events from `start` to `count`, `rate` per second, 0 for
    /// as fast as possible.
    pub fn add_generator(
        &mut self,
        source: SourceId,
        generate: Box<dyn Generate>,
        rate: u64,
        start: &Start,
        count: u64,
    ) {
        let (of, pace) = ((source, self.origin_of(source)), (rate, start.position, count));
        let Self { skips, under_way, plan, .. } = self;
        let mut own = OwnWatermarks::of(plan, usize::from(source.0));
        own.restore(&start.own);
        self.generators.add(Generated::new(of, generate, pace, own, skips, under_way));
        self.generators.set_times(&mut self.router);
    }

    /// The events of `source` are generated, here or on another core: replies to them are counted
    /// as delivered and dropped.
    pub fn drop_replies(&mut self, source: SourceId) {
        let origin = self.origin_of(source);
        self.router.outputs.drop_replies(origin);
    }

    /// Each output of `sink` has its origin in front, if this core owns it: connection and
    /// position, each u64, little-endian.
    pub fn number_outputs(&mut self, sink: SinkId) {
        self.router.outputs.number(sink);
    }

    /// Sets whether the core may get further inlets: it is not quiet while it may.
    pub fn set_open_sources(&mut self, open: bool) {
        self.open_sources = open;
        if !open {
            self.router.watermarks.times().complete(&self.plan);
        }
        self.tally.set_quiet(false);
    }

    /// `source` will get no further inlets: when those that it has have ended, so has its time.
    pub fn complete_source(&mut self, source: SourceId) {
        self.router.watermarks.times().complete_one(&self.plan, source);
        self.tally.set_quiet(false);
    }

    /// Counts what the generators should have made until `now` and have not. Before they are ended:
    /// an event that is never made has no latency, and would make the figures look better than
    /// they are.
    pub fn count_overdue(&mut self, now: Nanos) {
        self.generators.count_overdue(now, &mut self.router);
    }

    /// Ends all generators, and all inlets after the last whole frame that they have read; those of
    /// archives go on until [`inlet_end`](Self::inlet_end): the program that handed them over in
    /// this process takes them as sent.
    pub fn stop_sources(&mut self) {
        // That is no end of their input: nothing is due by it.
        self.router.watermarks.times().stop();
        // What was read before goes on to its end.
        self.router.holding.clear();
        self.tally.set_drained(0);
        self.generators.end();
        self.end_generators();
        self.inlets.stop();
        self.set_open_sources(false);
    }

    /// Takes nothing more from sources while `hold` is set for some sink, whose output waits
    /// elsewhere; what was taken goes on, and checkpoints with it.
    pub fn hold_sources(&mut self, sink: SinkId, hold: bool) {
        let holding = &mut self.router.holding;
        holding.retain(|other| *other != Holder::Sink(sink));
        if hold {
            holding.push(Holder::Sink(sink)); // cold: once per backlog
        }
    }

    /// Takes nothing more from sources for the hold of this number, from 1, until there is none:
    /// nodes come or go. What was taken goes on to its end, and when nothing of it is left here,
    /// that is [published](super::SharedCounts::drained).
    pub fn hold_for_nodes(&mut self, hold: Option<u64>) {
        self.tally.set_drained(0);
        let holding = &mut self.router.holding;
        holding.retain(|other| !matches!(other, Holder::Nodes(_)));
        holding.extend(hold.map(Holder::Nodes)); // cold: once per change of nodes
    }

    /// When the core wants a turn at the latest, although nothing comes: when the next generated
    /// event is due, when a connection has been silent for too long, or soon during a checkpoint or
    /// a recovery. What makes room, in a lane, in a
    /// sink or for dead letters, wakes the core.
    pub fn next_due(&self, now: Nanos) -> Option<Nanos> {
        let retry = Nanos(now.0 + RETRY_NS);
        let admitted = self.router.admits_sources();
        let due = admitted.then(|| self.generators.due(&self.router)).flatten();
        let due = due.into_iter().chain(self.router.watermarks.next_look());
        let waits = self.checkpoints.are_under_way() || self.replay.level().is_some();
        due.chain(waits.then_some(retry)).min()
    }

    /// Makes bytes of what goes to the core at `seat`.
    ///
    /// # Panics
    /// No link leads there.
    #[inline]
    pub fn link(&mut self, seat: usize) -> &mut LinkSender {
        self.router.link(seat).expect("a link leads to the seat")
    }

    /// Takes the dead letters that wait.
    pub fn take_letters(&mut self) -> Vec<DeadLetter> {
        self.router.letters.take()
    }

    /// Whether dead letters wait.
    pub fn has_letters(&self) -> bool {
        !self.router.letters.is_empty()
    }

    /// The plan that the core runs.
    pub fn plan(&self) -> &potoroo_sdk::plan::Plan {
        &self.plan
    }
}
