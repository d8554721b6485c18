//! The writing end of a ring.
//!
//! Owns the tail and the unpublished batch. Promises that nothing of a batch is seen before
//! [`Producer::publish`] and all of it after. It must never wait for the consumer.

use std::cell::Cell;
use std::marker::PhantomData;

use super::ahead::{Ahead, LINE_BYTES};
use super::cursor::{
    FRAME_ALIGN_BYTES, FRAME_LENGTH_BYTES, PAD, Placement, align, frame_bytes_max, next_lap,
};
use super::memory::RingMemory;
use super::sync::{Arc, AtomicU64, CachePadded, Ordering};

/// Writes frames. One per ring: it may move to another thread but is never shared.
pub struct Producer {
    memory: Arc<RingMemory>,
    /// Written by the consumer, read here.
    shared_head: Arc<CachePadded<AtomicU64>>,
    /// Bytes of the ring; a power of two.
    capacity: u64,
    /// Where the next frame is placed; the word there is zero unless a batch is begun.
    tail: u64,
    /// A frame that starts at the tail fits if it ends at or before `limit`, the smaller of cached
    /// head + capacity and the end of the lap. One comparison for both keeps the way from one tail
    /// to the next short.
    limit: u64,
    /// Last known value of the shared head.
    head: u64,
    /// Word of the first frame or marker of the unpublished batch; zero if the batch is empty.
    /// Plain numbers, here and below: as an `Option` of a structure they are written in parts and
    /// read as a whole, which stalls for 5 ns each time.
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
    pub(super) fn new(
        memory: Arc<RingMemory>,
        shared_head: Arc<CachePadded<AtomicU64>>,
        ahead: Ahead,
    ) -> Self {
        let capacity = memory.capacity();
        Self {
            memory,
            shared_head,
            capacity,
            tail: 0,
            limit: 0,
            head: 0,
            first_word: 0,
            first_at: 0,
            owned: 0,
            own_bytes: ahead.bytes(),
            own_again: u64::MAX,
            one_thread: PhantomData,
        }
    }

    /// Adds a frame of `bytes` in total to the unpublished batch and returns its room: **everything
    /// after the length word**, so `bytes - FRAME_LENGTH_BYTES` bytes. Fill it before
    /// [`Producer::publish`]: what is not filled keeps its old content.
    ///
    /// The length word is left out because the consumer polls it: writing the length into the
    /// first frame of a batch would publish that frame unfinished.
    ///
    /// `None` means that the ring is full now.
    ///
    /// # Panics
    /// If `bytes` is below [`FRAME_LENGTH_BYTES`] or above [`Producer::frame_bytes_max`].
    #[inline]
    pub fn try_append(&mut self, bytes: usize) -> Option<&mut [u8]> {
        let place = self.place(bytes)?;
        self.commit_place(&place);
        Some(self.memory.body_mut(&place))
    }

    /// Adds up to `count` frames of `bytes` each to the unpublished batch, as many as lie side by
    /// side without a gap. `fill` gets how many there are, at least one, and their room: all from
    /// after the first length word to the end of the last frame. The length words in between are
    /// written after it. Returns how many there were; 0 means that the ring is full now.
    ///
    /// # Panics
    /// If `count` is 0, or as [`Producer::try_append`].
    #[inline]
    pub fn append_run(
        &mut self,
        bytes: usize,
        count: usize,
        fill: impl FnOnce(usize, &mut [u8]),
    ) -> usize {
        assert!(count > 0, "a run has frames");
        let Some(first) = self.place(bytes) else { return 0 };
        let stride = first.end - first.start;
        let with_room = 1 + (self.limit - first.end) / stride;
        // A run ends where more lines are taken ahead.
        let with_lines = 1 + self.own_again.saturating_sub(first.end).div_ceil(stride);
        let frames = with_room.min(with_lines).min(count as u64);
        let (start, end) = (first.start, first.start + frames * stride);
        let run_bytes = (frames - 1) * stride + bytes as u64;
        fill(
            frames as usize,
            self.memory.body_mut(&Placement { start, end, bytes: run_bytes as u32 }),
        );
        for at in (first.end..end).step_by(stride as usize) {
            self.memory.store_length(at, first.bytes);
        }
        self.commit_place(&Placement { end, ..first });
        frames as usize
    }

    /// Makes everything committed visible at once. Returns whether there was something.
    #[inline]
    pub fn publish(&mut self) -> bool {
        let word = std::mem::take(&mut self.first_word);
        if word == 0 {
            return false;
        }
        // Before the first word: a consumer that sees that one must find the end of the batch.
        // At the start of an owned line it stands there already: a store to a line that the
        // consumer has would hold up the one that publishes (300 instead of 430 ns for a round trip
        // between distant cores, where a bare line takes 285).
        if !self.tail.is_multiple_of(LINE_BYTES) || self.tail >= self.owned {
            self.memory.store_length(self.tail, 0);
        }
        self.memory.publish_length(self.first_at, word);
        self.own_lines();
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
            // Acquire pairs with the consumer's release: our writes come after its last reads.
            self.head = self.shared_head.load(Ordering::Acquire);
            if !place.fits(self.head, self.capacity) {
                return None;
            }
        }
        let free_end = self.head + self.capacity - FRAME_ALIGN_BYTES as u64;
        self.limit = free_end.min(next_lap(place.start, self.capacity));
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
        if self.own_bytes > OWN_AGAIN_BYTES {
            self.own_again = line.saturating_sub(OWN_AGAIN_BYTES);
        }
    }
}

/// With fewer bytes than these owned, a batch under way takes more.
const OWN_AGAIN_BYTES: u64 = Ahead::Near.bytes();
