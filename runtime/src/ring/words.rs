//! Words: numbers that rise, published beside the lanes from one core to another, each with the
//! place in one of the lanes from which on it holds.
//!
//! What a sender has to say about everything that it has sent, and that is worth no frame: a full
//! lane cannot delay it, of several the newest counts, and nothing piles up.
//!
//! ```text
//!   two words in one cache line:
//!   │ number i64 │ place u64 │ entered u64 │ - │ number i64 │ place u64 │ entered u64 │ - │
//! ```
//!
//! Promises: a number is taken only when everything that was published before it is consumed. The
//! place is stored before its number and read after it, so the place that is read is that of the
//! number or a later one, which only means later. Costs one load of a line that stays in the
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

/// Each takes half of a line, of which a quarter is left.
const WORDS_PER_LINE: usize = 2;

/// A word as its receiver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// The newest number; the least one before any was written.
    pub number: i64,
    /// Everything that was published before it is consumed: it may be taken.
    pub holds: bool,
    /// When what raised it entered, in nanoseconds of the machine's clock; that of a newer number
    /// now and then.
    pub entered: u64,
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

/// Number, place and time of entry of a word.
fn slots(lines: &Lines, word: usize) -> [&AtomicU64; 3] {
    let line = &lines[word / WORDS_PER_LINE];
    let first = word % WORDS_PER_LINE * 4;
    [&line[first], &line[first + 1], &line[first + 2]]
}

impl WordWriter {
    /// Writes `number`, which holds after everything that was committed to `lane`, and when what
    /// raised it entered.
    ///
    /// # Panics
    /// Something in the lane is not published.
    pub fn write(&mut self, word: usize, lane: &Producer, number: i64, entered: u64) {
        self.set_place(word, lane, entered);
        self.set_number(word, number);
    }

    /// The first half of [`write`](Self::write).
    pub(super) fn set_place(&mut self, word: usize, lane: &Producer, entered: u64) {
        assert!(!lane.has_unpublished(), "a word is written after everything was published");
        let [_, place, at] = slots(&self.0, word);
        // The store of the number orders both.
        place.store(lane.bytes_committed(), Ordering::Relaxed);
        at.store(entered, Ordering::Relaxed);
    }

    /// The second half of [`write`](Self::write).
    pub(super) fn set_number(&mut self, word: usize, number: i64) {
        let [own, ..] = slots(&self.0, word);
        // After the place: pairs with the load in `read`.
        own.store(number as u64, Ordering::Release);
    }
}

impl WordReader {
    /// The newest number of a word, and whether it holds for what was consumed of `lane`.
    #[inline]
    pub fn read(&self, word: usize, lane: &Consumer) -> Word {
        let [number, place, entered] = slots(&self.0, word);
        // Before the place: pairs with the store in `set_number`.
        let number = number.load(Ordering::Acquire) as i64;
        let holds = lane.bytes_consumed() >= place.load(Ordering::Relaxed);
        Word { number, holds, entered: entered.load(Ordering::Relaxed) }
    }
}
