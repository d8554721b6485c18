//! The turn: one pass of a core over everything that waits for it.
//!
//! A core is a state machine whose inputs are bytes and time. A turn does no I/O and reads no
//! clock: it takes from lanes and inlets and puts into lanes and outlets. Downstream first, and
//! everything bounded:
//!
//! ```text
//!   latencies that have ended → a snapshot, if a checkpoint begins → outboxes → outputs
//!     → lanes and what is due, highest level first → sources, only while nothing waits for room
//!     → what the turn left for itself → publish → what is known of time
//! ```
//!
//! Lanes of level k only ever cause frames of higher levels, and the last level needs only sinks,
//! so full lanes cannot wait for each other in a circle.

use std::rc::Rc;
use std::sync::Arc;

use potoroo_runtime::{Gap, Inbound, LaneId, Lanes, Nanos};
use potoroo_sdk::host::UnderWay;
use potoroo_sdk::plan::Plan;

use super::checkpoints::{CoreCheckpoints, SnapshotOf};
use super::counts::Counts;
use super::gauges::Stage;
use super::generators::CoreGenerators;
use super::inlets::Inlets;
use super::letters::Letters;
use super::outputs::CoreOutputs;
use super::partitions::PartitionMap;
use super::replay::Replay;
use super::route::{Router, RouterParts};
use super::shard;
use super::shared_counts::SharedCounts;
use super::skip::Skips;

/// A busy core publishes its counters every `TALLY_TURNS` turns: about 20 stores, and readers see
/// them a few microseconds late. It also publishes them when it becomes idle, since a parked core
/// does not turn.
const TALLY_TURNS: u64 = 64;

/// It counts its tables every `TABLES_COUNTED_TURNS` turns, a multiple of the above: that takes a
/// call per table.
const TABLES_COUNTED_TURNS: u64 = 1024;

/// Frames of one level that a turn processes in place: more than a turn's share of input becomes
/// unless each event becomes many, and still a fraction of a millisecond.
const LOCAL_FRAMES_PER_TURN: usize = 1024;

/// How often a core publishes how full its lanes are: it reads cache lines of other cores for it.
const GAUGE_NS: u64 = 10_000_000;

/// What a core is made of besides its plan.
pub struct CoreConfig {
    /// Its seat: its number among the cores of all nodes, from 0.
    pub core: usize,
    /// By seat, its ends of the mesh and of links: one level more than the plan has, for outputs.
    pub lanes: Lanes,
    /// The seat of the core that owns a partition.
    pub map: PartitionMap,
    /// The seat of the core that owns each sink.
    pub sink_owners: Vec<usize>,
    /// Bytes of an inlet's buffer: the longest frame of a source.
    pub inlet_bytes: usize,
    /// Waiting bytes above which an outlet is full.
    pub outlet_bytes: usize,
    /// Bytes of the lane from the core to itself, for each level.
    pub local_bytes: usize,
    /// Whether every dead letter waits until it is taken.
    pub keep_letters: bool,
    /// By source: the seat of the core that reads it, if one core does from its beginning to its
    /// end; `None` where connections come and go, on any core, as for all sources without an entry.
    pub readers: Vec<Option<usize>>,
    /// Where it counts.
    pub tally: Arc<SharedCounts>,
}

