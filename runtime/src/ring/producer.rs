//! The writing end of a ring.
//!
//! Owns the tail and the unpublished batch. Promises that nothing of a batch is seen before
//! [`Producer::publish`] and all of it after. It must never wait for the consumer.

use std::cell::Cell;
use std::marker::PhantomData;

use super::cursor::{FRAME_LENGTH_BYTES, PAD, Placement, align, frame_bytes_max};
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
    /// Lines before it were taken from the consumer's cache by `publish_own_lines`.
    owned: u64,
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
            head: 0,
            reserved_start: 0,
            reserved_bytes: 0,
            first_word: 0,
            first_at: 0,
            owned: 0,
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
        assert!(bytes >= FRAME_LENGTH_BYTES, "a frame holds at least its length word");
        assert!(bytes <= self.frame_bytes_max(), "a frame is at most a quarter of its ring");
        let place = Placement::behind(self.tail, bytes, self.capacity);
        if !place.fits(self.head, self.capacity) && !self.try_reserve_fits_now(&place) {
            self.reserved_bytes = 0;
            return None;
        }
        self.reserved_start = place.start;
        self.reserved_bytes = place.bytes;
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
        let end = start + align(u64::from(bytes));
        if start != self.tail {
            self.commit_word(self.tail, PAD);
        }
        self.commit_word(start, bytes);
        self.tail = end;
    }

    /// Adds a frame of `bytes` in total to the unpublished batch and returns its room, as
    /// [`Producer::try_reserve`] and [`Producer::commit`] do in two steps. Fill it before
    /// [`Producer::publish`]: what is not filled keeps its old content.
    ///
    /// # Panics
    /// As [`Producer::try_reserve`].
    #[inline]
    pub fn try_append(&mut self, bytes: usize) -> Option<&mut [u8]> {
        assert!(bytes >= FRAME_LENGTH_BYTES, "a frame holds at least its length word");
        assert!(bytes <= self.frame_bytes_max(), "a frame is at most a quarter of its ring");
        let place = Placement::behind(self.tail, bytes, self.capacity);
        if !place.fits(self.head, self.capacity) && !self.try_reserve_fits_now(&place) {
            return None;
        }
        if place.start != self.tail {
            self.commit_word(self.tail, PAD);
        }
        self.commit_word(place.start, place.bytes);
        self.tail = place.end;
        if place.end + OWN_NEAR_BYTES > self.owned {
            self.own_far_lines();
        }
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
        self.memory.store_length(self.tail, 0);
        self.memory.publish_length(self.first_at, word);
        if self.reserved_bytes == 0 {
            self.publish_own_lines();
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

    /// Takes lines that will be written soon away from the consumer's cache, which still has them
    /// from the lap before, by zeroing one word of each. They are free: behind the tail, and given
    /// back.
    ///
    /// Stores become visible in order, so a line that is still elsewhere holds up all stores behind
    /// it, and a frame's many stores leave room in the store queue for few lines at a time. A run
    /// of single stores lets all their transfers overlap: streams are 2 to 3 times as fast. The
    /// nearest lines are taken each time, for the zero behind the next frame: a round trip between
    /// distant cores costs 1.05 instead of 1.5 of the bare one. Hints for prefetching did nothing.
    #[inline]
    fn publish_own_lines(&mut self) {
        let free_end = (self.head + self.capacity) & !(LINE_BYTES - 1);
        let next_line = (self.tail & !(LINE_BYTES - 1)) + LINE_BYTES;
        let near_end = (next_line + OWN_NEAR_BYTES).min(free_end);
        let mut line = next_line;
        while line < near_end {
            self.memory.store_length(line, 0);
            line += LINE_BYTES;
        }
        self.own_far_lines();
    }

    /// A batch may be longer than the lines taken when the last one was published: then more are
    /// taken on the way.
    #[inline]
    fn own_far_lines(&mut self) {
        let free_end = (self.head + self.capacity) & !(LINE_BYTES - 1);
        let next_line = (self.tail & !(LINE_BYTES - 1)) + LINE_BYTES;
        let far_end = (next_line + OWN_FAR_BYTES).min(free_end);
        let mut line = self.owned.max(next_line);
        while line < far_end {
            self.memory.store_length(line, 0);
            line += LINE_BYTES;
        }
        self.owned = line;
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

    /// The last known head says "full": asks the consumer's cache line. Acquire pairs with the
    /// consumer's release and orders our writes behind its last reads.
    #[cold]
    #[inline(never)]
    fn try_reserve_fits_now(&mut self, place: &Placement) -> bool {
        self.head = self.shared_head.load(Ordering::Acquire);
        place.fits(self.head, self.capacity)
    }
}

const LINE_BYTES: u64 = 64;
/// The next frame and the word behind it, if it has up to two lines; readers that fetch ahead may
/// have taken them back.
const OWN_NEAR_BYTES: u64 = 2 * LINE_BYTES;
/// As many lines as a store queue holds. A fifth more gains nothing, the double loses all.
const OWN_FAR_BYTES: u64 = 64 * LINE_BYTES;
