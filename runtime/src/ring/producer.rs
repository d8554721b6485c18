//! The writing end of a ring.
//!
//! Owns the tail and the unpublished batch. Promises that nothing of a batch is seen before
//! [`Producer::publish`] and all of it after. It must never wait for the consumer.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::LazyLock;

use super::cursor::{
    FRAME_ALIGN_BYTES, FRAME_LENGTH_BYTES, PAD, Placement, align, frame_bytes_max, next_lap,
};
use super::memory::Memory;
use super::sync::{Arc, AtomicU64, CachePadded, Ordering};

/// Writes frames. One per ring: it may move to another thread but is never shared.
pub struct Producer {
    memory: Arc<Memory>,
    /// Written by the consumer, read here.
    shared_head: Arc<CachePadded<AtomicU64>>,
    /// Bytes of the ring; a power of two.
    capacity: u64,
    /// Where the next frame is placed; the word there is zero unless a batch is begun.
    tail: u64,
    /// A frame behind the tail that ends here or before fits: it neither reaches what the consumer
    /// still holds, by the last known head, nor the end of the lap. One comparison for both keeps
    /// the way from one tail to the next short.
    limit: u64,
    /// Last known value of the shared head.
    head: u64,
    /// Where the reserved frame starts, if there is one.
    reserved_start: u64,
    /// Its length; zero if nothing is reserved. Plain numbers, here and below: as an `Option` of a
    /// structure they are written in parts and read as a whole, which stalls for 5 ns each time.
    reserved_bytes: u32,
    /// Word of the first frame or marker of the unpublished batch; zero if the batch is empty.
    first_word: u32,
    /// Its position.
    first_at: u64,
    /// Lines from the tail to here were taken from the consumer's cache by `own_lines`: the first
    /// word of each is zero.
    owned: u64,
    /// How many bytes to own ahead of the tail.
    own_bytes: u64,
    /// A batch that gets here takes more lines.
    own_again: u64,
    /// Takes away `Sync`.
    one_thread: PhantomData<Cell<()>>,
}

impl Producer {
    pub(super) fn new(memory: Arc<Memory>, shared_head: Arc<CachePadded<AtomicU64>>) -> Self {
        let capacity = memory.capacity();
        Self {
            memory,
            shared_head,
            capacity,
            tail: 0,
            limit: 0,
            head: 0,
            reserved_start: 0,
            reserved_bytes: 0,
            first_word: 0,
            first_at: 0,
            owned: 0,
            own_bytes: *OWN_BYTES,
            own_again: u64::MAX,
            one_thread: PhantomData,
        }
    }

    /// Reserves a frame of `bytes` in total and returns the part to fill: **everything behind the
    /// length word**, so `bytes - FRAME_LENGTH_BYTES` bytes with old content.
    ///
    /// The length word is left out because the consumer polls it: writing the length into the
    /// first frame of a batch would publish that frame unfinished.
    ///
    /// `None` means that the ring is full now. Reserving again abandons what was reserved before.
    ///
    /// # Panics
    /// If `bytes` is below [`FRAME_LENGTH_BYTES`] or above [`Producer::frame_bytes_max`].
    #[inline]
    pub fn try_reserve(&mut self, bytes: usize) -> Option<&mut [u8]> {
        self.reserved_bytes = 0;
        let place = self.place(bytes)?;
        self.reserved_start = place.start;
        self.reserved_bytes = place.bytes;
        // What is written there may be abandoned: it stands where zeros were.
        self.owned = self.owned.min(place.start);
        Some(self.memory.body_mut(&place))
    }

    /// Adds the reserved frame to the unpublished batch.
    ///
    /// # Panics
    /// If nothing is reserved.
    #[inline]
    pub fn commit(&mut self) {
        let bytes = std::mem::take(&mut self.reserved_bytes);
        assert!(bytes != 0, "commit follows a reservation");
        let start = self.reserved_start;
        self.commit_place(&Placement { start, end: start + align(u64::from(bytes)), bytes });
    }

    /// Adds a frame of `bytes` in total to the unpublished batch and returns its room, as
    /// [`Producer::try_reserve`] and [`Producer::commit`] do in two steps. Fill it before
    /// [`Producer::publish`]: what is not filled keeps its old content.
    ///
    /// # Panics
    /// As [`Producer::try_reserve`].
    #[inline]
    pub fn try_append(&mut self, bytes: usize) -> Option<&mut [u8]> {
        let place = self.place(bytes)?;
        self.commit_place(&place);
        // What was reserved before would lie in this frame.
        self.reserved_bytes = 0;
        Some(self.memory.body_mut(&place))
    }

    /// Makes everything committed visible at once. Returns whether there was something.
    #[inline]
    pub fn publish(&mut self) -> bool {
        let word = std::mem::take(&mut self.first_word);
        if word == 0 {
            return false;
        }
        // Before the first word: whoever sees that one must find the end behind the last frame.
        // At the start of an owned line it stands there already: a store to a line that the
        // consumer has would hold up the one that publishes (300 instead of 430 ns for a round trip
        // between distant cores, where a bare line takes 285).
        if !self.tail.is_multiple_of(LINE_BYTES) || self.tail >= self.owned {
            self.memory.store_length(self.tail, 0);
        }
        self.memory.publish_length(self.first_at, word);
        if self.reserved_bytes == 0 {
            self.own_lines();
        }
        true
    }

