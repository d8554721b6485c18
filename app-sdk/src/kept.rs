//! Kept events: events of one stream and key in the order of their times, in the state of a row.
//!
//! An event is kept as its archive, since a state is stored and copied, and an event need not be.
//! Archives need no alignment, so all of a row lie one after the other in one piece of memory: no
//! allocation per event, and nothing to convert when the row is stored.
//!
//! ```text
//!   entries   time, end, beside │ time, end, beside │ …      ascending by time; equal times in the
//!   bytes     archive           │ archive           │ …      order of arrival
//! ```
//!
//! Promises: an insertion at the end and a removal at the front, the usual ones, move at most the
//! bytes that stay. Must never hold more than a row may: see [`ROW_BYTES_MAX`].

use core::fmt::{self, Debug};
use core::marker::PhantomData;
use core::ops::Range;

use alloc::string::String;
use alloc::vec::Vec;

use rkyv::{Archive, Deserialize, Serialize};

use crate::codec::Reason;
use crate::host::{Cause, Origin, SourceId};
use crate::time::EventTime;
use crate::value::support::JsonFields;
use crate::value::{self, Event, Schema, State, View, schema_field, schema_start};

/// Most bytes that the events take that one row keeps, of all its streams. A row is copied as a
/// whole when it changes while it is being stored, which takes about 10 µs for this many.
pub(crate) const ROW_BYTES_MAX: usize = 64 * 1024;

/// Most bytes of memory, of entries and of archives each, that stay with the slot of a row whose
/// events are forgotten: enough for some events, so that keys of which few events wait at a time
/// take no memory for each. With more events the memory is taken anew for many at once.
const MEMORY_KEPT_MAX: usize = 512;

/// Why an event is refused for whose key too much is kept.
pub(crate) const ROW_FULL: Reason = Reason::new(
    "its key has 64 KiB of events that wait for the time of another stream: is one of the streams \
     far ahead?",
);

/// Events of type `E`, each with something beside it.
#[derive(Archive, Serialize, Deserialize)]
pub(crate) struct Kept<E, X> {
    entries: Vec<KeptEntry<X>>,
    bytes: Vec<u8>,
    of: PhantomData<fn() -> E>,
}

#[derive(Clone, Archive, Serialize, Deserialize)]
pub(crate) struct KeptEntry<X> {
    time: EventTime,
    /// Where its archive ends.
    end: u32,
    beside: X,
}

impl<E: Event, X: State> Kept<E, X> {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), bytes: Vec::new(), of: PhantomData }
    }

    /// Forgets all events, but keeps memory for a few.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        self.entries.shrink_to(MEMORY_KEPT_MAX / size_of::<KeptEntry<X>>());
        self.bytes.shrink_to(MEMORY_KEPT_MAX);
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes that it takes in memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<KeptEntry<X>>()
    }

    /// The time of the first event; the end of time for none.
    pub(crate) fn first_time(&self) -> EventTime {
        self.entries.first().map_or(EventTime::MAX, |entry| entry.time)
    }

    pub(crate) fn time(&self, at: usize) -> EventTime {
        self.entries[at].time
    }

    pub(crate) fn beside(&self, at: usize) -> &X {
        &self.entries[at].beside
    }

    pub(crate) fn beside_mut(&mut self, at: usize) -> &mut X {
        &mut self.entries[at].beside
    }

    pub(crate) fn view(&self, at: usize) -> View<'_, E> {
        let archive = &self.bytes[self.start(at)..self.entries[at].end as usize];
        E::view(value::access::<E>(archive).expect("an archive is kept whole"))
    }

    /// How many events have a time at or before `time`.
    pub(crate) fn until(&self, time: EventTime) -> usize {
        self.entries.partition_point(|entry| entry.time <= time)
    }

    /// The events with a time from `first` to `last`.
    pub(crate) fn within(&self, first: EventTime, last: EventTime) -> Range<usize> {
        let start = self.entries.partition_point(|entry| entry.time < first);
        start..self.until(last).max(start)
    }

    fn start(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(0, |before| self.entries[before].end as usize)
    }

    /// Keeps an event, after those of the same time; `append` appends its archive, or fails. Takes
    /// at most `bytes_max` bytes in all: returns whether it is kept.
    pub(crate) fn insert(
        &mut self,
        (time, beside): (EventTime, X),
        bytes_max: usize,
        append: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> bool {
        let before = self.bytes.len();
        let fits =
            append(&mut self.bytes) && self.memory_bytes() + size_of::<KeptEntry<X>>() <= bytes_max;
        if !fits {
            self.bytes.truncate(before);
            return false;
        }
        let (added, at) = (self.bytes.len() - before, self.until(time));
        let start = self.start(at);
        self.bytes[start..].rotate_right(added);
        self.entries.insert(at, KeptEntry { time, end: start as u32, beside });
        for entry in &mut self.entries[at..] {
            entry.end += added as u32;
        }
        true
    }

    pub(crate) fn remove(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let (start, end) = (self.start(range.start), self.start(range.end));
        self.bytes.drain(start..end);
        self.entries.drain(range.clone());
        for entry in &mut self.entries[range.start..] {
            entry.end -= (end - start) as u32;
        }
    }
}

