//! Where an event goes: from the hash of its key to the core that owns it, or to a sink.
//!
//! The router is the engine's [`Host`]: stages hand it everything that leaves them. It writes
//! events straight into the lane of their owner. What finds no room goes into the outbox of its
//! level and blocks further input until it has gone.

use std::slice;
use std::sync::Arc;

use arrayvec::ArrayVec;

use potoroo_runtime::{LaneId, LinkSender, Outbound};
use potoroo_sdk::codec::Reason;
use potoroo_sdk::host::{
    BATCH_EVENTS, Cause, ExchangeId, Hint, Host, Inflow, Leaving, Route, SinkId, TableId, Timing,
    bits,
};
use potoroo_sdk::plan::Plan;
use potoroo_sdk::table::AnyRow;
use potoroo_sdk::time::{Duration, EventTime};

use super::batch_size::{BatchSize, batch_max};
use super::counts::Counts;
use super::ends::Ends;
use super::envelope::{FrameEdge, Header, LENGTH_BYTES, TimeFields};
use super::exchange_routes::{ExchangeRoute, lane_append};
use super::gauges::Gauges;
use super::holder::Holder;
use super::letters::{Letters, TOO_LONG};
use super::local::{Local, Outbox};
use super::outputs::CoreOutputs;
use super::parcels::{Parcels, SentBatch};
use super::partitions::PartitionMap;
use super::tables::Tables;
use super::watermarks::Watermarks;
use crate::checkpoint::PartitionSet;

/// Sends what leaves a stage.
pub struct Router {
    pub(super) core: usize,
    map: PartitionMap,
    batch_size: BatchSize,
    exchanges: Vec<ExchangeRoute>,
    /// The level above all exchanges: what is on its way to a sink.
    output_level: usize,
    /// By seat.
    pub(super) outbound: Vec<Outbound>,
    /// Lanes that hold something unpublished.
    dirty: Vec<LaneId>,
    parcels: Parcels,
    pub(super) local: Vec<Local>,
    pub(super) outbox: Vec<Outbox>,
    /// Bit by level: outboxes that are not empty. Everything that follows a waiting frame at its
    /// level waits, too, because lanes are in order.
    waiting: u64,
    frame_bytes_max: usize,
    /// There was no room for something since the input began.
    blocked: bool,
    /// Room for a frame that is too long for any lane; it is never read.
    oversize: Vec<u8>,
    pub(super) tables: Tables,
    pub(super) watermarks: Watermarks,
    pub(super) outputs: CoreOutputs,
    pub(super) letters: Letters,
    /// What holds the sources back besides full buffers.
    pub(super) holding: Vec<Holder>,
    pub(super) counts: Counts,
    pub(super) gauges: Arc<Gauges>,
    /// Latencies that end with this turn.
    pub(super) ends: Ends,
    /// Bit by level: lanes to the core itself that are not empty.
    local_waiting: u64,
}

/// What a router is made of.
pub(super) struct RouterParts {
    pub(super) core: usize,
    pub(super) map: PartitionMap,
    pub(super) outbound: Vec<Outbound>,
    pub(super) outputs: CoreOutputs,
    pub(super) letters: Letters,
    pub(super) gauges: Arc<Gauges>,
    /// Where it goes on counting.
    pub(super) counts: Counts,
    /// Capacity of a lane from the core to itself, in bytes.
    pub(super) local_bytes: usize,
    /// Waiting bytes above which an outlet is full.
    pub(super) outlet_bytes: usize,
    /// By source: the seat that reads it, if that is one.
    pub(super) readers: Vec<Option<usize>>,
}

impl Router {
    // cold: at start
    pub(super) fn new(plan: &Plan, parts: RouterParts) -> Self {
        let levels = plan.levels();
        let lane_max = parts.outbound.iter().filter_map(Outbound::frame_bytes_max).min();
        let frame_bytes_max = lane_max.unwrap_or(parts.local_bytes / 4);
        let route = |exchange| ExchangeRoute::new(exchange, frame_bytes_max);
        let seats = (parts.core, parts.outbound.len());
        let watermarks = Watermarks::new(plan, seats, &parts.readers);
        Self {
            core: parts.core,
            map: parts.map,
            batch_size: BatchSize::new(batch_max(
                parts.local_bytes.min(4 * frame_bytes_max),
                parts.outlet_bytes,
            )),
            exchanges: plan.exchanges.iter().map(route).collect(),
            output_level: levels,
            parcels: Parcels::new(parts.outbound.len()),
            outbound: parts.outbound,
            dirty: Vec::new(),
            local: (0..levels).map(|_| Local::new(parts.local_bytes)).collect(),
            outbox: (0..=levels).map(|_| Outbox::default()).collect(),
            waiting: 0,
            frame_bytes_max,
            blocked: false,
            oversize: Vec::new(),
            tables: Tables::new(plan),
            watermarks,
            outputs: parts.outputs,
            letters: parts.letters,
            holding: Vec::new(),
            counts: parts.counts,
            gauges: parts.gauges,
            ends: Ends::new(plan),
            local_waiting: 0,
        }
    }