/// One core of the engine.
///
/// It has a legal order of calls, and asserts it:
///
/// 1. [`skip`](Self::skip), before anything is restored or opened;
/// 2. [`restore`](Self::restore) for each chunk, then [`restored`](Self::restored);
/// 3. [`enable_checkpoints`](Self::enable_checkpoints), if checkpoints are taken;
/// 4. [`turn`](Self::turn) again and again, and all others between two turns.
///    [`begin_checkpoint`](Self::begin_checkpoint) and its siblings need step 3.
pub struct Core {
    pub(super) phase: Phase,
    pub(super) plan: Plan,
    /// The event under way, for the report of a panic.
    pub(super) under_way: Rc<UnderWay>,
    /// Positions whose events are skipped.
    pub(super) skips: Skips,
    pub(super) router: Router,
    /// By seat.
    pub(super) inbound: Vec<Inbound>,
    pub(super) checkpoints: CoreCheckpoints,
    pub(super) replay: Replay,
    pub(super) inlets: Inlets,
    pub(super) generators: CoreGenerators,
    /// Whether generators came before inlets in the turn before.
    generators_first: bool,
    pub(super) tally: Arc<SharedCounts>,
    pub(super) outlet_bytes: usize,
    pub(super) replies: bool,
    pub(super) core: usize,
    /// When the turn before began; 0 if it did nothing.
    pub(super) worked_at: Nanos,
    /// Its gauges name what it is blocked by.
    held: bool,
    /// When it last published how full its lanes are.
    gauged_at: Nanos,
    /// By seat and exchange with a watermark: the version of its word that was read last.
    pub(super) words_read: Vec<u64>,
    /// When it last looked at words.
    pub(super) time_passed_at: Nanos,
    /// Sources that may still open inlets: the core is not quiet before they are closed.
    pub(super) open_sources: bool,
}

/// How far a core has come in its legal order of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing was restored.
    New,
    /// Some chunks were restored, and more may follow.
    Restoring,
    /// All chunks were restored, or there are none.
    Restored,
    /// It has begun its first turn.
    Turning,
}

impl Core {
    /// A core that has seen nothing.
    ///
    /// # Panics
    /// The lanes do not fit the plan.
    // cold: at start
    pub fn new(plan: Plan, config: CoreConfig) -> Self {
        let outputs = CoreOutputs::new(
            &plan,
            (config.core, config.lanes.outbound.len()),
            &config.sink_owners,
            config.outlet_bytes,
        );
        for (seat, lanes) in config.lanes.inbound.iter().enumerate() {
            let levels = if seat == config.core { 0 } else { plan.levels() + 1 };
            assert_eq!(lanes.levels(), levels, "one lane per level from each other core");
        }
        let seats = config.lanes.inbound.len();
        let parts = RouterParts {
            core: config.core,
            map: config.map,
            outbound: config.lanes.outbound,
            outputs,
            letters: Letters::new(config.keep_letters),
            gauges: config.tally.gauges.clone(),
            counts: config.tally.begin(),
            local_bytes: config.local_bytes,
            outlet_bytes: config.outlet_bytes,
            readers: {
                let mut readers = config.readers;
                readers.resize(plan.sources.len(), None);
                readers
            },
        };
        let router = Router::new(&plan, parts);
        for (seat, lanes) in config.lanes.inbound.iter().enumerate() {
            let words = if seat == config.core { 0 } else { router.watermarks.count() };
            assert_eq!(lanes.words(), words, "one word per watermark from each other core");
        }
        Self {
            phase: Phase::New,
            words_read: vec![0; seats * router.watermarks.count()],
            time_passed_at: Nanos(0),
            router,
            under_way: Rc::default(),
            skips: Skips::default(),
            inbound: config.lanes.inbound,
            checkpoints: CoreCheckpoints::default(),
            replay: Replay::default(),
            inlets: Inlets::new(config.core, config.inlet_bytes),
            generators: CoreGenerators::default(),
            generators_first: false,
            tally: config.tally,
            outlet_bytes: config.outlet_bytes,
            replies: plan.sinks.iter().any(|sink| sink.name.is_none()),
            core: config.core,
            worked_at: Nanos(0),
            held: false,
            gauged_at: Nanos(0),
            open_sources: false,
            plan,
        }
    }