impl<E, X: Clone> Clone for Kept<E, X> {
    fn clone(&self) -> Self {
        Self { entries: self.entries.clone(), bytes: self.bytes.clone(), of: PhantomData }
    }
}

impl<E: Event, X: State> Debug for Kept<E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = (0..self.len()).map(|at| (self.time(at), self.view(at)));
        f.debug_list().entries(entries).finish()
    }
}

impl<E: Event, X: State> Schema for Kept<E, X> {
    const TYPE: &'static str = "Kept";
    const SHAPE: u64 =
        schema_field(schema_field(schema_start("Kept"), "event", E::SHAPE), "beside", X::SHAPE);

    // cold: for people
    fn json(&self, out: &mut String) {
        let mut list = JsonFields::list(out);
        for at in 0..self.len() {
            let archive = &self.bytes[self.start(at)..self.entries[at].end as usize];
            let event = value::read::<E>(archive).expect("an archive is kept whole");
            list.item(&(self.time(at), event));
        }
        list.end();
    }
}

/// A cause that is kept, so that what waits is answered to whom it came from.
#[crate::value]
pub(crate) struct KeptCause {
    ingress: u64,
    connection: u64,
    position: u64,
    source: u8,
}

impl From<&Cause> for KeptCause {
    fn from(cause: &Cause) -> Self {
        let Cause { ingress, origin: Origin { connection, position }, source } = *cause;
        Self { ingress, connection, position, source: source.0 }
    }
}

impl KeptCause {
    /// The cause, which came from one of `sources`: a program may have other ones by now, and then
    /// the first stands for them.
    pub(crate) fn cause(self, sources: &[SourceId]) -> Cause {
        let Self { ingress, connection, position, source } = self;
        let known = sources.iter().find(|known| known.0 == source);
        let source = *known.or(sources.first()).expect("the events of a stream have a source");
        Cause { ingress, origin: Origin { connection, position }, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use alloc::string::ToString;

    fn insert(kept: &mut Kept<String, u64>, time: i64, beside: u64, text: &str) -> bool {
        let append = |out: &mut Vec<u8>| value::append(&text.to_string(), out).is_ok();
        kept.insert((EventTime::from_nanos(time), beside), 1000, append)
    }

    #[test]
    fn events_are_in_the_order_of_their_times_and_arrival() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let (mut kept, mut naive) = (Kept::<String, u64>::new(), Vec::new());
            for beside in 0..30 {
                if random.below(3) > 0 {
                    let time = random.below(6) as i64;
                    let text = "x".repeat(random.below(20) as usize);
                    let before = kept.memory_bytes();
                    if insert(&mut kept, time, beside, &text) {
                        naive.push((time, beside, text));
                        naive.sort_by_key(|(time, beside, _)| (*time, *beside));
                    } else {
                        assert_eq!(kept.memory_bytes(), before, "nothing is left of it");
                    }
                } else if !naive.is_empty() {
                    let start = random.below(naive.len() as u64) as usize;
                    let end = start + random.below((naive.len() - start) as u64 + 1) as usize;
                    kept.remove(start..end);
                    naive.drain(start..end);
                }
                let mut bytes = Vec::new();
                value::append(&kept, &mut bytes).expect("it is short");
                kept = value::read(&bytes).expect("it was just written");
                let all = (0..kept.len())
                    .map(|at| (kept.time(at).nanos(), *kept.beside(at), kept.view(at).to_string()));
                assert!(all.eq(naive.iter().cloned()));
                let first = EventTime::from_nanos(random.below(6) as i64);
                let last = EventTime::from_nanos(random.below(6) as i64);
                let inside = |(time, ..): &&(i64, u64, String)| {
                    (first.nanos()..=last.nanos()).contains(time)
                };
                assert_eq!(kept.within(first, last).len(), naive.iter().filter(inside).count());
                assert!(kept.memory_bytes() <= 1000);
            }
        }
    }

    #[test]
    fn a_cause_comes_back() {
        let origin = Origin { connection: 7, position: 8 };
        let cause = Cause { ingress: 9, origin, source: SourceId(3) };
        let kept = KeptCause::from(&cause);
        assert_eq!(kept.cause(&[SourceId(1), SourceId(3)]), cause);
        let source = SourceId(1);
        assert_eq!(kept.cause(&[source, SourceId(4)]), Cause { source, ..cause });
    }
}
