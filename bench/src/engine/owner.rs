//! The owning side of the contenders that are not ours: a bare hash map and a recorder.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::load::{Item, Load, Tally};
use super::{Job, Outcome};
use crate::recorder::Recorder;
use crate::stamp;

/// A table of all keys, filled before the clock starts, and the latencies seen.
pub struct Owner {
    table: HashMap<u64, Tally, BuildHasherDefault<KeyHasher>>,
    recorder: Recorder,
    events: u64,
}

impl Owner {
    /// A table with all keys of the job in it.
    pub fn new(keys: u64) -> Self {
        let mut table = HashMap::with_capacity_and_hasher(keys as usize, Default::default());
        table.extend(Load::keys(keys).map(|key| (key, Tally::default())));
        Self { table, recorder: Recorder::new(), events: 0 }
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
    /// The stamp comes after the effect; one taken before it would hide all cache misses.
    #[inline]
    pub fn update_timed(&mut self, event: &Item) {
        self.update(event);
        self.recorder.record(stamp::now().saturating_sub(event.intended_ns));
    }

    /// Events taken in so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Ends the slice: `nanos` is its length as seen by this side.
    pub fn finish(self, job: &Job, nanos: u64) -> Outcome {
        let checksum = self
            .table
            .iter()
            .fold(0u64, |sum, (&key, tally)| sum.wrapping_add(tally.checksum(key)));
        let (sent, events) = (self.events, self.events);
        Outcome { keys: job.keys, latency: self.recorder, sent, events, nanos, checksum }
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
struct KeyHasher(u64);

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
