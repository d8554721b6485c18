//! Byte ring from one core to one other: frames in, frames out, in order.
//!
//! Owns the memory between two cores. Promises that a frame is seen whole or not at all, that
//! frames are seen in the order of their commits, and that neither side ever waits, allocates or
//! enters the kernel. It must never look into a frame behind its first word.
//!
//! ```text
//!             head (consumer)                          tail (producer)
//!               v                                        v
//!  ... free ... [ frame ][ frame ][ frame | not yet seen ] 0 ... free ... [ PAD ....]
//!               ^8-byte aligned   ^first of an unpublished batch: its word is still 0
//! ```
//!
//! **A frame** starts at a multiple of eight and begins with its total length in bytes as a
//! little-endian `u32`. That word belongs to the ring: it is what publishes the frame, so the
//! producer's user never gets to write it.
//!
//! **Publication is in band, once per batch.** A committed frame's length is written at once,
//! except that of the batch's first frame: its word stays zero until [`Producer::publish`] stores
//! it with release order, which makes the whole batch visible in one store. The word behind the
//! last frame is zeroed before, so the consumer always stops there. A separate tail index would
//! cost a quiet ring one more cache-line transfer per frame.
//!
//! **The end of the memory** is jumped over by a marker in place of a length, published like a
//! frame. A frame is therefore always contiguous and at most a quarter of the capacity.
//!
//! **Giving back** happens through one shared word, the head, that the consumer stores once per
//! eighth of the capacity or when it finds nothing more to take. The producer reads it only when
//! its last known value says "full".

// In reading order; the blank lines keep it.
mod sync;

mod cursor;

mod memory;

mod markers;

mod words;

mod producer;

mod consumer;

mod ahead;

pub use ahead::Ahead;
pub use consumer::Consumer;
pub use cursor::{FRAME_ALIGN_BYTES, FRAME_LENGTH_BYTES, FrameRun, Position};
pub use markers::{Marker, MarkerReader, MarkerWriter, markers};
pub use producer::Producer;
pub use words::{Word, WordReader, WordWriter, words};

use memory::RingMemory;
use sync::{Arc, AtomicU64, CachePadded, Ordering};

/// Smallest capacity of a ring: one page of memory.
pub const CAPACITY_BYTES_MIN: usize = 4096;
/// Largest capacity of a ring, so that lengths fit the word with room for the marker.
pub const CAPACITY_BYTES_MAX: usize = 1 << 30;

/// Makes a ring of `capacity_bytes`, as is fastest on this processor; its memory is touched here,
/// so no page fault comes later.
///
/// # Panics
/// If the capacity is no power of two between [`CAPACITY_BYTES_MIN`] and [`CAPACITY_BYTES_MAX`].
// cold: at start
pub fn ring(capacity_bytes: usize) -> (Producer, Consumer) {
    ring_ahead(capacity_bytes, Ahead::of_processor())
}

/// As [`ring`], with this many lines taken ahead by its producer.
///
/// # Panics
/// As [`ring`].
// cold: at start
pub fn ring_ahead(capacity_bytes: usize, ahead: Ahead) -> (Producer, Consumer) {
    assert!(capacity_bytes.is_power_of_two(), "a ring's capacity is a power of two");
    assert!(capacity_bytes >= CAPACITY_BYTES_MIN, "a ring needs at least 4096 bytes");
    assert!(capacity_bytes <= CAPACITY_BYTES_MAX, "a ring has at most 2^30 bytes");
    static RINGS: AtomicU64 = AtomicU64::new(0);
    let identity = RINGS.fetch_add(1, Ordering::Relaxed);
    let memory = Arc::new(RingMemory::allocate(capacity_bytes));
    let head = Arc::new(CachePadded::new(AtomicU64::new(0)));
    let producer = Producer::new(Arc::clone(&memory), Arc::clone(&head), ahead);
    (producer, Consumer::new(memory, head, identity))
}
