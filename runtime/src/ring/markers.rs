//! Markers: one position in each lane, published beside the lane.
//!
//! A lane's sender marks the position that it has reached; its receiver stops there when it comes
//! to it. The marker lies in a word beside the ring instead of a frame in it: a full ring cannot
//! delay it, and of several the newest wins, so none can pile up.
//!
//! ```text
//!   one word per level, those of eight levels in one cache line:
//!   │ epoch (32 bits) │ position, in units of eight bytes, modulo 2^32 │
//! ```
//!
//! Promises: a receiver that sees a frame which was published after a marker sees the marker, too,
//! because it was stored before. Costs one load of a line that stays in the receiver's cache until
//! the sender marks again. Must never be read before the frames that it is read for were seen.

use std::array::from_fn;

use super::consumer::Consumer;
use super::cursor::FRAME_ALIGN_BYTES;
use super::producer::Producer;
use super::sync::{Arc, AtomicU64, CachePadded, Ordering};

/// The markers of all lanes from one core to another: the sender's end.
pub struct MarkerWriter(Arc<Words>);

/// The markers of all lanes from one core to another: the receiver's end.
pub struct MarkerReader(Arc<Words>);

type Words = [CachePadded<[AtomicU64; LEVELS_PER_LINE]>];

/// Words of eight bytes in a line.
const LEVELS_PER_LINE: usize = 8;

/// A marker as its receiver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// What the sender marked; 0 before it ever did.
    pub epoch: u32,
    /// The position: bytes of the ring before it, as [`Consumer::bytes_consumed`] counts.
    pub at: u64,
}

/// Both ends of the markers of `levels` lanes.
// cold: at start
pub fn markers(levels: usize) -> (MarkerWriter, MarkerReader) {
    let line = |_| CachePadded::new(from_fn(|_| AtomicU64::new(0)));
    let words: Arc<Words> = (0..levels.div_ceil(LEVELS_PER_LINE)).map(line).collect();
    (MarkerWriter(words.clone()), MarkerReader(words))
}

fn word(words: &Words, level: usize) -> &AtomicU64 {
    &words[level / LEVELS_PER_LINE][level % LEVELS_PER_LINE]
}

impl MarkerWriter {
    /// Marks the position after everything that was committed to `lane`, the one of `level`.
    ///
    /// # Panics
    /// Something is not published: it would lie before a marker that can be seen first.
    pub fn mark(&mut self, level: usize, lane: &Producer, epoch: u32) {
        assert!(!lane.has_unpublished(), "a position is marked after everything was published");
        let at = lane.bytes_committed() / FRAME_ALIGN_BYTES as u64;
        let marker = u64::from(epoch) << 32 | (at & u64::from(u32::MAX));
        // Before whatever is published later: pairs with the load in `epoch` and `read`.
        word(&self.0, level).store(marker, Ordering::Release);
    }
}

impl MarkerReader {
    /// The newest epoch that was marked in the lane of `level`. Read it after a frame was seen, to
    /// know whether the frame may follow a marker.
    #[inline(always)]
    pub fn epoch(&self, level: usize) -> u32 {
        (word(&self.0, level).load(Ordering::Acquire) >> 32) as u32
    }

    /// The newest marker of `lane`, the one of `level`. Its position is right as long as the
    /// receiver has not consumed anything after it.
    pub fn read(&self, level: usize, lane: &Consumer) -> Marker {
        let marker = word(&self.0, level).load(Ordering::Acquire);
        let head = lane.bytes_consumed();
        // A ring is far smaller than 2^32 units, so the difference is the true one.
        let ahead = (marker as u32).wrapping_sub((head / FRAME_ALIGN_BYTES as u64) as u32);
        let at = head + u64::from(ahead) * FRAME_ALIGN_BYTES as u64;
        Marker { epoch: (marker >> 32) as u32, at }
    }
}
