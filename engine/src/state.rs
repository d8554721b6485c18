//! Remembers: the way from a key to its row, hot.
//!
//! Rows and their types belong to the application's tables; what is here knows hashes and slot
//! numbers only.

mod index;
mod intrinsics;

pub use index::Index;
pub use intrinsics::prefetch;
