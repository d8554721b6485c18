//! What one core is doing and what it is blocked by: levels, not counts.
//!
//! Written by one core, read by any thread at any time. The core never reads a clock for it: it
//! notes which stage begins, and the control plane, which reads from time to time, adds up the
//! time. A reader that finds the same mark twice knows that one batch lasted from one read to the
//! other.

use std::sync::atomic::{AtomicU64, Ordering};

use potoroo_runtime::{Nanos, SharedLatency};
use potoroo_sdk::host::{SinkId, SourceId};
use potoroo_sdk::plan::Plan;

use super::connection::ConnectionId;

/// What a core can be busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its ports, or nothing.
    None,
    /// Decoding or generating events of a source, with all that follows up to an exchange, and
    /// after it what is processed in place at once.
    Source(u16),
    /// What follows an exchange, for events that came over a lane or were collected.
    Exchange(u16),
}

/// What a core can be blocked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockedBy {
    /// The outlet of a sink is full: its peer or disk takes too little.
    Sink(SinkId),
    /// The replies of a connection: its peer reads too little.
    Connection(ConnectionId),
    /// A lane is full: the other core takes too little.
    Lane {
        /// That core.
        to: usize,
        /// The level of the lane.
        level: usize,
    },
    /// More dead letters wait than may.
    Letters,
    /// Nodes of the cluster come or go: sources are held until they have.
    Nodes,
}

/// The gauges of one core, on cache lines of their own: they are written all the time.
#[repr(align(128))]
pub struct Gauges {
    /// How long turns took in which something was done, operating-system gaps included.
    pub turns: SharedLatency,
    /// The stage that runs, below a number that each stage begins anew.
    doing: AtomicU64,
    /// Code of what blocks the core, 0 for nothing, and since when.
    blocked_by: AtomicU64,
    since: AtomicU64,
    /// By level: bytes in the fullest lane from this core.
    lanes: Box<[AtomicU64]>,
}

impl Gauges {
    // cold: at start
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            turns: SharedLatency::new(),
            doing: AtomicU64::new(STAGE_MASK),
            blocked_by: AtomicU64::new(0),
            since: AtomicU64::new(0),
            lanes: (0..=plan.levels()).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// A batch of `stage` begins.
    #[inline(always)]
    pub(super) fn begin(&self, stage: Stage) {
        let number = (self.doing.load(Ordering::Relaxed) | STAGE_MASK) + 1;
        self.doing.store(number | stage.code(), Ordering::Relaxed);
    }

    #[cold]
    pub(super) fn set_blocked(&self, by: BlockedBy, now: Nanos) {
        let code = by.code();
        if self.blocked_by.load(Ordering::Relaxed) != code {
            self.since.store(now.0, Ordering::Relaxed);
            self.blocked_by.store(code, Ordering::Release);
        }
    }

    #[cold]
    pub(super) fn set_free(&self) {
        self.blocked_by.store(0, Ordering::Relaxed);
    }

    #[cold]
    pub(super) fn set_lane(&self, level: usize, bytes: u64) {
        self.lanes[level].store(bytes, Ordering::Relaxed);
    }

    /// What the core is doing, and a mark of this batch: while both stay the same, so does it.
    pub fn doing(&self) -> (Stage, u64) {
        let mark = self.doing.load(Ordering::Relaxed);
        (Stage::of(mark & STAGE_MASK), mark)
    }

    /// What the core is blocked by, and since when. May be stale by a turn.
    pub fn blocked_by(&self) -> Option<(BlockedBy, Nanos)> {
        let by = BlockedBy::of(self.blocked_by.load(Ordering::Acquire))?;
        Some((by, Nanos(self.since.load(Ordering::Relaxed))))
    }

    /// By level: bytes in the fullest lane from this core, some milliseconds ago.
    // cold: asked by the control plane
    pub fn lanes(&self) -> Vec<u64> {
        self.lanes.iter().map(|bytes| bytes.load(Ordering::Relaxed)).collect()
    }
}

const STAGE_MASK: u64 = 0x3_ffff;
const EXCHANGES: u64 = 1 << 16;

impl Stage {
    #[inline(always)]
    fn code(self) -> u64 {
        match self {
            Self::None => STAGE_MASK,
            Self::Source(source) => u64::from(source),
            Self::Exchange(exchange) => EXCHANGES | u64::from(exchange),
        }
    }

    fn of(code: u64) -> Self {
        match code {
            STAGE_MASK => Self::None,
            source if source < EXCHANGES => Self::Source(source as u16),
            exchange => Self::Exchange(exchange as u16),
        }
    }
}

/// Ids of connections have the number of a core, from 1, in their upper 16 bits, which leaves
/// those codes to the others.
const OTHERS: u64 = 0xffff << 48;
const SINKS: u64 = OTHERS | (1 << 32);
const LANES: u64 = OTHERS | (2 << 32);
const LETTERS: u64 = OTHERS | (3 << 32);
const NODES: u64 = OTHERS | (4 << 32);

impl BlockedBy {
    fn code(self) -> u64 {
        match self {
            Self::Sink(sink) => SINKS | u64::from(sink.0),
            Self::Connection(id) => id.0,
            Self::Lane { to, level } => LANES | ((to as u64) << 8) | level as u64,
            Self::Letters => LETTERS,
            Self::Nodes => NODES,
        }
    }

    fn of(code: u64) -> Option<Self> {
        match code & (u64::MAX << 32) {
            0 => None,
            SINKS => Some(Self::Sink(SinkId(code as u16))),
            LANES => {
                let to = ((code & 0xffff_ffff) >> 8) as usize;
                Some(Self::Lane { to, level: (code & 0xff) as usize })
            }
            LETTERS => Some(Self::Letters),
            NODES => Some(Self::Nodes),
            _ => Some(Self::Connection(ConnectionId(code))),
        }
    }
}

impl From<SourceId> for Stage {
    #[inline(always)]
    fn from(source: SourceId) -> Self {
        Self::Source(u16::from(source.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_they_were_written() {
        let connection = ConnectionId::new(3, u32::MAX, u16::MAX);
        let lane = BlockedBy::Lane { to: 65_535, level: 40 };
        let sink = BlockedBy::Sink(SinkId(7));
        let nodes = BlockedBy::Nodes;
        for by in [sink, BlockedBy::Connection(connection), lane, BlockedBy::Letters, nodes] {
            assert_eq!(BlockedBy::of(by.code()), Some(by));
        }
        assert_eq!(BlockedBy::of(0), None);
        for stage in [Stage::None, Stage::Source(0), Stage::Source(9), Stage::Exchange(65_535)] {
            assert_eq!(Stage::of(stage.code()), stage);
        }
    }

    #[test]
    fn each_batch_has_a_mark_of_its_own() {
        let app = potoroo_sdk::Application::new("none");
        app.source("in", potoroo_sdk::codec::LineText::new())
            .sink("out", potoroo_sdk::codec::LineText::new());
        let gauges = Gauges::new(&app.plan().expect("it is sound"));
        gauges.begin(Stage::Source(4));
        let first = gauges.doing();
        assert_eq!(first, gauges.doing());
        gauges.begin(Stage::Source(4));
        assert_eq!(gauges.doing().0, Stage::Source(4));
        assert_ne!(gauges.doing().1, first.1);
        gauges.begin(Stage::None);
        assert_eq!(gauges.doing().0, Stage::None);
    }
}