    /// Whether something is committed that no [`Producer::publish`] has made visible.
    #[inline]
    pub fn has_unpublished(&self) -> bool {
        self.first_word != 0
    }

    /// Longest frame in bytes: a quarter of the capacity.
    #[inline]
    pub fn frame_bytes_max(&self) -> usize {
        frame_bytes_max(self.capacity)
    }

    /// Bytes committed so far, unused ends of laps included.
    #[inline]
    pub fn bytes_committed(&self) -> u64 {
        self.tail
    }

    /// Bytes that are committed and not known to be given back. Reads the consumer's cache line:
    /// for reports, not for each turn.
    pub fn bytes_in_use(&self) -> u64 {
        self.tail - self.shared_head.load(Ordering::Relaxed)
    }

    /// Where a frame of `bytes` goes.
    #[inline]
    fn place(&mut self, bytes: usize) -> Option<Placement> {
        assert!(bytes >= FRAME_LENGTH_BYTES, "a frame holds at least its length word");
        assert!(bytes <= self.frame_bytes_max(), "a frame is at most a quarter of its ring");
        let end = self.tail + align(bytes as u64);
        if end <= self.limit {
            return Some(Placement { start: self.tail, end, bytes: bytes as u32 });
        }
        self.place_beyond_limit(bytes)
    }

    /// The lap ends, or the last known head says "full": then the consumer's cache line is asked.
    #[cold]
    #[inline(never)]
    fn place_beyond_limit(&mut self, bytes: usize) -> Option<Placement> {
        let place = Placement::behind(self.tail, bytes, self.capacity);
        if !place.fits(self.head, self.capacity) {
            // Acquire pairs with the consumer's release: our writes come behind its last reads.
            self.head = self.shared_head.load(Ordering::Acquire);
            if !place.fits(self.head, self.capacity) {
                return None;
            }
        }
        // Of the tail's lap, not the frame's: a reservation in the next lap may be abandoned.
        let free_end = self.head + self.capacity - FRAME_ALIGN_BYTES as u64;
        self.limit = free_end.min(next_lap(self.tail, self.capacity));
        Some(place)
    }

    #[inline]
    fn commit_place(&mut self, place: &Placement) {
        if place.start != self.tail {
            self.commit_word(self.tail, PAD);
        }
        self.commit_word(place.start, place.bytes);
        self.tail = place.end;
        if place.end >= self.own_again {
            self.own_lines();
        }
    }

    #[inline]
    fn commit_word(&mut self, at: u64, word: u32) {
        if self.first_word == 0 {
            self.first_word = word;
            self.first_at = at;
        } else {
            self.memory.store_length(at, word);
        }
    }

    /// Takes lines that will be written soon away from the consumer's cache, which still has them
    /// from the lap before, by zeroing one word of each. They are free: behind the tail, and given
    /// back.
    #[inline]
    fn own_lines(&mut self) {
        let free_end = (self.head + self.capacity) & !(LINE_BYTES - 1);
        let next_line = (self.tail + LINE_BYTES - 1) & !(LINE_BYTES - 1);
        let end = (next_line + self.own_bytes).min(free_end);
        let mut line = self.owned.max(next_line);
        while line < end {
            self.memory.store_length(line, 0);
            line += LINE_BYTES;
        }
        self.owned = line;
        if self.own_bytes > OWN_NEXT_BYTES {
            self.own_again = line - OWN_NEXT_BYTES;
        }
    }
}

const LINE_BYTES: u64 = 64;

/// The line behind the next frame, if that has up to one, and the one behind it.
const OWN_NEXT_BYTES: u64 = 2 * LINE_BYTES;

/// As many lines as a store queue holds. A fifth more gains nothing, the double loses all.
const OWN_MANY_BYTES: u64 = 64 * LINE_BYTES;

/// How many bytes a producer owns ahead of its tail.
///
/// Stores become visible in order, so a line that is still elsewhere holds up all stores behind it,
/// and a frame's many stores leave room in the store queue for few lines at a time. On AMD's
/// processors a run of single stores lets all their transfers overlap: streams are 2 to 3 times as
/// fast. Intel's fetch lines for streams of stores by themselves, further ahead than such a run
/// gets, which then only holds them up: streams are 1.7 times as fast without it. (Hints for
/// prefetching gained nothing on the one and an eighth on the other.)
static OWN_BYTES: LazyLock<u64> =
    LazyLock::new(|| if is_intel() { OWN_NEXT_BYTES } else { OWN_MANY_BYTES });

#[cfg(target_arch = "x86_64")]
fn is_intel() -> bool {
    let leaf = std::arch::x86_64::__cpuid(0);
    let name = [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes);
    name.as_flattened() == b"GenuineIntel"
}

#[cfg(not(target_arch = "x86_64"))]
fn is_intel() -> bool {
    false
}
