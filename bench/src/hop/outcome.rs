//! Outcomes: what a contender sent and received, and the frames that all of them use.

use anyhow::{Result, ensure};

use crate::take::Take;

/// What a round-trip contender saw.
#[derive(Debug)]
pub struct Trips {
    /// Time from one answer to the next.
    pub latency: Take,
    /// Sum of the answered sequence numbers.
    pub sum: u64,
}

impl Trips {
    pub fn p50_ns(&self) -> f64 {
        self.latency.quantile(0.5)
    }

    pub fn verified(self) -> Result<Self> {
        ensure!(self.latency.count() > 0, "no round trip was made");
        ensure!(self.sum == sum_below(self.latency.count()), "answers do not match the questions");
        Ok(self)
    }
}

/// What a throughput contender received.
#[derive(Debug)]
pub struct Flow {
    /// Frames received.
    pub frames: u64,
    /// Time until the last one.
    pub nanos: u64,
    /// Sum of their sequence numbers.
    pub sum: u64,
}

impl Flow {
    pub fn frames_per_second(&self) -> f64 {
        self.frames as f64 * 1e9 / self.nanos as f64
    }

    pub fn verified(self) -> Result<Self> {
        ensure!(self.frames > 0, "no frame came through");
        ensure!(self.sum == sum_below(self.frames), "frames were lost, doubled or changed");
        Ok(self)
    }
}

/// 0 + 1 + … + (count − 1), wrapping like the sums that it is compared with.
pub fn sum_below(count: u64) -> u64 {
    let count = u128::from(count);
    (count * count.saturating_sub(1) / 2) as u64
}

/// Bytes of a frame, length word included.
pub const FRAME_BYTES: usize = 64;
/// Frames per publication.
pub const BATCH_FRAMES: u64 = 64;
/// 256 KiB on both sides.
pub const CAPACITY_FRAMES: usize = 4096;
/// Ends a slice; no sequence number gets there.
pub const END: u64 = u64::MAX;
