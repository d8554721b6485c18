//! Where an event goes: from the hash of its key to the core that owns it, or to a sink.
//!
//! The router is the engine's [`Host`]: stages hand it everything that leaves them. It writes
//! events straight into the lane of their owner. What finds no room goes into the outbox of its
//! level and blocks further input until it has gone.

use std::rc::Rc;

use potoroo_runtime::Producer;
use potoroo_sdk::codec::Reason;
use potoroo_sdk::host::{Cause, Host, Route, SinkId, TableId};
use potoroo_sdk::plan::{End, Plan};
use potoroo_sdk::table::TableRows;

use super::envelope::{Edge, Header, LENGTH_BYTES};
use super::letters::Letters;
use super::local::{Local, Outbox};
use super::outputs::Outputs;
use super::tally::Counts;
use crate::state::Index;

/// Which core owns a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionMap {
    owners: Box<[u16]>,
    /// `partitions - 1` when that is a mask.
    mask: Option<u64>,
}

impl PartitionMap {
    /// `partitions` spread evenly over `owners`, in turn.
    ///
    /// # Panics
    /// There are no owners or no partitions.
    pub fn spread(partitions: u32, owners: &[u16]) -> Self {
        assert!(partitions > 0);
        let owner = |partition: u32| owners[partition as usize % owners.len()];
        Self {
            owners: (0..partitions).map(owner).collect(),
            mask: partitions.is_power_of_two().then_some(u64::from(partitions) - 1),
        }
    }

    /// The core that owns the keys with `hash`.
    #[inline(always)]
    pub fn owner(&self, hash: u64) -> usize {
        let partition = match self.mask {
            Some(mask) => hash & mask,
            None => hash % self.owners.len() as u64,
        };
        usize::from(self.owners[partition as usize])
    }
}

/// Where the room given out by [`Host::reserve`] lies.
#[derive(Clone, Copy, Debug)]
enum Reserved {
    Nothing,
    Lane { to: usize, level: usize },
    Local { level: usize, bytes: usize },
    Outbox { level: usize },
    Oversize,
}

/// What the router knows of an exchange.
#[derive(Clone, Copy, Debug)]
struct ExchangeRoute {
    level: usize,
    origin: bool,
}

/// Sends what leaves a stage.
pub struct Router {
    core: usize,
    map: PartitionMap,
    exchanges: Vec<ExchangeRoute>,
    /// The level above all exchanges: what is on its way to a sink.
    output_level: usize,
    /// By core and level.
    outbound: Vec<Vec<Producer>>,
    /// Lanes that hold something unpublished.
    dirty: Vec<(usize, usize)>,
    pub(super) local: Vec<Local>,
    outbox: Vec<Outbox>,
    frame_bytes_max: usize,
    reserved: Reserved,
    /// A frame went into an outbox since the input began.
    blocked: bool,
    oversize: (Option<Cause>, Vec<u8>),
    pub(super) indexes: Vec<Index>,
    /// The rows of the tables, to prefetch them.
    pub(super) rows: Vec<Rc<dyn TableRows>>,
    pub(super) outputs: Outputs,
    pub(super) letters: Letters,
    pub(super) counts: Counts,
    /// Path number by source and table: for ends in tables.
    table_paths: Vec<Vec<Option<u16>>>,
}

/// What a router is made of.
pub(super) struct Parts {
    pub(super) core: usize,
    pub(super) map: PartitionMap,
    pub(super) outbound: Vec<Vec<Producer>>,
    pub(super) outputs: Outputs,
    pub(super) letters: Letters,
    /// Capacity of a lane from the core to itself, in bytes.
    pub(super) local_bytes: usize,
}

impl Router {
    pub(super) fn new(plan: &Plan, parts: Parts) -> Self {
        let levels = plan.levels();
        let route = |exchange: &potoroo_sdk::plan::Exchange| ExchangeRoute {
            level: exchange.level as usize,
            origin: exchange.origin,
        };
        let ring_max = parts.outbound.iter().flatten().map(Producer::frame_bytes_max).min();
        Self {
            core: parts.core,
            map: parts.map,
            exchanges: plan.exchanges.iter().map(route).collect(),
            output_level: levels,
            outbound: parts.outbound,
            dirty: Vec::new(),
            local: (0..levels).map(|_| Local::new(parts.local_bytes)).collect(),
            outbox: (0..=levels).map(|_| Outbox::default()).collect(),
            frame_bytes_max: ring_max.unwrap_or(parts.local_bytes / 4),
            reserved: Reserved::Nothing,
            blocked: false,
            oversize: (None, Vec::new()),
            indexes: plan.tables.iter().map(|_| Index::new()).collect(),
            rows: plan.tables.iter().map(|table| table.rows.clone()).collect(),
            outputs: parts.outputs,
            letters: parts.letters,
            counts: Counts::new(plan),
            table_paths: table_paths(plan),
        }
    }

