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

use core::any::Any;
use core::ops::Range;

use alloc::boxed::Box;

use crate::codec::Reason;
use crate::mistake::Mistake;
use crate::table::AnyRow;
use crate::time::{Duration, EventTime};
use crate::value::Corrupt;

mod cause;
mod schedule;
mod under_way;

pub use cause::{
    Cause, ExchangeId, Hint, Inflow, NO_SLOT, Origin, Route, SinkId, SourceId, TableId, TimeId,
    Timing,
};
pub use schedule::Schedule;
pub(crate) use under_way::KeysNote;
pub use under_way::{Noted, UnderWay};

/// Most events that a stage takes at once: enough to hide the latency of memory, few enough for the
/// nearest cache, and one bit of a word for each.
pub const BATCH_EVENTS: usize = 64;

/// The numbers of the bits that are set, ascending: the events of a batch that a word names.
#[inline(always)]
pub fn bits(mut word: u64) -> impl Iterator<Item = usize> + Clone {
    core::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros() as usize);
        word &= word.wrapping_sub(1);
        bit
    })
}

/// Events that arrived through one exchange, at most [`BATCH_EVENTS`]; each list has one entry for
/// each of them.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The archived events, exactly.
    pub archives: &'a [&'a [u8]],
    /// Hashes of their keys, as given to [`Host::send`].
    pub hashes: &'a [u64],
    /// The rows of [`Exchange::table`](crate::plan::Exchange::table) whose tags fit the hashes, or
    /// [`NO_SLOT`]. Hints: the stage compares the key and looks again when it differs.
    pub slots: &'a [u32],
    /// What the events inherit.
    pub causes: &'a [Cause],
    /// Their times; empty unless [`Exchange::time`](crate::plan::Exchange::time) is set.
    pub timings: &'a [Timing],
}

/// What belongs to the events of a batch that leave a stage through an exchange; each list has one
/// entry for each of them.
#[derive(Clone, Copy, Debug)]
pub struct Leaving<'a> {
    /// Hashes of their keys.
    pub hashes: &'a [u64],
    /// What they inherit.
    pub causes: &'a [Cause],
    /// Their times; empty if they have none.
    pub timings: &'a [Timing],
}

/// What executes an application. Stages call it; it never calls back into a stage.
///
/// Nothing here can fail: a host that has no room keeps what it was given and reports
/// [`blocked`](Self::blocked), and stages then stop before their next input.
pub trait Host {
    /// Sends one event to `route`, with its time if it has one: returns room for its archive,
    /// exactly `bytes` long, which the caller fills before it does anything else with the host.
    fn send(
        &mut self,
        route: Route,
        cause: &Cause,
        timing: Option<&Timing>,
        bytes: usize,
    ) -> &mut [u8];

    /// Sends several events to `exchange`: those whose bits are set in `which`, each with what
    /// belongs to it, and archives of `bytes` each. `write` gets the bits of some of them, with
    /// room and a stride: the archive of the first goes to the front of the room, that of each next
    /// one as many bytes after the one before. The stride means nothing where there is one event.
    fn send_all(
        &mut self,
        exchange: ExchangeId,
        bytes: usize,
        which: u64,
        events: Leaving<'_>,
        write: &mut dyn FnMut(u64, &mut [u8], usize),
    ) {
        for place in bits(which) {
            let route = Route { exchange, hash: events.hashes[place] };
            let (cause, timing) = (&events.causes[place], events.timings.get(place));
            write(1 << place, self.send(route, cause, timing, bytes), bytes);
        }
    }

    /// Decides which events the caller runs at once instead of sending them to `exchange`: bit `i`
    /// for the event with hash and cause `i`. There are 1 to [`BATCH_EVENTS`] events, and the
    /// archive of each takes `bytes`. The caller has to run the chosen events, in order; the host
    /// sets their slots, as in [`Inputs::slots`], and their [watermarks](Timing::watermark), if
    /// `timings` are not empty.
    fn in_place(
        &mut self,
        exchange: ExchangeId,
        bytes: usize,
        hashes: &[u64],
        causes: &[Cause],
        timings: &mut [Timing],
        slots: &mut [u32],
    ) -> u64;

    /// Sends one encoded event to a sink, or back to its origin when the sink is a reply.
    fn output(&mut self, sink: SinkId, cause: &Cause, bytes: &[u8]);

    /// Most events that may run before [`blocked`](Self::blocked) is read, from 1 to
    /// [`BATCH_EVENTS`]: what they cause has to be kept if it finds no room.
    fn batch_max(&mut self) -> usize;

    /// Whether the outputs of the last batch found no room. No input may follow until they have.
    fn blocked(&self) -> bool;

    /// The next row of `table` after `previous` whose tag fits `hash`; the first one for `None`.
    fn find(&mut self, table: TableId, hash: u64, previous: Option<u32>) -> Option<u32>;

    /// Enters a new row of `table`.
    fn bind(&mut self, table: TableId, hash: u64, slot: u32);

    /// Removes a row of `table` that [`bind`](Self::bind) entered: it goes now.
    fn unbind(&mut self, table: TableId, hash: u64, slot: u32, row: &dyn AnyRow);

