//! The seam between an application and whatever executes it.
//!
//! An application, once planned, is a set of *stages*: one for each source and one for each
//! exchange (`key_by`). A stage takes bytes, runs the user's operators and hands everything that
//! leaves it to a [`Host`]. The engine is one host, the [reference interpreter](crate::reference)
//! is another; neither learns a type of the application, and no stage learns where it runs.
//!
//! ```text
//!            bytes, archive, generator            frames of one exchange
//!                      │                                  │
//!                ┌─────▼──────┐                    ┌──────▼────────┐
//!                │ SourceStage │                   │ ExchangeStage │ ◄── rows of tables
//!                └─────┬──────┘                    └──────┬────────┘
//!                      └──── exchange · output · refuse ──┘
//!                                     Host
//! ```

use core::ops::Range;

use alloc::boxed::Box;

use crate::codec::Reason;
use crate::plan::Mistake;

mod under_way;

pub use under_way::{Noted, UnderWay};

/// A source of the application: its place in [`Plan::sources`](crate::plan::Plan::sources).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u8);

/// One `key_by` of the application: its place in [`Plan::exchanges`](crate::plan::Plan::exchanges).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub u16);

/// A table of the application: its place in [`Plan::tables`](crate::plan::Plan::tables).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u16);

/// A sink or reply of the application: its place in [`Plan::sinks`](crate::plan::Plan::sinks).
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

/// Where a keyed event goes: an exchange and the hash of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The exchange that the event passes.
    pub exchange: ExchangeId,
    /// XXH3 of its key; the partition follows from it.
    pub hash: u64,
}

/// One event that arrived through an exchange.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The archived event, exactly.
    pub archive: &'a [u8],
    /// Hash of its key, as given to [`Host::send`].
    pub hash: u64,
    /// The row of [`Exchange::table`](crate::plan::Exchange::table) whose tag fits the hash, or
    /// [`NO_SLOT`]. A hint: the stage compares the key and looks again when it differs.
    pub slot: u32,
    /// What the event inherits.
    pub cause: Cause,
}

/// What executes an application. Stages call it; it never calls back into a stage.
///
/// Nothing here can fail: a host that has no room keeps what it was given and reports
/// [`blocked`](Self::blocked), and stages then stop before their next input.
pub trait Host {
    /// Sends one event to `route`: returns room for its archive, exactly `bytes` long, which the
    /// caller fills before it does anything else with the host.
    fn send(&mut self, route: Route, cause: &Cause, bytes: usize) -> &mut [u8];

    /// Asks whether an event for `route`, whose archive would take `bytes`, can be run at once by
    /// who asks, instead of being sent. `Some` obliges to run it; it holds the row that
    /// [`Input::slot`] would.
    fn in_place(&mut self, route: Route, cause: &Cause, bytes: usize) -> Option<u32>;

    /// Sends one encoded event to a sink, or back to its origin when the sink is a reply.
    fn output(&mut self, sink: SinkId, cause: &Cause, bytes: &[u8]);

    /// Whether the outputs of the last event found no room. No input may follow until they have.
    fn blocked(&self) -> bool;

    /// The next row of `table` after `previous` whose tag fits `hash`; the first one for `None`.
    fn find(&mut self, table: TableId, hash: u64, previous: Option<u32>) -> Option<u32>;

    /// Enters a new row of `table`.
    fn bind(&mut self, table: TableId, hash: u64, slot: u32);

    /// Removes a row of `table` that [`bind`](Self::bind) entered.
    fn unbind(&mut self, table: TableId, hash: u64, slot: u32);

    /// Takes input that could not be understood: a dead letter.
    fn refuse(&mut self, cause: &Cause, reason: Reason, bytes: &[u8]);
}

/// Why [`SourceStage::ingest`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It took as many events as it was allowed to.
    Limit,
    /// The host is blocked.
    Blocked,
    /// The rest is no whole frame; at least so many bytes are needed in all, 0 when unknown.
    More(usize),
    /// A frame boundary is broken: nothing behind it can be understood. The rest was refused, and
    /// is not taken: whoever reads the input again stops at the same frame.
    Broken(Reason),
}

/// What one call of a source stage did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ingested {
    /// Bytes taken from the front of the input.
    pub bytes: usize,
    /// Events decoded.
    pub events: u64,
    /// Frames refused.
    pub refused: u64,
    /// Why it stopped.
    pub stop: Stop,
    /// What follows belongs to a frame above the limit that was refused.
    pub skipping: bool,
}