    pub(super) fn output_level(&self) -> usize {
        self.output_level
    }

    /// The lane of `level` from the core to itself, to be emptied and given back.
    pub(super) fn take_local(&mut self, level: usize) -> Option<Local> {
        let waits = self.local_waiting & (1 << level) != 0;
        self.local_waiting &= !(1 << level);
        waits.then(|| std::mem::take(&mut self.local[level]))
    }

    /// Gives a local lane back, of which some may be left.
    pub(super) fn give_local(&mut self, level: usize, local: Local) {
        self.local_waiting |= u64::from(!local.is_empty()) << level;
        self.local[level] = local;
    }

    /// Whether input of `level` may be processed: nothing that it could cause is waiting.
    pub(super) fn admits(&self, level: usize) -> bool {
        self.waiting >> (level + 1) == 0 && !self.outputs.any_full()
    }

    /// Whether input from sources may be processed.
    pub(super) fn admits_sources(&self) -> bool {
        self.outbox.iter().all(Outbox::is_empty)
            && !self.outputs.any_full()
            && !self.letters.full()
            && self.holding.is_empty()
    }

    /// The core that owns the keys with `hash`.
    pub(super) fn owner(&self, hash: u64) -> usize {
        self.map.owner(hash)
    }

    /// The partitions of this core.
    // cold: at start
    pub(super) fn partitions(&self) -> PartitionSet {
        self.map.of_core(self.core)
    }

    /// Makes bytes of what goes to the core at `seat`, if a link leads there.
    #[inline]
    pub(super) fn link(&mut self, seat: usize) -> Option<&mut LinkSender> {
        self.outbound[seat].link()
    }

    /// Publishes how full the lanes from this core are.
    #[cold]
    pub(super) fn gauge_lanes(&self) {
        for level in 0..=self.output_level {
            let lanes = self.outbound.iter().map(|lanes| lanes.bytes_in_use(level));
            let bytes = lanes.max().unwrap_or(0);
            self.gauges.set_lane(level, bytes);
        }
    }

    /// Begins a run of input, before which [`admits`](Self::admits) said yes.
    #[inline(always)]
    pub(super) fn begin(&mut self) {
        if self.blocked {
            self.batch_size.shrink();
        }
        self.blocked = false;
    }

    /// Whether nothing waits here: no frame in place, in an outbox or in an outlet.
    pub(super) fn is_empty(&self) -> bool {
        self.is_settled() && self.outputs.is_empty() && self.letters.is_empty()
    }

    /// Whether nothing waits here but for replies: their connections may take them later.
    #[cold]
    pub(super) fn is_drained(&self) -> bool {
        self.is_settled() && self.outputs.sinks_are_empty() && self.letters.is_empty()
    }

    /// Whether nothing waits here that some core has to process.
    pub(super) fn is_settled(&self) -> bool {
        self.local_waiting == 0 && self.waiting == 0
    }

    /// Events that wait here: in place, in outboxes and in outlets.
    #[cold]
    pub(super) fn events_waiting(&self) -> usize {
        let local = self.local.iter().map(Local::frames_waiting).sum::<usize>();
        let outboxes = self.outbox.iter().map(Outbox::frames_waiting).sum::<usize>();
        local + outboxes + self.outputs.events_waiting()
    }

    /// Sends what waits in outboxes, highest level first, as far as there is room.
    #[inline]
    pub(super) fn flush_outboxes(&mut self) -> usize {
        if self.waiting == 0 { 0 } else { self.flush_waiting() }
    }

    #[cold]
    fn flush_waiting(&mut self) -> usize {
        let levels = (0..self.outbox.len()).rev();
        levels.map(|level| self.flush_outbox(level)).sum()
    }

    fn flush_outbox(&mut self, level: usize) -> usize {
        let mut sent = 0;
        let Self { outbox, outbound, local, local_waiting, core, dirty, counts, .. } = self;
        while let Some((to, frame)) = outbox[level].front() {
            let room = if to == *core {
                *local_waiting |= 1 << level;
                local[level].try_append(frame.len())
            } else {
                let lane = LaneId { core: to, level };
                lane_append(&mut outbound[to], dirty, lane, frame.len(), counts)
            };
            let Some(room) = room else { break };
            room.copy_from_slice(&frame[LENGTH_BYTES..]);
            outbox[level].pop();
            sent += 1;
        }
        if outbox[level].is_empty() {
            self.waiting &= !(1 << level);
        }
        sent
    }

