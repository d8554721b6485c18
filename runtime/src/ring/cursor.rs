//! The arithmetic of the ring: where a frame goes, whether it fits, what lies behind it.
//!
//! Owns positions, which count bytes since the ring was made and never wrap in practice (2^64
//! bytes). Promises that a placement is contiguous, aligned and leaves the free word behind the
//! tail. It must never touch memory.

/// Frames start at multiples of this.
pub const FRAME_ALIGN_BYTES: usize = 8;
/// The length word at the start of each frame, which belongs to the ring.
pub const FRAME_LENGTH_BYTES: usize = 4;

/// In place of a length: the rest of this lap is not used, go on at its end.
pub(super) const PAD: u32 = u32::MAX;

/// A place in the stream of one ring, at which a frame starts or will start.
///
/// Opaque, because a place that is no frame's start must not be read. It is good until the
/// consumer gives back what lies behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub(super) ring: u64,
    pub(super) at: u64,
}

impl Position {
    /// Bytes from `earlier` to this position, unused ends of laps included.
    #[inline]
    pub const fn bytes_since(self, earlier: Self) -> u64 {
        self.at.saturating_sub(earlier.at)
    }
}

/// Frames of one ring that lie side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRun {
    pub(super) ring: u64,
    pub(super) start: u64,
    pub(super) end: u64,
}

impl FrameRun {
    /// Bytes of all of them, with what fills the last one up to a multiple of eight.
    #[inline]
    pub const fn bytes(&self) -> u64 {
        self.end - self.start
    }

    /// The position after them.
    #[inline]
    pub const fn end(&self) -> Position {
        Position { ring: self.ring, at: self.end }
    }
}

/// Where one frame goes: `start..end`, where `end` is aligned and may exceed the frame's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placement {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) bytes: u32,
}

impl Placement {
    /// Places `bytes` behind `tail`, or at the next lap if this one has not enough room left.
    #[inline]
    pub(super) fn behind(tail: u64, bytes: usize, capacity: u64) -> Self {
        let stride = align(bytes as u64);
        let left = capacity - (tail & (capacity - 1));
        let start = if stride <= left { tail } else { tail + left };
        Self { start, end: start + stride, bytes: bytes as u32 }
    }

    /// Whether everything up to the end, and the word behind it, was given back by the consumer.
    #[inline]
    pub(super) fn fits(&self, head: u64, capacity: u64) -> bool {
        self.end + FRAME_ALIGN_BYTES as u64 - head <= capacity
    }
}

/// The first position of the lap after the one that holds `at`.
#[inline]
pub(super) fn next_lap(at: u64, capacity: u64) -> u64 {
    (at | (capacity - 1)) + 1
}

/// `bytes` rounded up to the alignment of frames.
#[inline]
pub(super) fn align(bytes: u64) -> u64 {
    (bytes + FRAME_ALIGN_BYTES as u64 - 1) & !(FRAME_ALIGN_BYTES as u64 - 1)
}

/// Longest frame. A quarter of the capacity: with the end of a lap wasted just below it, an empty
/// ring still has room, so a producer that waits for an empty ring always goes on.
#[inline]
pub(super) fn frame_bytes_max(capacity: u64) -> usize {
    (capacity / 4) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: u64 = 64;

    #[test]
    fn every_placement_is_aligned_contiguous_and_fits_an_empty_ring() {
        for tail in (0..4 * CAPACITY).step_by(FRAME_ALIGN_BYTES) {
            for bytes in FRAME_LENGTH_BYTES..=frame_bytes_max(CAPACITY) {
                let place = Placement::behind(tail, bytes, CAPACITY);
                assert_eq!(place.start % 8, 0);
                assert!(place.end - place.start >= bytes as u64);
                assert_eq!(place.start / CAPACITY, (place.end - 1) / CAPACITY);
                assert!(place.start == tail || place.start == next_lap(tail, CAPACITY));
                assert!(place.fits(tail, CAPACITY));
            }
        }
    }

    #[test]
    fn the_word_behind_the_tail_stays_free() {
        let place = Placement::behind(48, 16, CAPACITY);
        assert_eq!(place.end, 64);
        assert!(place.fits(8, CAPACITY));
        assert!(!place.fits(7, CAPACITY));
    }

    #[test]
    fn laps_start_at_multiples_of_the_capacity() {
        assert_eq!(next_lap(0, CAPACITY), 64);
        assert_eq!(next_lap(63, CAPACITY), 64);
        assert_eq!(next_lap(64, CAPACITY), 128);
    }
}