/// How one run of input enters a source.
#[derive(Clone, Copy, Debug)]
pub struct Feed {
    /// Cause of the first byte; the position of later frames follows from it.
    pub cause: Cause,
    /// No byte will ever follow: a partial frame at the end is cut off.
    pub ended: bool,
    /// Most events to take.
    pub events_max: u64,
    /// Longest frame that the host has room for.
    pub frame_bytes_max: usize,
    /// The first bytes belong to a frame above the limit that was refused before.
    pub skipping: bool,
}

/// When the events of a generator are due: open loop, nothing ever moves a due time.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Due time of event `first`, in nanoseconds of the host's clock.
    pub start: u64,
    /// The event with which it begins: 0, unless earlier ones were made in an earlier run.
    pub first: u64,
    /// Events per second; 0 means as fast as possible, due when they are made.
    pub rate: u64,
}

impl Schedule {
    /// When event `index`, which is not before the first, is due.
    #[inline]
    pub fn due(&self, index: u64) -> u64 {
        match self.rate {
            0 => self.start,
            rate => {
                let index = index - self.first;
                let (seconds, rest) = (index / rate, index % rate);
                self.start + seconds * 1_000_000_000 + rest.saturating_mul(1_000_000_000) / rate
            }
        }
    }

    /// How many events are due at `now`, those before the first included.
    pub fn count_due(&self, now: u64) -> u64 {
        match self.rate {
            0 => u64::MAX,
            _ if now < self.start => self.first,
            rate => {
                let (seconds, rest) =
                    ((now - self.start) / 1_000_000_000, (now - self.start) % 1_000_000_000);
                let partly = rest.saturating_mul(rate) / 1_000_000_000;
                let due = seconds.saturating_mul(rate).saturating_add(partly + 1);
                due.saturating_add(self.first)
            }
        }
    }
}

/// The entry of one source.
pub trait SourceStage {
    /// Decodes frames from the front of `bytes` and runs their events.
    fn ingest(
        &self,
        bytes: &[u8],
        feed: Feed,
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> Ingested;

    /// Refuses the frame at the front of `bytes` for `reason`, whatever is in it: neither is it
    /// decoded nor does its event run.
    fn refuse(
        &self,
        bytes: &[u8],
        feed: Feed,
        reason: Reason,
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> Ingested;

    /// Runs one event given as its archive, from within the process.
    ///
    /// # Errors
    /// The bytes are no archive of this source's event.
    fn ingest_archive(
        &self,
        archive: &[u8],
        cause: Cause,
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> Result<(), Reason>;

    /// Hash of the shape of this source's event.
    fn schema(&self) -> u64;

    /// The generator registered under `name`, started with `seed`.
    ///
    /// # Errors
    /// There is none of that name, or it makes another type of event.
    fn generator(&self, name: &str, seed: u64) -> Result<Box<dyn Generate>, Mistake>;
}

/// A source of made-up events.
pub trait Generate {
    /// Makes the events of `indices` and drops them: what they had an effect on was restored, and
    /// a generator may go by what it made before.
    fn skip(&mut self, indices: Range<u64>, cause: Cause, under_way: &UnderWay);

    /// Makes and runs the events of `indices` until the host is blocked or the generator ends.
    /// Returns the index of the next event and whether there will be one.
    fn emit(
        &mut self,
        indices: Range<u64>,
        schedule: &Schedule,
        cause: Cause,
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> (u64, bool);
}

/// What happens behind one exchange.
pub trait ExchangeStage {
    /// Runs `inputs` in order until the host is blocked. Returns how many were done.
    ///
    /// # Panics
    /// An archive is invalid: the host did not keep what it was given.
    fn batch(&self, inputs: &[Input<'_>], under_way: &UnderWay, host: &mut dyn Host) -> usize;
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    #[test]
    fn no_rate_is_too_high() {
        for rate in [1, 3, 1_000_000_007, u64::MAX / 2, u64::MAX] {
            let schedule = Schedule { start: 5, rate, first: 0 };
            assert_eq!((schedule.count_due(4), schedule.count_due(5)), (0, 1));
            let mut before = 0;
            for now in [6, 999_999_999, 1_000_000_005, 1 << 60] {
                let due = schedule.count_due(now);
                assert!(due >= before, "{rate} per second at {now}");
                assert!(schedule.due(due - 1) <= now || due == u64::MAX, "{rate} at {now}");
                before = due;
            }
        }
    }

    #[test]
    fn a_schedule_goes_on_where_an_earlier_one_ended() {
        let schedule = Schedule { start: 5_000, rate: 1_000_000, first: 700 };
        assert_eq!((schedule.due(700), schedule.due(703)), (5_000, 8_000));
        assert_eq!((schedule.count_due(4_999), schedule.count_due(8_000)), (700, 704));
    }
}