    /// Makes everything sent since the last call visible to its receivers, each of which is
    /// reported to `wake`.
    pub(super) fn publish(&mut self, mut wake: impl FnMut(usize)) {
        for lane in self.dirty.drain(..) {
            if self.outbound[lane.core].publish(lane.level) {
                wake(lane.core);
            }
        }
    }

    /// Bit by level: whether frames of this core wait, in place or in an outbox.
    #[inline]
    pub(super) fn levels_waiting(&self) -> u64 {
        self.local_waiting | self.waiting
    }

    /// Sends the events of a parcel to another core, as many as its lane has room for. Returns the
    /// others.
    #[inline]
    fn send_parcel(&mut self, to: usize, events: u64, batch: &mut SentBatch<'_>) -> u64 {
        let level = self.exchanges[batch.exchange.0 as usize].level;
        let aside = to == self.core || self.waiting & (1 << level) != 0;
        if aside || batch.frame_bytes() > self.frame_bytes_max {
            return events;
        }
        let (left, clean) = batch.append(events, &mut self.outbound[to], level);
        if clean {
            self.dirty.push(LaneId { core: to, level });
        }
        self.counts.frames_sent += u64::from((events ^ left).count_ones());
        left
    }

    /// Adds a frame of `bytes` to `lane`, which may lead to this core; returns its room after the
    /// length word.
    #[inline(always)]
    fn append(&mut self, lane: LaneId, bytes: usize, cause: &Cause) -> &mut [u8] {
        let LaneId { core: to, level } = lane;
        if bytes > self.frame_bytes_max || self.waiting & (1 << level) != 0 {
            return self.append_aside(lane, bytes, cause);
        }
        let Self { outbound, outbox, local, core, dirty, counts, waiting, blocked, .. } = self;
        let room = if to == *core {
            self.local_waiting |= 1 << level;
            local[level].try_append(bytes)
        } else {
            lane_append(&mut outbound[to], dirty, lane, bytes, counts)
        };
        match room {
            Some(room) => room,
            None => {
                *waiting |= 1 << level;
                *blocked = true;
                self.batch_size.add_over(bytes);
                outbox[level].append(to, bytes)
            }
        }
    }

    /// A frame that has to wait behind others of its level, or that is too long.
    #[cold]
    #[inline(never)]
    fn append_aside(&mut self, lane: LaneId, bytes: usize, cause: &Cause) -> &mut [u8] {
        if bytes <= self.frame_bytes_max {
            self.blocked = true;
            self.batch_size.add_over(bytes);
            return self.outbox[lane.level].append(lane.core, bytes);
        }
        self.refuse_long(cause);
        self.oversize.resize(bytes - LENGTH_BYTES, 0);
        &mut self.oversize
    }

    /// Refuses what no lane could take: also where none is needed, so that what is too long depends
    /// on no number of cores. Not the input is too long but what was made of it: its bytes would
    /// say nothing.
    #[cold]
    #[inline(never)]
    fn refuse_long(&mut self, cause: &Cause) {
        self.refuse(cause, TOO_LONG, &[]);
    }

    /// Sends encoded bytes towards the core that owns their sink or connection.
    fn send_output(&mut self, to: usize, sink: SinkId, cause: &Cause, body: &[u8]) {
        let bytes = Header::frame_bytes(body.len());
        let room = self.append(LaneId { core: to, level: self.output_level }, bytes, cause);
        Header::write(FrameEdge::Output(sink.0), 0, cause, room).copy_from_slice(body);
    }
}

impl Host for Router {
    #[inline]
    fn send(
        &mut self,
        route: Route,
        cause: &Cause,
        timing: Option<&Timing>,
        bytes: usize,
    ) -> &mut [u8] {
        let Route { exchange, hash } = route;
        let ExchangeRoute { level, time, watermark, .. } = self.exchanges[exchange.0 as usize];
        let lane = LaneId { core: self.map.owner(hash), level };
        if let Some(timing) = timing.filter(|_| time) {
            let timing = self.stamped(watermark, timing);
            let fields = TimeFields::of(slice::from_ref(&timing), watermark.is_some());
            let room = self.append(lane, Header::frame_bytes(fields.bytes() + bytes), cause);
            return Header::write_timed(exchange.0, hash, (cause, &timing), fields, room);
        }
        let room = self.append(lane, Header::frame_bytes(bytes), cause);
        Header::write(FrameEdge::Exchange(exchange.0), hash, cause, room)
    }