    pub(super) fn output_level(&self) -> usize {
        self.output_level
    }

    /// The path from `cause` to an end in `table`.
    #[inline(always)]
    pub(super) fn table_path(&self, cause: &Cause, table: TableId) -> Option<u16> {
        self.table_paths[cause.source.0 as usize][table.0 as usize]
    }

    /// Whether input of `level` may be processed: nothing that it could cause is waiting.
    pub(super) fn admits(&self, level: usize) -> bool {
        self.outbox[level + 1..].iter().all(Outbox::is_empty) && !self.outputs.any_full()
    }

    /// Whether input from sources may be processed.
    pub(super) fn admits_sources(&self) -> bool {
        self.outbox.iter().all(Outbox::is_empty) && !self.outputs.any_full() && !self.letters.full()
    }

    /// Begins a run of input, before which [`admits`](Self::admits) said yes.
    #[inline(always)]
    pub(super) fn begin(&mut self) {
        self.blocked = false;
    }

    /// Whether nothing waits here: no frame in place, in an outbox or in an outlet.
    pub(super) fn is_empty(&self) -> bool {
        self.local.iter().all(Local::is_empty)
            && self.outbox.iter().all(Outbox::is_empty)
            && self.outputs.is_empty()
            && self.letters.is_empty()
    }

    /// Sends what waits in outboxes, highest level first, as far as there is room.
    pub(super) fn flush_outboxes(&mut self) -> usize {
        let mut sent = 0;
        for level in (0..self.outbox.len()).rev() {
            if !self.outbox[level].is_empty() {
                sent += self.flush_outbox(level);
            }
        }
        sent
    }

    #[cold]
    fn flush_outbox(&mut self, level: usize) -> usize {
        let mut sent = 0;
        let Self { outbox, outbound, local, core, dirty, counts, .. } = self;
        while let Some((to, frame)) = outbox[level].front() {
            if to == *core {
                let Some(room) = local[level].try_reserve(frame.len()) else { break };
                room.copy_from_slice(&frame[LENGTH_BYTES..]);
                local[level].commit(frame.len());
                counts.frames_local += 1;
            } else {
                let lane = &mut outbound[to][level];
                let Some(room) = lane.try_reserve(frame.len()) else { break };
                room.copy_from_slice(&frame[LENGTH_BYTES..]);
                lane_commit(lane, dirty, (to, level));
                counts.frames_sent += 1;
            }
            outbox[level].pop();
            sent += 1;
        }
        sent
    }

    /// Makes everything sent since the last call visible to its receivers, each of which is
    /// reported to `wake`.
    pub(super) fn publish(&mut self, mut wake: impl FnMut(usize)) {
        for (to, level) in self.dirty.drain(..) {
            if self.outbound[to][level].publish() {
                wake(to);
            }
        }
    }

    /// Room for a frame behind its length word.
    #[inline(always)]
    fn room(&mut self, to: usize, level: usize, bytes: usize) -> &mut [u8] {
        if bytes > self.frame_bytes_max {
            self.reserved = Reserved::Oversize;
            self.oversize.1.resize(bytes - LENGTH_BYTES, 0);
            return &mut self.oversize.1;
        }
        let Self { outbound, outbox, local, reserved, core, .. } = self;
        // Behind a waiting frame of the level everything waits: lanes are in order.
        if !outbox[level].is_empty() {
            *reserved = Reserved::Outbox { level };
            return outbox[level].reserve(to, bytes);
        }
        let (room, place) = if to == *core {
            (local[level].try_reserve(bytes), Reserved::Local { level, bytes })
        } else {
            (outbound[to][level].try_reserve(bytes), Reserved::Lane { to, level })
        };
        match room {
            Some(room) => {
                *reserved = place;
                room
            }
            None => {
                *reserved = Reserved::Outbox { level };
                outbox[level].reserve(to, bytes)
            }
        }
    }