    /// One turn at `now`. Calls `wake` for each core to which something was sent, or which may wait
    /// for room that there is now. Returns how much was done.
    pub fn turn(&mut self, now: Nanos, mut wake: impl FnMut(usize)) -> usize {
        self.phase = Phase::Turning;
        self.record(now);
        if self.checkpoints.wait() {
            self.attend(&mut wake);
        }
        let mut work = self.router.flush_outboxes();
        if self.replay.level().is_some() {
            work += self.replay.drain(&self.plan, &self.under_way, &mut self.router);
        }
        // Lanes open after what comes back.
        let first = self.replay.level().map_or(0, |level| level + 1);
        for level in (first..=self.router.output_level()).rev() {
            work += self.drain_level(level, &mut wake);
            if first == 0 && self.router.watermarks.dues() > 0 {
                work += self.fire_level(level);
            }
        }
        if first == 0 && self.router.admits_sources() {
            work += self.ingest(now);
        } else if first == 0 {
            self.count_blocked(now, work);
        }
        for level in 0..self.router.output_level() {
            work += self.drain_local(level);
        }
        if work > 0 {
            // Before others can see what was sent: a frame could go round and come to rest while
            // its sender, held up here, still seemed quiet.
            self.wake_up();
        }
        self.router.publish(&mut wake);
        work += self.pass_time(now, work, &mut wake);
        if work == 0 && !self.router.holding.is_empty() {
            self.publish_drained();
        }
        self.finish(work, now);
        work
    }

    /// Publishes that the core stood still, before the turn that follows.
    #[cold]
    pub fn tell_gap(&self, gap: Gap) {
        self.tally.tell_gap(gap);
    }

    /// Ends the latencies of what the turn before did: now it is certainly done.
    #[inline]
    fn record(&mut self, now: Nanos) {
        let tally = &*self.tally;
        self.router.ends.take(|path, ingress, count| tally.record(path, ingress, now, count));
        self.router.outputs.take_out(|path, ingress| tally.record(path, ingress, now, 1));
        if self.worked_at.0 != 0 {
            self.tally.gauges.turns.record(now.0.saturating_sub(self.worked_at.0));
        }
    }

    fn drain_level(&mut self, level: usize, wake: &mut impl FnMut(usize)) -> usize {
        let output = level == self.router.output_level();
        let mut work = 0;
        let Self { inbound, checkpoints, router, plan, under_way, .. } = self;
        for (from, lanes) in inbound.iter_mut().enumerate() {
            if !lanes.waits(level) || !(output || router.admits(level)) {
                continue;
            }
            let mut lane = lanes.drain(level, checkpoints.limits(LaneId { core: from, level }));
            let done = shard::drain(plan, under_way, router, &mut lane, Some(from));
            if lane.released() {
                wake(from);
            }
            if lane.marked() {
                checkpoints.see(lane.epoch());
            }
            router.counts.frames_received += done as u64;
            work += done;
        }
        work
    }

    /// What is left when the turn has done its share comes first in the next one.
    fn drain_local(&mut self, level: usize) -> usize {
        let mut work = 0;
        while work < LOCAL_FRAMES_PER_TURN && self.router.admits(level) {
            let Some(mut local) = self.router.take_local(level) else { break };
            let Self { plan, under_way, router, core, .. } = self;
            work += shard::drain(plan, under_way, router, &mut local, Some(*core));
            self.router.give_local(level, local);
        }
        self.router.counts.frames_local += work as u64;
        work
    }

    fn ingest(&mut self, now: Nanos) -> usize {
        self.router.begin();
        self.router.watermarks.read_sources(now);
        if self.held {
            self.release();
        }
        // In turn, so that neither starves while there is room for the outputs of one batch only.
        self.generators_first = !self.generators_first;
        let mut work = if self.generators_first { self.generate(now) } else { 0 };
        work += self.inlets.ingest(&self.plan, &self.under_way, &mut self.router);
        if !self.generators_first {
            work += self.generate(now);
        }
        work as usize
    }

    fn generate(&mut self, now: Nanos) -> u64 {
        let work = self.generators.emit(now, &self.under_way, &mut self.router);
        if self.generators.any_ended() {
            self.end_generators();
        }
        work
    }

    /// Takes generators away that have ended.
    #[cold]
    pub(super) fn end_generators(&mut self) {
        let ended = self.generators.take_ended(&mut self.checkpoints.ended);
        ended.for_each(|source| self.router.watermarks.times().end(&self.plan, source, None));
    }

    /// Does what waits for a checkpoint.
    #[cold]
    pub(super) fn attend(&mut self, wake: impl FnMut(usize)) {
        let Self { router, inbound, replay, inlets, generators, checkpoints, .. } = self;
        let positions = inlets.positions().chain(generators.positions());
        checkpoints.attend(SnapshotOf { router, inbound, replay, positions }, wake);
    }

