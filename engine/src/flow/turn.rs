//! The turn: one pass of a core over everything that waits for it.
//!
//! A core is a state machine whose inputs are bytes and time. A turn does no I/O and reads no
//! clock: it takes from lanes and inlets and puts into lanes and outlets. Downstream first, and
//! everything bounded:
//!
//! ```text
//!   latencies that have ended → a cut, if a checkpoint begins → outboxes → outputs
//!     → lanes, highest level first → sources, only while nothing waits for room
//!     → what the turn left for itself → publish
//! ```
//!
//! Lanes of level k only ever cause frames of higher levels, and the last level needs only sinks,
//! so full lanes cannot wait for each other in a circle.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use potoroo_runtime::{Gap, Inbound, LaneLimits, Lanes, Nanos};
use potoroo_sdk::host::{Host, UnderWay};
use potoroo_sdk::plan::Plan;

use super::checkpoint::Checkpoints;
use super::counts::Counts;
use super::gauges::Stage;
use super::generated::Generated;
use super::ingress::Inlet;
use super::letters::Letters;
use super::outputs::Outputs;
use super::replay::Replay;
use super::route::{PartitionMap, Parts, Router};
use super::shard;
use super::skip::Skips;
use super::tally::Tally;

/// While a core is busy it tells its counters once in so many turns: some microseconds each, which
/// nobody notices who reads them, and some twenty stores. It also tells them when it becomes idle,
/// since a parked core turns no more.
const TALLY_TURNS: u64 = 64;

/// Its tables are counted once in so many turns, a multiple of the above: it asks each table.
const TABLES_COUNTED_TURNS: u64 = 1024;

/// Frames of one level that a turn processes in place: more than a turn's share of input becomes
/// unless each event becomes many, and still a fraction of a millisecond.
const LOCAL_FRAMES_PER_TURN: usize = 1024;

/// How often a core tells how full its lanes are: it looks into the cache lines of others for it.
const GAUGE_NS: u64 = 10_000_000;

/// What a core is made of besides its plan.
pub struct CoreConfig {
    /// Its number, from 0.
    pub core: usize,
    /// Its ends of the mesh: one level more than the plan has, for outputs.
    pub lanes: Lanes,
    /// Which core owns a partition.
    pub map: PartitionMap,
    /// Which core owns each sink.
    pub sink_owners: Vec<usize>,
    /// Bytes of an inlet's buffer: the longest frame of a source.
    pub inlet_bytes: usize,
    /// Waiting bytes above which an outlet is full.
    pub outlet_bytes: usize,
    /// Bytes of the lane from the core to itself, for each level.
    pub local_bytes: usize,
    /// Whether every dead letter must be kept until it is taken.
    pub keep_letters: bool,
    /// Where it counts.
    pub tally: Arc<Tally>,
}

/// One core of the engine.
pub struct Core {
    pub(super) plan: Plan,
    /// The event under way, for the report of a panic.
    pub(super) under_way: Rc<UnderWay>,
    /// Positions whose events are skipped.
    pub(super) skips: Skips,
    pub(super) router: Router,
    /// By core.
    pub(super) inbound: Vec<Inbound>,
    pub(super) checkpoints: Checkpoints,
    pub(super) replay: Replay,
    pub(super) inlets: Vec<Option<Inlet>>,
    /// Places in `inlets` that neither an inlet nor an outlet for replies takes.
    pub(super) free: Vec<usize>,
    /// Inlets that may have whole frames.
    pub(super) ready: VecDeque<usize>,
    /// Inlets that have ended and were not yet taken away.
    pub(super) ended: Vec<usize>,
    pub(super) generated: Vec<Generated>,
    /// Whether generators came before inlets in the turn before.
    made_first: bool,
    pub(super) tally: Arc<Tally>,
    pub(super) inlet_bytes: usize,
    pub(super) outlet_bytes: usize,
    pub(super) replies: bool,
    pub(super) serial: u32,
    pub(super) core: usize,
    /// When the turn before began; 0 if it did nothing.
    pub(super) worked_at: Nanos,
    /// Its gauges name somebody who holds it back.
    held: bool,
    /// When it last told how full its lanes are.
    gauged_at: Nanos,
    /// Sources that may still open inlets: the core is not quiet before they are closed.
    pub(super) open_sources: bool,
}