    /// Sends encoded bytes towards the core that owns their sink or connection.
    fn send_output(&mut self, to: usize, sink: SinkId, cause: &Cause, body: &[u8]) {
        let header = Header { edge: Edge::Output(sink.0), hash: 0, cause: *cause };
        let bytes = Header::frame_bytes(true, body.len());
        let room = self.room(to, self.output_level, bytes);
        header.write(true, room).copy_from_slice(body);
        if matches!(self.reserved, Reserved::Oversize) {
            self.oversize.0 = Some(*cause);
        }
        self.commit();
    }

    #[cold]
    fn refuse_oversize(&mut self) {
        let (cause, bytes) = (self.oversize.0.take(), std::mem::take(&mut self.oversize.1));
        let cause = cause.expect("reserve and output note the cause");
        let reason = Reason::new("the event is longer than a quarter of a lane (--lane-bytes)");
        self.refuse(&cause, reason, &bytes);
        self.counts.sources[cause.source.0 as usize].refused += 1;
    }
}

#[inline(always)]
fn lane_commit(lane: &mut Producer, dirty: &mut Vec<(usize, usize)>, place: (usize, usize)) {
    if !lane.has_unpublished() {
        dirty.push(place);
    }
    lane.commit();
}

impl Host for Router {
    #[inline]
    fn reserve(&mut self, route: Route, cause: &Cause, bytes: usize) -> &mut [u8] {
        let ExchangeRoute { level, origin } = self.exchanges[route.exchange.0 as usize];
        let header =
            Header { edge: Edge::Exchange(route.exchange.0), hash: route.hash, cause: *cause };
        let to = self.map.owner(route.hash);
        let bytes = Header::frame_bytes(origin, bytes);
        if bytes > self.frame_bytes_max {
            self.oversize.0 = Some(*cause);
        }
        header.write(origin, self.room(to, level, bytes))
    }

    #[inline]
    fn commit(&mut self) {
        match std::mem::replace(&mut self.reserved, Reserved::Nothing) {
            Reserved::Lane { to, level } => {
                lane_commit(&mut self.outbound[to][level], &mut self.dirty, (to, level));
                self.counts.frames_sent += 1;
            }
            Reserved::Local { level, bytes } => {
                self.local[level].commit(bytes);
                self.counts.frames_local += 1;
            }
            Reserved::Outbox { level } => {
                self.outbox[level].commit();
                self.blocked = true;
            }
            Reserved::Oversize => self.refuse_oversize(),
            Reserved::Nothing => unreachable!("reserve comes before commit"),
        }
    }

    fn output(&mut self, sink: SinkId, cause: &Cause, bytes: &[u8]) {
        let to = self.outputs.owner(sink, cause);
        if to != self.core {
            self.send_output(to, sink, cause, bytes);
        } else if self.outputs.add(sink, cause, bytes, &mut self.counts) {
            self.blocked = true;
        }
    }

    #[inline]
    fn blocked(&self) -> bool {
        self.blocked
    }

    #[inline]
    fn find(&mut self, table: TableId, hash: u64, previous: Option<u32>) -> Option<u32> {
        let index = &self.indexes[table.0 as usize];
        match previous {
            None => index.first(hash),
            previous => index.after(hash, previous),
        }
    }

    fn bind(&mut self, table: TableId, hash: u64, slot: u32) {
        self.indexes[table.0 as usize].insert(hash, slot);
    }

    fn unbind(&mut self, table: TableId, hash: u64, slot: u32) {
        self.indexes[table.0 as usize].remove(hash, slot);
    }

    #[cold]
    fn refuse(&mut self, cause: &Cause, reason: Reason, bytes: &[u8]) {
        self.letters.add(cause, reason, bytes);
        self.blocked |= self.letters.full();
    }
}

fn table_paths(plan: &Plan) -> Vec<Vec<Option<u16>>> {
    let mut paths = vec![vec![None; plan.tables.len()]; plan.sources.len()];
    for (number, path) in plan.paths.iter().enumerate() {
        if let End::Table(table) = path.end {
            paths[path.source.0 as usize][table.0 as usize] = Some(number as u16);
        }
    }
    paths
}
