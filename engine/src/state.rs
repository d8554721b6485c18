//! Remembers: the way from a key to its row, and which rows a snapshot has to write, hot.
//!
//! Rows and their types belong to the application's tables; what is here knows hashes, slot
//! numbers, tags and records only.

mod index;
mod intrinsics;

mod chunks;

mod changes;
mod snapshot;

mod capture;

pub(crate) use capture::Capture;
pub use chunks::{CHUNK_BYTES, Spares};
pub use index::Index;
pub use intrinsics::prefetch;