    /// The row in `slot` of `table` is about to change for the first time since the table has its
    /// tag, and gets that tag; `None` for a new row. Once per row and tag: see
    /// [`TableRows::set_tag`](crate::table::TableRows::set_tag). A host that sets no tags has
    /// nothing to do.
    fn changing(&mut self, _table: TableId, _slot: u32, _row: Option<&dyn AnyRow>) {}

    /// Hints that the row in `slot` of the timed table `table` is due at `due`, or earlier than
    /// was hinted before: [`FireStage::fire`] gets it back when that moment has come.
    fn hint(&mut self, table: TableId, hint: Hint);

    /// The watermark of `table`, as far as it does not follow from `without`: the least of what its
    /// other inflows say. [`EventTime::MAX`] if it has no other.
    fn watermark(&self, table: TableId, without: Inflow) -> EventTime;

    /// An event was late for the timed table `table`, whatever becomes of it: it would have been on
    /// time if the lateness of its stream, or the wait of windows, were longer by `by`. A host that
    /// counts no late events has nothing to do.
    fn late(&mut self, _table: TableId, _by: Duration) {}

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
    /// The rest is no whole frame; at least this many bytes are needed in all, 0 when unknown.
    More(usize),
    /// A frame boundary is broken: nothing after it can be understood. The rest was refused, and
    /// is not taken: another read of the input stops at the same frame.
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

impl Feed {
    /// Cause of the frame that begins `bytes` after the first byte.
    #[inline]
    pub(crate) fn cause_at(&self, bytes: usize) -> Cause {
        let mut cause = self.cause;
        cause.origin.position += bytes as u64;
        cause
    }
}

/// The entry of one source.
///
/// Where a connection's own watermarks are asked for, they are by [`TimeId`]: after each event
/// nothing on time comes on the connection at or before them. A new connection has
/// [`EventTime::MIN`] of each.
pub trait SourceStage {
    /// Decodes frames from the front of `bytes` and runs their events, on a connection with these
    /// own watermarks.
    fn ingest(
        &self,
        bytes: &[u8],
        feed: Feed,
        own: &mut [EventTime],
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

    /// Runs one event given as its archive, from within the process, on a connection with these
    /// own watermarks.
    ///
    /// # Errors
    /// The bytes are no archive of this source's event.
    fn ingest_archive(
        &self,
        archive: &[u8],
        cause: Cause,
        own: &mut [EventTime],
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

/// A source of generated events.
pub trait Generate {
    /// Makes the events of `indices` and drops them: what they had an effect on was restored, and
    /// a generator may go by what it made before.
    fn skip(&mut self, indices: Range<u64>, cause: Cause, under_way: &UnderWay);

    /// Makes and runs the events of `indices` until the host is blocked or the generator ends; its
    /// own watermarks are as those of a connection: see [`SourceStage`]. Returns the index of the
    /// next event and whether there will be one.
    fn emit(
        &mut self,
        indices: Range<u64>,
        schedule: &Schedule,
        cause: Cause,
        own: &mut [EventTime],
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> (u64, bool);

    /// Makes what `before` would make next: the same generator, whose events led elsewhere.
    /// What that made is not made again, however much it was.
    fn take_over(&mut self, before: Box<dyn Generate>);

    /// What makes the events, for [`take_over`](Self::take_over).
    fn into_maker(self: Box<Self>) -> Box<dyn Any>;
}

/// What happens after one exchange.
pub trait ExchangeStage {
    /// Runs `inputs` in order until the host is blocked. Returns how many were done.
    ///
    /// # Panics
    /// An archive is invalid: the host did not keep what it was given.
    fn batch(&self, inputs: Inputs<'_>, under_way: &UnderWay, host: &mut dyn Host) -> usize;

    /// Names and shapes of its events and of their keys.
    fn shape(&self) -> ExchangeShape;

    /// The hash of the key of an archived event that was stored.
    ///
    /// # Errors
    /// The bytes are no archive of its events.
    fn hash(&self, archive: &[u8]) -> Result<u64, Corrupt>;
}

/// What becomes due in the rows of one timed table.
///
/// A row has one hint at a time that counts, at or before the moment at which it is due; others
/// that come back for it mean nothing.
pub trait FireStage {
    /// Fires what is due at `until` in the rows of `hints`, one after the other, until the host is
    /// blocked. `cause` says when that moment came, and of which source. Returns how many hints
    /// were done: the host gives the others again.
    ///
    /// At the end of time, [`EventTime::MAX`], each timer fires once.
    fn fire(
        &self,
        hints: &[Hint],
        until: EventTime,
        cause: &Cause,
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> usize;

    /// Hints at all rows that will be due: after rows were restored.
    fn hint_all(&self, host: &mut dyn Host);
}

/// What an exchange is made of: the names of its types, and hashes of their shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeShape {
    /// Name of the type of its events.
    pub event: &'static str,
    /// Hash of the shape of its events.
    pub event_shape: u64,
    /// Name of the type of its keys.
    pub key: &'static str,
    /// Hash of the shape of its keys.
    pub key_shape: u64,
}

#[cfg(test)]
mod tests {
    use super::bits;

    #[test]
    fn every_bit_has_its_number() {
        assert_eq!(bits(0).count(), 0);
        assert!(bits(1 << 63 | 0b1001).eq([0, 3, 63]));
        assert!(bits(u64::MAX).eq(0..64));
    }
}
