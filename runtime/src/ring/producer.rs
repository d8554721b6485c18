//! The writing end of a ring.
//!
//! Owns the tail and the unpublished batch. Promises that nothing of a batch is seen before
//! [`Producer::publish`] and all of it after. It must never wait for the consumer.

use std::cell::Cell;
use std::marker::PhantomData;

use super::cursor::{FRAME_LENGTH_BYTES, PAD, Placement, frame_bytes_max};
use super::memory::Memory;
use super::sync::{Arc, AtomicU64, CachePadded, Ordering};

/// Writes frames. One per ring: it may move to another thread but is never shared.
pub struct Producer {
    memory: Arc<Memory>,
    /// Written by the consumer, read here.
    shared_head: Arc<CachePadded<AtomicU64>>,
    /// Bytes of the ring; a power of two.
    capacity: u64,
    /// Where the next frame is placed; the word there is zero.
    tail: u64,
    /// Last known value of the shared head.
    head: u64,
    reserved: Option<Placement>,
    /// Position and word of the first frame or marker of the unpublished batch.
    first: Option<(u64, u32)>,
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
            reserved: None,
            first: None,
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
            self.reserved = None;
            return None;
        }
        self.reserved = Some(place);
        Some(self.memory.body_mut(&place))
    }

    /// Adds the reserved frame to the unpublished batch.
    ///
    /// # Panics
    /// If nothing is reserved.
    #[inline]
    pub fn commit(&mut self) {
        let place = self.reserved.take().expect("commit follows a reservation");
        if place.start != self.tail {
            self.commit_word(self.tail, PAD);
        }
        // Before the frame's own word: whoever sees that one must find the end behind it.
        self.memory.store_length(place.end, 0);
        self.commit_word(place.start, place.bytes);
        self.tail = place.end;
    }

    /// Makes everything committed visible at once. Returns whether there was something.
    #[inline]
    pub fn publish(&mut self) -> bool {
        let Some((at, word)) = self.first.take() else { return false };
        self.memory.publish_length(at, word);
        true
    }

    /// Whether something is committed that no [`Producer::publish`] has made visible.
    #[inline]
    pub fn has_unpublished(&self) -> bool {
        self.first.is_some()
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

    #[inline]
    fn commit_word(&mut self, at: u64, word: u32) {
        if self.first.is_none() {
            self.first = Some((at, word));
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
