//! Words: numbers that rise, published beside the lanes from one core to another, each with the
//! place in one of the lanes from which on it holds.
//!
//! What a sender has to say about everything that it has sent, and that is worth no frame: a full
//! lane cannot delay it, of several the newest counts, and nothing piles up.
//!
//! ```text
//!   two words in one cache line:
//!   │ number i64 │ place u64 │ beside u64 │ version u64 │ number i64 │ place u64 │ …
//! ```
//!
//! Promises: a number is taken only when everything that was published before it is consumed. The
//! place is stored before its number and read after it, so the place that is read is that of the
//! number or a later one, which only means later. The version counts what was written: it is stored
//! after the number and read before it, so the number is that of the version or a later one, and a
//! receiver never counts a number that it has not seen. Costs one load of a line that stays in the
//! receiver's cache until the sender writes again. Must never be written while something in the
//! lane is unpublished.

use std::array::from_fn;

use super::consumer::Consumer;
use super::producer::Producer;
use super::sync::{Arc, AtomicU64, CachePadded, Ordering};

/// The words beside the lanes from one core to another: the sender's end.
pub struct WordWriter(Arc<Lines>);

/// The words beside the lanes from one core to another: the receiver's end.
pub struct WordReader(Arc<Lines>);

type Lines = [CachePadded<[AtomicU64; 8]>];

/// Each takes half of a line.
const WORDS_PER_LINE: usize = 2;

/// A word as its receiver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// The newest number; the least one before any was written.
    pub number: i64,
    /// Everything that was published before it is consumed: it may be taken.
    pub holds: bool,
    /// What its sender says beside it; that of a newer number now and then.
    pub beside: u64,
    /// How many numbers were written so far; that of an older number now and then.
    pub version: u64,
}

/// Both ends of `count` words.
// cold: at start
pub fn words(count: usize) -> (WordWriter, WordReader) {
    let line = |_| {
        let least = |slot| if slot % 4 == 0 { i64::MIN as u64 } else { 0 };
        CachePadded::new(from_fn(|slot| AtomicU64::new(least(slot))))
    };
    let lines: Arc<Lines> = (0..count.div_ceil(WORDS_PER_LINE)).map(line).collect();
    (WordWriter(lines.clone()), WordReader(lines))
}

/// Number, place, what stands beside the number, and version of a word.
#[inline(always)]
fn slots(lines: &Lines, word: usize) -> [&AtomicU64; 4] {
    let line = &lines[word / WORDS_PER_LINE];
    let first = word % WORDS_PER_LINE * 4;
    [&line[first], &line[first + 1], &line[first + 2], &line[first + 3]]
}

impl WordWriter {
    /// Writes `number`, which holds after everything that was committed to `lane`, and what is said
    /// beside it.
    ///
    /// # Panics
    /// Something in the lane is not published.
    pub fn write(&mut self, word: usize, lane: &Producer, number: i64, beside: u64) {
        self.set_place(word, lane, beside);
        self.set_number(word, number);
        self.set_version(word, self.version(word) + 1);
    }

    /// As [`write`](Self::write), for numbers of which not all come here: `version` were written.
    ///
    /// # Panics
    /// As [`write`](Self::write).
    pub fn write_version(
        &mut self,
        word: usize,
        lane: &Producer,
        (number, beside): (i64, u64),
        version: u64,
    ) {
        self.set_place(word, lane, beside);
        self.set_number(word, number);
        self.set_version(word, version);
    }

    /// How many numbers of a word were written.
    pub fn version(&self, word: usize) -> u64 {
        let [_, _, _, version] = slots(&self.0, word);
        version.load(Ordering::Relaxed)
    }

    /// The first half of [`write`](Self::write).
    pub(super) fn set_place(&mut self, word: usize, lane: &Producer, beside: u64) {
        assert!(!lane.has_unpublished(), "a word is written after everything was published");
        let [_, place, at, _] = slots(&self.0, word);
        // The store of the number orders both.
        place.store(lane.bytes_committed(), Ordering::Relaxed);
        at.store(beside, Ordering::Relaxed);
    }

    /// The second half of [`write`](Self::write).
    pub(super) fn set_number(&mut self, word: usize, number: i64) {
        let [own, ..] = slots(&self.0, word);
        // After the place: pairs with the load in `read`.
        own.store(number as u64, Ordering::Release);
    }

    pub(super) fn set_version(&mut self, word: usize, now: u64) {
        let [_, _, _, version] = slots(&self.0, word);
        // After the number, as above.
        version.store(now, Ordering::Release);
    }
}

impl WordReader {
    /// How many numbers of a word were written so far, or fewer.
    #[inline]
    pub fn version(&self, word: usize) -> u64 {
        let [_, _, _, version] = slots(&self.0, word);
        version.load(Ordering::Relaxed)
    }

    /// The newest number of a word, and whether it holds for what was consumed of `lane`.
    #[inline]
    pub fn read(&self, word: usize, lane: &Consumer) -> Word {
        let [number, place, beside, version] = slots(&self.0, word);
        // Before the number: pairs with the store in `set_number`.
        let version = version.load(Ordering::Acquire);
        // Before the place: pairs with the store in `set_number`.
        let number = number.load(Ordering::Acquire) as i64;
        let holds = lane.bytes_consumed() >= place.load(Ordering::Relaxed);
        Word { number, holds, beside: beside.load(Ordering::Relaxed), version }
    }
}
