//! Remembers: the way from a key to its row, which rows a snapshot has to write, and which may be
//! due, hot.
//!
//! Rows and their types belong to the application's tables; what is here knows hashes, slot
//! numbers, tags, records and moments only.

mod index;
mod intrinsics;

mod chunks;

mod changes;
mod snapshot;

mod capture;

mod wheel;

pub(crate) use capture::Capture;
pub use chunks::{CHUNK_BYTES, Spares};
pub use index::Index;
pub use intrinsics::prefetch;
pub use wheel::{Taken, Wheel};
