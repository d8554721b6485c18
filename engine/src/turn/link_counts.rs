//! What went over the links with one other node: counted by all cores that have one.
//!
//! Counted once per system call, which costs a thousand times as much.

use std::sync::atomic::{AtomicU64, Ordering};

/// What went over the links with one other node.
#[derive(Debug, Default)]
pub struct LinkCounts {
    bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
    frames_received: AtomicU64,
    credit_waits: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkTotals {
    /// Bytes given to connections.
    pub bytes_sent: u64,
    /// Bytes taken from them.
    pub bytes_received: u64,
    /// Frames in these.
    pub frames_received: u64,
    /// Times that frames began to wait because the other node had no room for them.
    pub credit_waits: u64,
}

impl LinkCounts {
    pub(super) fn sent(&self, bytes: usize) {
        self.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn received(&self, bytes: usize, frames: u64) {
        self.bytes_received.fetch_add(bytes as u64, Ordering::Relaxed);
        self.frames_received.fetch_add(frames, Ordering::Relaxed);
    }

    pub(super) fn waits(&self) {
        self.credit_waits.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn read(&self) -> LinkTotals {
        LinkTotals {
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
            bytes_received: self.bytes_received.load(Ordering::Relaxed),
            frames_received: self.frames_received.load(Ordering::Relaxed),
            credit_waits: self.credit_waits.load(Ordering::Relaxed),
        }
    }
}
