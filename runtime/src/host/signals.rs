//! What passes between the cores and their host while they run: stop, heartbeats, thread numbers.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64};

use crossbeam_utils::CachePadded;

/// What the cores and their host share.
pub(super) struct Signals {
    /// Asks every core to end without finishing.
    pub(super) stop: AtomicBool,
    /// One per core: turns finished so far, roughly, or [`BEATS_NONE`] or [`BEATS_ENDED`].
    pub(super) beats: Box<[CachePadded<AtomicU64>]>,
    /// One per core: the number of its thread, or 0.
    pub(super) threads: Box<[AtomicI32]>,
}

impl Signals {
    pub(super) fn new(cores: usize) -> Self {
        let beats = (0..cores).map(|_| CachePadded::new(AtomicU64::new(BEATS_NONE)));
        let threads = (0..cores).map(|_| AtomicI32::new(0)).collect();
        Self { stop: AtomicBool::new(false), beats: beats.collect(), threads }
    }
}

/// A core that has not built its reactor, or renews it, which may take long.
pub(super) const BEATS_NONE: u64 = 0;
/// A core that has ended.
pub(super) const BEATS_ENDED: u64 = u64::MAX;