    fn send_all(
        &mut self,
        exchange: ExchangeId,
        bytes: usize,
        which: u64,
        events: Leaving<'_>,
        write: &mut dyn FnMut(u64, &mut [u8], usize),
    ) {
        let mut events = events;
        let ExchangeRoute { time, watermark, .. } = self.exchanges[exchange.0 as usize];
        if !time {
            events.timings = &[];
        }
        let mut stamped = ArrayVec::<Timing, BATCH_EVENTS>::new();
        if watermark.is_some() {
            let timings = events.timings.iter();
            stamped.extend(timings.map(|timing| self.stamped(watermark, timing)));
            events.timings = &stamped;
        }
        let Leaving { hashes, causes, timings } = events;
        let fields = TimeFields::of(timings, watermark.is_some());
        let mut batch = SentBatch { exchange, bytes, events, fields, write };
        let mut left = 0;
        for (to, events) in self.parcels.by_owner(&self.map, which, hashes) {
            left |= self.send_parcel(to, events, &mut batch);
        }
        // What found no room, after all that others had room for.
        for place in bits(left) {
            let route = Route { exchange, hash: hashes[place] };
            let room = self.send(route, &causes[place], timings.get(place), bytes);
            (batch.write)(1 << place, room, bytes);
        }
    }

    #[inline]
    fn in_place(
        &mut self,
        exchange: ExchangeId,
        bytes: usize,
        hashes: &[u64],
        causes: &[Cause],
        timings: &mut [Timing],
        slots: &mut [u32],
    ) -> u64 {
        let exchange = &self.exchanges[exchange.0 as usize];
        // What waits for this core at the level, or has no room further on, comes first.
        let before = self.local_waiting & (1 << exchange.level) | self.waiting;
        if before != 0 || self.blocked || bytes > exchange.archive_bytes_max {
            return 0;
        }
        let own = self.map.owned_by(self.core, hashes);
        if own == 0 {
            return 0;
        }
        if let Some(table) = exchange.table {
            self.tables.look_ahead(table, own, hashes, slots);
        }
        if let Some(table) = exchange.end {
            match own.count_ones() as usize == causes.len() {
                true => self.ends.add_all(table, causes.iter()),
                false => self.ends.add_all(table, bits(own).map(|place| &causes[place])),
            }
        }
        if let Some(number) = exchange.watermark
            && !timings.is_empty()
        {
            self.enter_in_place(number, timings);
        }
        own
    }

    fn output(&mut self, sink: SinkId, cause: &Cause, bytes: &[u8]) {
        if Header::frame_bytes(bytes.len()) > self.frame_bytes_max {
            return self.refuse_long(cause);
        }
        let to = self.outputs.owner(sink, cause);
        if to != self.core {
            self.send_output(to, sink, cause, bytes);
        } else if self.outputs.add(sink, cause, bytes, &mut self.counts) {
            if self.blocked {
                self.batch_size.add_over(bytes.len());
            }
            self.blocked = true;
        }
    }

    #[inline]
    fn batch_max(&mut self) -> usize {
        self.batch_size.next_max()
    }

    #[inline]
    fn blocked(&self) -> bool {
        self.blocked
    }

    #[inline]
    fn find(&mut self, table: TableId, hash: u64, previous: Option<u32>) -> Option<u32> {
        self.tables.find(table, hash, previous)
    }

    fn bind(&mut self, table: TableId, hash: u64, slot: u32) {
        self.tables.bind(table, hash, slot);
    }

    fn unbind(&mut self, table: TableId, hash: u64, slot: u32, row: &dyn AnyRow) {
        self.tables.unbind(table, hash, slot, row);
    }

    fn changing(&mut self, table: TableId, slot: u32, row: Option<&dyn AnyRow>) {
        self.tables.changing(table, slot, row);
    }

    #[inline]
    fn hint(&mut self, table: TableId, hint: Hint) {
        self.watermarks.hint(table, hint);
    }

    fn watermark(&self, table: TableId, without: Inflow) -> EventTime {
        self.watermarks.without(table, without)
    }

    fn late(&mut self, table: TableId, by: Duration) {
        self.counts.late(table, by);
    }

    #[cold]
    fn refuse(&mut self, cause: &Cause, reason: Reason, bytes: &[u8]) {
        self.counts.sources[cause.source.0 as usize].refused += 1;
        self.letters.add(cause, reason, bytes);
        self.blocked |= self.letters.full();
    }
}