impl Core {
    /// A core that has seen nothing.
    ///
    /// # Panics
    /// The lanes do not fit the plan.
    // cold: at start
    pub fn new(plan: Plan, config: CoreConfig) -> Self {
        let outputs = Outputs::new(
            &plan,
            (config.core, config.lanes.outbound.len()),
            &config.sink_owners,
            config.outlet_bytes,
        );
        let others = config.lanes.inbound.iter().map(Inbound::levels).filter(|levels| *levels > 0);
        others.for_each(|levels| assert_eq!(levels, plan.levels() + 1, "one lane per level"));
        let parts = Parts {
            core: config.core,
            map: config.map,
            outbound: config.lanes.outbound,
            outputs,
            letters: Letters::new(config.keep_letters),
            gauges: config.tally.gauges.clone(),
            local_bytes: config.local_bytes,
        };
        Self {
            router: Router::new(&plan, parts),
            under_way: Rc::default(),
            skips: Skips::default(),
            inbound: config.lanes.inbound,
            checkpoints: Checkpoints::default(),
            replay: Replay::default(),
            inlets: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::with_capacity(64),
            ended: Vec::new(),
            generated: Vec::new(),
            made_first: false,
            tally: config.tally,
            inlet_bytes: config.inlet_bytes,
            outlet_bytes: config.outlet_bytes,
            replies: plan.sinks.iter().any(|sink| sink.name.is_none()),
            serial: 0,
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
        self.record(now);
        if self.checkpoint_waits() {
            self.attend_checkpoint(&mut wake);
        }
        let mut work = self.router.flush_outboxes();
        if self.replay.level().is_some() {
            work += self.drain_replay();
        }
        // Behind what comes back.
        let first = self.replay.level().map_or(0, |level| level + 1);
        for level in (first..=self.router.output_level()).rev() {
            work += self.drain_level(level, &mut wake);
        }
        if first == 0 && self.router.admits_sources() {
            work += self.ingest(now);
        } else if first == 0 {
            self.count_blocked(now);
        }
        for level in 0..self.router.output_level() {
            work += self.drain_local(level);
        }
        if work > 0 && self.tally.quiet() {
            // Before others can see what was sent: a frame could go round and come to rest while
            // its sender, held up here, still seemed quiet.
            self.tally.set_quiet(false);
        }
        self.router.publish(wake);
        self.finish(work, now);
        work
    }

    /// Tells that the core stood still, before the turn behind it.
    #[cold]
    pub fn tell_gap(&self, gap: Gap) {
        self.tally.tell_gap(self.core, gap);
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
            let end = checkpoints.current.as_ref().and_then(|one| one.limit(from, level));
            let mut lane = lanes.drain(level, LaneLimits { epoch: checkpoints.epoch, end });
            let done = shard::drain(plan, under_way, router, &mut lane);
            if lane.released() {
                wake(from);
            }
            if lane.marked() {
                checkpoints.heard = checkpoints.heard.max(lane.epoch());
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
            work += shard::drain(&self.plan, &self.under_way, &mut self.router, &mut local);
            self.router.give_local(level, local);
        }
        self.router.counts.frames_local += work as u64;
        work
    }

    fn ingest(&mut self, now: Nanos) -> usize {
        self.router.begin();
        if self.held {
            self.release();
        }
        // In turn, so that neither starves while there is room for the outputs of one event only.
        self.made_first = !self.made_first;
        let mut work = if self.made_first { self.ingest_made(now) } else { 0 };
        work += self.ingest_inlets();
        if !self.made_first {
            work += self.ingest_made(now);
        }
        work as usize
    }

    fn ingest_inlets(&mut self) -> u64 {
        let mut work = 0;
        // Whoever was served and has more goes to the back.
        for _ in 0..self.ready.len() {
            if self.router.blocked() {
                break;
            }
            let Some(slot) = self.ready.pop_front() else { break };
            work += self.ingest_inlet(slot);
        }
        work
    }

    fn ingest_made(&mut self, now: Nanos) -> u64 {
        let mut work = 0;
        for _ in 0..self.generated.len() {
            if self.router.blocked() {
                break;
            }
            if self.generated.len() > 1 {
                self.generated.rotate_left(1);
            }
            let Some(generated) = self.generated.last_mut() else { break };
            if !generated.is_due(now) {
                continue;
            }
            self.tally.gauges.begin(generated.source().into());
            let made = generated.emit(now, &self.under_way, &mut self.router);
            self.router.counts.sources[generated.source().0 as usize].events += made;
            work += made;
        }
        if self.generated.iter().any(Generated::ended) {
            self.end_generated();
        }
        work
    }

    fn ingest_inlet(&mut self, slot: usize) -> u64 {
        let Some(inlet) = &mut self.inlets[slot] else { return 0 };
        self.tally.gauges.begin(inlet.source().into());
        let source = inlet.source().0 as usize;
        let stage = &*self.plan.sources[source].stage;
        let done = inlet.ingest(stage, &self.under_way, &mut self.router);
        if inlet.ready() {
            self.ready.push_back(slot);
        } else if inlet.ending().is_some() {
            self.ended.push(slot);
        }
        let counts = &mut self.router.counts.sources[source];
        counts.events += done.events;
        counts.bytes += done.bytes;
        done.events + done.refused
    }

    #[cold]
    fn count_blocked(&mut self, now: Nanos) {
        if let Some(culprit) = self.router.culprit() {
            self.tally.gauges.hold(culprit, now);
            self.held = true;
        }
        self.router.counts.turns_blocked += 1;
        let Router { outputs, counts, .. } = &mut self.router;
        outputs.count_waits(counts);
        self.tally.write(counts);
    }

    #[cold]
    fn release(&mut self) {
        self.tally.gauges.release();
        self.held = false;
    }

    #[cold]
    fn gauge(&mut self, now: Nanos) {
        self.gauged_at = now;
        self.router.gauge_lanes();
    }

    /// Tells the control plane what was done.
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
            self.tell_busy();
        }
    }

    #[cold]
    fn tell_busy(&mut self) {
        if self.router.counts.turns_worked.is_multiple_of(TABLES_COUNTED_TURNS) {
            self.count_tables();
        }
        self.tally.write(&self.router.counts);
    }

    /// Nothing was done: tells once what was done before, and whether anything can still come from
    /// this core.
    fn finish_idle(&mut self, worked_before: bool) {
        if self.tally.quiet() {
            // Only work or an opened inlet can end it, and both take the word back.
            return;
        }
        let quiet = self.is_quiet();
        if quiet || worked_before {
            self.tell_idle(quiet);
        }
    }

    #[cold]
    fn tell_idle(&mut self, quiet: bool) {
        self.count_tables();
        self.tally.write(&self.router.counts);
        self.tally.set_quiet(quiet);
    }

    #[cold]
    fn count_tables(&mut self) {
        let Router { rows, indexes, counts, .. } = &mut self.router;
        for ((rows, index), counts) in rows.iter().zip(indexes).zip(&mut counts.tables) {
            let bytes = rows.memory_bytes() + index.memory_bytes();
            *counts = (rows.count() as u64, bytes as u64);
        }
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
            && self.generated.is_empty()
            && self.inlets.iter().all(Option::is_none)
            && self.inbound.iter().all(Inbound::is_empty)
            && self.replay.level().is_none()
            && self.router.is_empty()
    }
}
