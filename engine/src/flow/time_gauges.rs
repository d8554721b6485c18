//! How far the time of a core has come, and what holds it: levels, not counts.
//!
//! Written by one core some milliseconds after a change, and when the core becomes idle; read by
//! any thread at any time.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use potoroo_sdk::host::{SourceId, TimeId};
use potoroo_sdk::plan::Plan;
use potoroo_sdk::time::EventTime;

use super::connection::ConnectionId;

/// What holds the time of one `event_time` on a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeHolder {
    /// How far it has come.
    pub own: EventTime,
    /// The source that brings its events.
    pub source: SourceId,
    /// The connection that does; `None` for a source that is read from its beginning to its end.
    pub connection: Option<ConnectionId>,
}

/// The gauges of the time of one core.
pub struct TimeGauges {
    /// By the number of a watermark.
    watermarks: Box<[AtomicI64]>,
    /// By `event_time`.
    holders: Box<[HolderCells]>,
}

struct HolderCells {
    own: AtomicI64,
    /// [`NO_SOURCE`] where nothing holds it.
    source: AtomicU64,
    /// 0 for none.
    connection: AtomicU64,
}

const NO_SOURCE: u64 = u64::MAX;

impl TimeGauges {
    // cold: at start
    pub(super) fn new(plan: &Plan) -> Self {
        let least = || AtomicI64::new(EventTime::MIN.nanos());
        Self {
            watermarks: plan.watermark_levels().iter().map(|_| least()).collect(),
            holders: plan.times.iter().map(|_| HolderCells::new()).collect(),
        }
    }

    pub(crate) fn set_watermark(&self, number: usize, watermark: EventTime) {
        self.watermarks[number].store(watermark.nanos(), Ordering::Relaxed);
    }

    pub(crate) fn set_holder(&self, time: TimeId, holder: Option<TimeHolder>) {
        let cells = &self.holders[usize::from(time.0)];
        let Some(TimeHolder { own, source, connection }) = holder else {
            return cells.source.store(NO_SOURCE, Ordering::Relaxed);
        };
        cells.own.store(own.nanos(), Ordering::Relaxed);
        cells.connection.store(connection.map_or(0, |id| id.0), Ordering::Relaxed);
        cells.source.store(source.0.into(), Ordering::Relaxed);
    }

    /// The watermark with this number, [`EventTime::MIN`] as long as some core has said nothing,
    /// [`EventTime::MAX`] after the end of the input. May be stale.
    pub fn watermark(&self, number: usize) -> EventTime {
        EventTime::from_nanos(self.watermarks[number].load(Ordering::Relaxed))
    }

    /// What of this core holds the time of an `event_time`; `None` if nothing does. May be stale,
    /// and for an instant a moment of one connection with the name of another.
    pub fn holder(&self, time: TimeId) -> Option<TimeHolder> {
        let cells = &self.holders[usize::from(time.0)];
        let source = cells.source.load(Ordering::Relaxed);
        let connection = cells.connection.load(Ordering::Relaxed);
        (source != NO_SOURCE).then(|| TimeHolder {
            own: EventTime::from_nanos(cells.own.load(Ordering::Relaxed)),
            source: SourceId(source as u8),
            connection: (connection != 0).then_some(ConnectionId(connection)),
        })
    }
}

impl HolderCells {
    // cold: at start
    fn new() -> Self {
        Self {
            own: AtomicI64::new(EventTime::MIN.nanos()),
            source: AtomicU64::new(NO_SOURCE),
            connection: AtomicU64::new(0),
        }
    }
}