    /// Sources are not admitted, in a turn in which `work` was done.
    #[cold]
    fn count_blocked(&mut self, now: Nanos, work: usize) {
        if let Some(by) = self.router.blocked_by() {
            self.tally.gauges.set_blocked(by, now);
            self.held = true;
        }
        self.router.watermarks.times().pause(now);
        self.router.counts.turns_blocked += 1;
        if work > 0 {
            // Before others can see what was done, as with quiet.
            self.tally.set_drained(0);
        }
        let Router { outputs, counts, .. } = &mut self.router;
        outputs.count_waits(counts);
        self.tally.write(counts);
    }

    /// Publishes that nothing is under way here, if nodes come or go: after a turn that did
    /// nothing, so that what other cores know of time is what they will know.
    #[cold]
    fn publish_drained(&mut self) {
        let hold = self.router.holding.iter().find_map(|holder| holder.number());
        let drained = hold.filter(|_| self.is_drained());
        self.tally.write(&self.router.counts);
        self.tally.set_drained(drained.unwrap_or(0));
    }

    #[cold]
    fn release(&mut self) {
        self.tally.gauges.set_free();
        self.held = false;
    }

    #[cold]
    fn gauge(&mut self, now: Nanos) {
        self.gauged_at = now;
        self.router.gauge_lanes();
        self.gauge_times();
    }

    /// Publishes what was done, if it is time for that.
    fn finish(&mut self, work: usize, now: Nanos) {
        if now.0 > self.gauged_at.0 + GAUGE_NS {
            self.gauge(now);
        }
        self.tally.gauges.begin(Stage::None);
        if work == 0 {
            let worked = std::mem::replace(&mut self.worked_at, Nanos(0)).0 != 0;
            return self.finish_idle(worked);
        }
        self.worked_at = now;
        self.router.counts.turns_worked += 1;
        if self.router.counts.turns_worked.is_multiple_of(TALLY_TURNS) {
            self.publish_busy();
        }
    }

    #[cold]
    fn publish_busy(&mut self) {
        if self.router.counts.turns_worked.is_multiple_of(TABLES_COUNTED_TURNS) {
            self.count_tables();
        }
        self.tally.write(&self.router.counts);
    }

    /// Nothing was done: publishes once what was done before, and whether anything can still come
    /// from this core.
    fn finish_idle(&mut self, worked_before: bool) {
        if self.tally.quiet() {
            // Only work or an opened inlet can end it, and both take the word back.
            return;
        }
        let quiet = self.is_quiet();
        if quiet || worked_before {
            self.publish_idle(quiet);
        }
    }

    #[cold]
    fn publish_idle(&mut self, quiet: bool) {
        self.count_tables();
        self.tally.write(&self.router.counts);
        self.gauge_times();
        self.tally.set_quiet(quiet);
    }

    #[cold]
    fn count_tables(&mut self) {
        self.router.tables.count(&mut self.router.counts.tables);
    }

    /// The counters as they are now.
    pub fn counts(&mut self) -> Counts {
        self.count_tables();
        self.tally.write(&self.router.counts);
        Counts { left: self.router.events_waiting() as u64, ..self.router.counts.clone() }
    }

    /// Whether all sources of this core have ended and nothing waits here or in its lanes.
    fn is_quiet(&self) -> bool {
        !self.open_sources
            && self.generators.is_empty()
            && self.inlets.is_empty()
            && self.lanes_are_empty()
            && self.router.is_empty()
            && self.router.watermarks.is_settled()
    }

    /// Whether nothing of what sources gave is under way here.
    #[cold]
    fn is_drained(&self) -> bool {
        self.lanes_are_empty() && self.router.is_drained() && self.router.watermarks.is_settled()
    }

    /// Whether nothing waits in lanes, nor of what was in them at the checkpoint.
    pub(super) fn lanes_are_empty(&self) -> bool {
        self.inbound.iter().all(Inbound::is_empty) && self.replay.level().is_none()
    }
}
