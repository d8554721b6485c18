//! Causes, times and routes: the numbers by which stages and hosts name an application's parts.

use crate::time::{Duration, EventTime};

/// A source of the application: its index in [`Plan::sources`](crate::plan::Plan::sources).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u8);

/// One `key_by` of the application: its index in [`Plan::exchanges`](crate::plan::Plan::exchanges).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub u16);

/// An `event_time` of the application: its index in [`Plan::times`](crate::plan::Plan::times).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeId(pub u16);

/// A table of the application: its index in [`Plan::tables`](crate::plan::Plan::tables).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u16);

/// A sink or reply of the application: its index in [`Plan::sinks`](crate::plan::Plan::sinks).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SinkId(pub u16);

/// The slot number that no row has.
pub const NO_SLOT: u32 = u32::MAX;

/// Where an input came from: the cause of everything that is derived from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The connection, file or channel; 0 is none. Never used again within a run.
    pub connection: u64,
    /// The position in it: bytes for byte streams, a count for generators.
    pub position: u64,
}

impl Origin {
    /// What stands in the place of an input for what comes out of the row of a key with this `hash`
    /// in `table` at the moment `due`: the same in every run.
    #[inline]
    pub fn of_due(table: TableId, hash: u64, due: EventTime) -> Self {
        let table = u64::from(table.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { connection: (hash ^ table) >> 1 | DUE, position: due.nanos().cast_unsigned() }
    }

    /// Whether it stands for what was due instead of an input.
    #[inline]
    pub fn is_of_due(&self) -> bool {
        self.connection & DUE != 0
    }
}

/// Set in the connection of what was due; no id of a connection has it.
const DUE: u64 = 1 << 63;

/// What an event inherits from the input that caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// When the input entered, in nanoseconds of the host's clock: the start of every latency.
    pub ingress: u64,
    /// The connection and position that brought the input.
    pub origin: Origin,
    /// The source through which it entered.
    pub source: SourceId,
}

/// What the time of an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// When it happened.
    pub time: EventTime,
    /// The own watermark of its connection, after the event: the event is late if its time is not
    /// above it. Of an event that is on time it may be any lesser one.
    pub own: EventTime,
    /// The watermark of the exchange that the event has passed, as it was before the event; the
    /// least one before an exchange, and where nothing after it uses watermarks.
    pub watermark: EventTime,
}

impl Timing {
    /// Of an event that was under way when the program got its first use of time: it is on time.
    pub const UNKNOWN: Self =
        Self { time: EventTime::EVENT_MIN, own: EventTime::MIN, watermark: EventTime::MIN };

    /// Whether an event came before it on its connection whose time is greater by more than the
    /// lateness that was said.
    #[inline]
    pub fn is_late(&self) -> bool {
        self.time <= self.own
    }

    /// How much longer the lateness would have to be for the event to be on time for what closes at
    /// `closing`; `None` if it is on time.
    #[inline]
    pub(crate) fn late_by(&self, closing: EventTime) -> Option<Duration> {
        let line = self.own.max(self.watermark);
        (closing <= line).then(|| (line - closing) + Duration::from_nanos(1))
    }
}

/// From where events with a time, and what is said of their times, come into an exchange or a
/// timed table, without passing another one on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Inflow {
    /// From connections whose events get their times there.
    Time(TimeId),
    /// From an exchange.
    Exchange(ExchangeId),
    /// From what is due in a timed table.
    Due(TableId),
}

/// A row of a timed table that may be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hint {
    /// When.
    pub due: EventTime,
    /// The slot of the row.
    pub slot: u32,
}

impl Hint {
    /// A hint at no row.
    pub const NONE: Self = Self { due: EventTime::MAX, slot: NO_SLOT };
}

/// Where a keyed event goes: an exchange and the hash of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The exchange that the event passes.
    pub exchange: ExchangeId,
    /// XXH3 of its key; the partition follows from it.
    pub hash: u64,
}
