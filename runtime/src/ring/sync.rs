//! What the ring takes from the standard library to share things between two cores.
//!
//! Owns nothing. It stands alone so that the model checker of the tests can put its own
//! primitives in place of these while checking the very same sources.

pub(super) use crossbeam_utils::CachePadded;
pub(super) use std::sync::Arc;
pub(super) use std::sync::atomic::{AtomicU64, Ordering};
