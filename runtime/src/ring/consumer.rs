//! The reading end of a ring.
//!
//! Owns the head. Promises that a frame once seen stays unchanged until it is given back, and
//! that a consumer that drains a ring gives back all of it, so a producer that waits for room gets
//! it. It must never write to the ring's memory.

use std::cell::Cell;
use std::marker::PhantomData;

use super::cursor::{FrameRun, PAD, Position, align, frame_bytes_max, next_lap};
use super::memory::RingMemory;
use super::sync::{Arc, AtomicU64, CachePadded, Ordering};

/// Reads frames. One per ring: it may move to another thread but is never shared.
pub struct Consumer {
    memory: Arc<RingMemory>,
    /// Written here, read by the producer when it finds the ring full.
    shared_head: Arc<CachePadded<AtomicU64>>,
    /// Bytes of the ring; a power of two.
    capacity: u64,
    /// Everything before it is consumed.
    head: u64,
    /// What the shared head says; never above `head`.
    released: Cell<u64>,
    /// The head at the last return that was announced; never above `released`.
    announced: u64,
    /// Length of the frame seen last, and the bytes from its start to the next one's.
    usual: Cell<(u32, u64)>,
    /// Number of the ring within the process, so that positions are not mixed up.
    ring: u64,
    /// Takes away `Sync`.
    one_thread: PhantomData<Cell<()>>,
}

impl Consumer {
    pub(super) fn new(
        memory: Arc<RingMemory>,
        shared_head: Arc<CachePadded<AtomicU64>>,
        ring: u64,
    ) -> Self {
        let capacity = memory.capacity();
        Self {
            memory,
            shared_head,
            capacity,
            head: 0,
            released: Cell::new(0),
            announced: 0,
            usual: Cell::new((0, 0)),
            ring,
            one_thread: PhantomData,
        }
    }

    /// The position of the oldest frame that is not consumed, or where it will appear.
    #[inline]
    pub fn head(&self) -> Position {
        Position { ring: self.ring, at: self.head }
    }

    /// The frame at `position`, its length word included, and the position after it. `None` if
    /// no frame is published there yet.
    ///
    /// Start at [`Consumer::head`] and go on with what is returned. Several frames may be held at
    /// once; they stay until [`Consumer::consume_to`].
    ///
    /// # Panics
    /// If the position belongs to another ring or lies before the head.
    #[inline]
    pub fn frame_at(&self, position: Position) -> Option<(&[u8], Position)> {
        self.check(position);
        let mut start = position.at;
        let mut word = self.memory.load_length(start);
        if word == PAD {
            start = next_lap(start, self.capacity);
            // Never zero: a marker is published together with the frame behind it.
            word = self.memory.load_length(start);
        }
        if word == 0 {
            self.release_drained();
            return None;
        }
        self.memory.prefetch(start + AHEAD_BYTES);
        let next = Position { ring: self.ring, at: start + self.stride(word) };
        Some((self.memory.frame(start, word), next))
    }

    /// The frames from `position` on that lie side by side, as many as `bytes_max` bytes hold:
    /// what is passed on as it lies. `None` if no frame is published there, or it is longer.
    ///
    /// # Panics
    /// As [`Consumer::frame_at`].
    pub fn run_at(&self, position: Position, bytes_max: u64) -> Option<FrameRun> {
        let (frame, next) = self.frame_at(position)?;
        let start = next.at - align(frame.len() as u64);
        let lap_end = next_lap(start, self.capacity);
        let most = lap_end.min(start + bytes_max);
        let mut end = next.at;
        if end > most {
            return None;
        }
        while end < most {
            let word = self.memory.load_length(end);
            let next = end + self.stride(word);
            if word == 0 || word == PAD || next > most {
                break;
            }
            end = next;
        }
        Some(FrameRun { ring: self.ring, start, end })
    }

    /// The bytes of frames that [`Consumer::run_at`] found.
    ///
    /// # Panics
    /// If they are of another ring, or were given back.
    pub fn run(&self, run: &FrameRun) -> &[u8] {
        self.check(Position { ring: run.ring, at: run.start });
        self.memory.frame(run.start, run.bytes() as u32)
    }

    /// Longest frame in bytes: a quarter of the capacity.
    pub fn frame_bytes_max(&self) -> usize {
        frame_bytes_max(self.capacity)
    }

    /// Gives back everything before `position`. Returns whether the producer can know of it now:
    /// one that waits for room, and looks no more by itself, is to be woken then.
    ///
    /// The returns that are announced are enough for that: a frame that does not fit, a quarter of
    /// the capacity at most, leaves about half of it to be given back, and all that is not
    /// announced together is less than an eighth: what a look that finds nothing gives back stays
    /// to be announced.
    ///
    /// The producer can see it when an eighth of the capacity has gathered, or when the next look
    /// finds nothing to read: otherwise it might wait for room for ever. (A look here would delay
    /// an answer until the next frame's line has come from the producer's cache.)
    ///
    /// # Panics
    /// If the position belongs to another ring or lies before the head.
    #[inline]
    pub fn consume_to(&mut self, position: Position) -> bool {
        self.check(position);
        self.head = position.at;
        let due = self.head - self.announced >= self.capacity / RELEASES_PER_LAP;
        if due {
            self.announced = self.head;
            self.release();
        }
        due
    }

    /// Whether no frame is published at the head. Costs one load of a line that stays in this
    /// core's cache until the producer writes it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        let empty = self.memory.load_length(self.head) == 0;
        if empty {
            self.release_drained();
        }
        empty
    }

    /// Bytes given back so far by [`Consumer::consume_to`], unused ends of laps included.
    #[inline]
    pub fn bytes_consumed(&self) -> u64 {
        self.head
    }

    /// Bytes from a frame's start to the next one's.
    ///
    /// Most frames are as long as the one before. Guessing so makes the next address known before
    /// this length has come from the other core; a walk from length to length waits for each.
    #[inline]
    fn stride(&self, word: u32) -> u64 {
        let (usual, stride) = self.usual.get();
        if word == usual { stride } else { self.change_usual(word) }
    }

    #[cold]
    #[inline(never)]
    fn change_usual(&self, word: u32) -> u64 {
        let stride = align(u64::from(word));
        self.usual.set((word, stride));
        stride
    }

    #[inline]
    fn release_drained(&self) {
        if self.released.get() != self.head {
            self.release();
        }
    }

    #[inline]
    fn release(&self) {
        self.released.set(self.head);
        // Pairs with the producer's acquire load: our reads come before its writes.
        self.shared_head.store(self.head, Ordering::Release);
    }

    /// A position is only made by this type, so one of this ring at or behind the head is the
    /// start of a frame; anything else must not be read.
    #[inline]
    fn check(&self, position: Position) {
        assert!(position.ring == self.ring, "the position belongs to another ring");
        assert!(position.at >= self.head, "the position is consumed already");
    }
}

/// Gives back in eighths: rarely enough to keep the shared head's line quiet, often enough that
/// the producer does not see the ring as full while most of it is free.
const RELEASES_PER_LAP: u64 = 8;

/// How far ahead of the frame at hand lines are asked for: a few transfers between cores.
const AHEAD_BYTES: u64 = 1024;
