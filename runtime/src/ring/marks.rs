//! Marks: one place in each lane, told beside the lane.
//!
//! A lane's sender marks the place that it has reached; its receiver stops there when it comes to
//! it. The mark lies in a word beside the ring instead of a frame in it: a full ring cannot hold
//! it up, and of several the newest wins, so none can pile up.
//!
//! ```text
//!   one word per level, those of eight levels in one cache line:
//!   │ epoch (32 bits) │ place, in units of eight bytes, modulo 2^32 │
//! ```
//!
//! Promises: whoever sees a frame that was published behind a mark sees the mark, too, because the
//! mark was stored before. Costs one load of a line that stays in the receiver's cache until the
//! sender marks again. Must never be asked before the frames that it is asked for were seen.

use std::array::from_fn;

use super::consumer::Consumer;
use super::cursor::FRAME_ALIGN_BYTES;
use super::producer::Producer;
use super::sync::{Arc, AtomicU64, CachePadded, Ordering};

/// The marks of all lanes from one core to another: the sender's end.
pub struct MarkWriter(Arc<Words>);

/// The marks of all lanes from one core to another: the receiver's end.
pub struct MarkReader(Arc<Words>);

type Words = [CachePadded<[AtomicU64; LEVELS_PER_LINE]>];

/// Words of eight bytes in a line.
const LEVELS_PER_LINE: usize = 8;

/// A mark as its receiver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What the sender marked; 0 before it ever did.
    pub epoch: u32,
    /// The place: bytes of the ring before it, as [`Consumer::bytes_consumed`] counts.
    pub at: u64,
}

/// Both ends of the marks of `levels` lanes.
// cold: at start
pub fn marks(levels: usize) -> (MarkWriter, MarkReader) {
    let line = |_| CachePadded::new(from_fn(|_| AtomicU64::new(0)));
    let words: Arc<Words> = (0..levels.div_ceil(LEVELS_PER_LINE)).map(line).collect();
    (MarkWriter(words.clone()), MarkReader(words))
}

fn word(words: &Words, level: usize) -> &AtomicU64 {
    &words[level / LEVELS_PER_LINE][level % LEVELS_PER_LINE]
}

impl MarkWriter {
    /// Marks the place behind everything that was committed to `lane`, the one of `level`.
    ///
    /// # Panics
    /// Something is not published: it would lie before a mark that can be seen first.
    pub fn mark(&mut self, level: usize, lane: &Producer, epoch: u32) {
        assert!(!lane.has_unpublished(), "a place is marked behind what was published");
        let place = lane.bytes_committed() / FRAME_ALIGN_BYTES as u64;
        let mark = u64::from(epoch) << 32 | (place & u64::from(u32::MAX));
        // Before whatever is published later: pairs with the load in `epoch` and `read`.
        word(&self.0, level).store(mark, Ordering::Release);
    }
}

impl MarkReader {
    /// The newest epoch that was marked in the lane of `level`. Ask behind having seen a frame to
    /// know whether it may lie behind a mark.
    #[inline(always)]
    pub fn epoch(&self, level: usize) -> u32 {
        (word(&self.0, level).load(Ordering::Acquire) >> 32) as u32
    }

    /// The newest mark of `lane`, the one of `level`. Its place is right as long as the receiver
    /// has not consumed anything behind it.
    pub fn read(&self, level: usize, lane: &Consumer) -> Mark {
        let mark = word(&self.0, level).load(Ordering::Acquire);
        let head = lane.bytes_consumed();
        // A ring is far smaller than 2^32 units, so the difference is the true one.
        let ahead = (mark as u32).wrapping_sub((head / FRAME_ALIGN_BYTES as u64) as u32);
        let at = head + u64::from(ahead) * FRAME_ALIGN_BYTES as u64;
        Mark { epoch: (mark >> 32) as u32, at }
    }
}
