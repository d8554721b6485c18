//! The owning side of the contenders that are not ours: a bare hash map and a recorder.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::job::{Job, OWN};
use super::load::{Item, Load, Tally};
use super::window::{Filled, MeasuredWindow};
use crate::gaps::{GapLog, Watch};
use crate::stamp;
use crate::take::Tape;

/// A bare hash map.
pub type PlainTable = HashMap<u64, Tally, BuildHasherDefault<KeyHasher>>;

impl Filled for PlainTable {
    fn filled(keys: u64) -> Self {
        let mut table = Self::with_capacity_and_hasher(keys as usize, Default::default());
        table.extend(Load::keys(keys).map(|key| (key, Tally::default())));
        table
    }

    fn checksum(&self) -> u64 {
        self.iter().fold(0, |sum: u64, (&key, tally)| sum.wrapping_add(tally.checksum(key)))
    }
}

/// A table of all keys, filled before the clock starts, and the latencies seen.
pub struct Owner {
    table: PlainTable,
    tape: Tape,
    /// Fed at a fixed rate only.
    log: GapLog,
    events: u64,
}

impl Owner {
    /// Owns a table for one window of the job.
    pub fn new(job: &Job, watch: &Watch, table: PlainTable) -> Self {
        let tape = Tape::new(job.slice.as_nanos() as u64, watch);
        Self { table, tape, log: watch.log(OWN, "own"), events: 0 }
    }

    /// The clock starts.
    pub fn begin(&mut self, now_ns: u64) {
        self.tape.begin(now_ns);
        self.log.begin(now_ns);
    }

    /// Nothing was there to be taken in.
    #[inline]
    pub fn idle(&mut self) {
        self.log.idle();
    }

    /// As [`idle`](Self::idle), where a pass takes long enough to read the clock in each.
    #[inline]
    pub fn look(&mut self) {
        self.log.see(stamp::now());
    }

    /// Updates the state of one event.
    #[inline]
    pub fn update(&mut self, event: &Item) {
        self.events += 1;
        match self.table.get_mut(&event.key) {
            Some(tally) => tally.update(event.value, event.intended_ns),
            None => self.insert(event),
        }
    }

    /// Updates the state of one event, then stamps how late that is.
    ///
    /// The stamp comes after the effect, as those of the engine's turns do; one taken before it
    /// would hide all cache misses.
    #[inline]
    pub fn update_timed(&mut self, event: &Item) {
        self.update(event);
        let now_ns = stamp::settled();
        self.log.see(now_ns);
        self.tape.record(event.intended_ns, now_ns);
    }

    /// Events taken in so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Ends the window: `nanos` is its length as seen by this side.
    pub fn finish(self, nanos: u64) -> (MeasuredWindow, PlainTable) {
        let latency = self.tape.finish().with_gaps([self.log.finish()]);
        (MeasuredWindow { latency, events: self.events, nanos }, self.table)
    }

    #[cold]
    #[inline(never)]
    fn insert(&mut self, event: &Item) {
        self.table.entry(event.key).or_default().update(event.value, event.intended_ns);
    }
}

/// One multiplication and one rotation, in the manner of FxHash: about the cheapest hash whose
/// upper bits are good, and so the hardest to beat.
#[derive(Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    #[inline]
    fn write_u64(&mut self, key: u64) {
        self.0 = key.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are u64 and hash themselves with write_u64");
    }
}
