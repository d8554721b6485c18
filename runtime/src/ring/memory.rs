//! The bytes of a ring, and all its unsafe code.
//!
//! Owns one zeroed, page-aligned allocation. Promises nothing about which end may touch which byte:
//! that is decided by the cursors of the two ends, and each block below names the one it relies
//! on. It must never do arithmetic beyond finding an offset.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use super::cursor::{FRAME_ALIGN_BYTES, FRAME_LENGTH_BYTES, Placement};

pub(super) struct RingMemory {
    base: NonNull<u8>,
    /// Power of two.
    capacity: usize,
}

// SAFETY: the memory is plain bytes without a tie to a thread. `Producer` and `Consumer` are its
// only users, one of each, and keep to disjoint parts of it as the blocks below explain.
unsafe impl Send for RingMemory {}
// SAFETY: as above; length words, the only bytes that both sides touch at once, are atomic.
unsafe impl Sync for RingMemory {}

impl RingMemory {
    /// `capacity` is a power of two, a page or more, as `ring` asserts.
    pub(super) fn allocate(capacity: usize) -> Self {
        let layout = layout(capacity);
        // SAFETY: `ring` asserts that the capacity, hence the layout's size, is not zero.
        let base = unsafe { alloc_zeroed(layout) };
        let Some(base) = NonNull::new(base) else { handle_alloc_error(layout) };
        for offset in (0..capacity).step_by(PAGE_BYTES) {
            // SAFETY: the offset is below the capacity of the allocation, which no other code knows
            // yet. Volatile, because the compiler may drop a plain store of zero to zeroed memory.
            unsafe { base.as_ptr().add(offset).write_volatile(0) };
        }
        Self { base, capacity }
    }

    pub(super) fn capacity(&self) -> u64 {
        self.capacity as u64
    }

    /// The length word at a position, with acquire order: pairs with `publish_length`.
    #[inline]
    pub(super) fn load_length(&self, at: u64) -> u32 {
        u32::from_le(self.length_word(at).load(Ordering::Acquire))
    }

    /// Writes a length word that a later `publish_length` makes visible.
    #[inline]
    pub(super) fn store_length(&self, at: u64, length: u32) {
        self.length_word(at).store(length.to_le(), Ordering::Relaxed);
    }

    /// Writes a length word and makes everything before it visible: pairs with `load_length`.
    #[inline]
    pub(super) fn publish_length(&self, at: u64, length: u32) {
        self.length_word(at).store(length.to_le(), Ordering::Release);
    }

    /// The bytes of a frame, or of a run of frames, that the producer may fill: all behind the
    /// first length word.
    ///
    /// Only `Producer` calls this, with a placement that fits, and lends the slice out under its
    /// own `&mut self`, so at most one such slice exists.
    #[inline]
    #[allow(clippy::mut_from_ref)]
    pub(super) fn body_mut(&self, place: &Placement) -> &mut [u8] {
        let offset = self.offset(place.start) + FRAME_LENGTH_BYTES;
        let bytes = place.bytes as usize - FRAME_LENGTH_BYTES;
        debug_assert!(offset + bytes <= self.capacity);
        // SAFETY: `Producer` keeps the range inside one lap, so inside the allocation, and before
        // its limit, so the consumer has given these bytes back and will not read them until they
        // are published; `Producer` publishes through `&mut self` only, when the slice is gone. The
        // first length word, which the consumer polls, is not part of the slice; the others of a
        // run are, and `Producer` writes them when the slice is gone.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(offset), bytes) }
    }

    /// A whole published frame of `bytes`, its length word included.
    ///
    /// Only `Consumer` calls this, for a frame whose length it has loaded, and lends the slice out
    /// under `&self`; giving the bytes back needs `&mut self`.
    #[inline]
    pub(super) fn frame(&self, start: u64, bytes: u32) -> &[u8] {
        let offset = self.offset(start);
        debug_assert!(offset + bytes as usize <= self.capacity);
        // SAFETY: `Position` values only come from the consumer's own walk, so `start` is a
        // frame's start and `bytes` the length that `Producer` committed for a placement inside
        // one lap. The acquire load of the length ordered this after the writing, and the
        // producer does not write here again before the head has passed the frame.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(offset), bytes as usize) }
    }

    /// Prefetches the line at a position that will be read soon. A hint: it reads nothing.
    #[inline]
    pub(super) fn prefetch(&self, at: u64) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: PREFETCHT0 faults on no address (Intel SDM, PREFETCHh); this one is inside.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.base.as_ptr().add(self.offset(at)).cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }

    #[inline]
    fn length_word(&self, at: u64) -> &AtomicU32 {
        debug_assert!(at.is_multiple_of(FRAME_ALIGN_BYTES as u64));
        let offset = self.offset(at) & !(FRAME_ALIGN_BYTES - 1);
        // SAFETY: masked and aligned, the offset names four bytes inside the allocation, zeroed at
        // first. No mutable slice over them exists while they are used: `body_mut` leaves out the
        // word that the consumer asks for, and `Producer` uses the others when its slice is gone.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(offset).cast()) }
    }

    #[inline]
    fn offset(&self, at: u64) -> usize {
        at as usize & (self.capacity - 1)
    }
}

impl Drop for RingMemory {
    fn drop(&mut self) {
        // SAFETY: allocated in `allocate` with this layout; both ends are gone, as each holds a
        // count on this value.
        unsafe { dealloc(self.base.as_ptr(), layout(self.capacity)) };
    }
}

fn layout(capacity: usize) -> Layout {
    Layout::from_size_align(capacity, PAGE_BYTES).expect("ring() limits the capacity to 2^30")
}

const PAGE_BYTES: usize = 4096;
