//! Causes, times and routes: the numbers by which stages and hosts name an application's parts.

use crate::time::EventTime;

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
}

impl Timing {
    /// Of an event that was under way when the program got its first use of time: it is on time.
    pub const UNKNOWN: Self = Self { time: EventTime::EVENT_MIN, own: EventTime::MIN };

    /// Whether an event came before it on its connection whose time is greater by more than the
    /// lateness that was said.
    #[inline]
    pub fn is_late(&self) -> bool {
        self.time <= self.own
    }
}

/// Where a keyed event goes: an exchange and the hash of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The exchange that the event passes.
    pub exchange: ExchangeId,
    /// XXH3 of its key; the partition follows from it.
    pub hash: u64,
}
