//! Effort: how long and how often a benchmark measures.

use std::time::Duration;

/// How long and how often; one value for all benchmarks.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Number of rounds; at least 1.
    pub rounds: usize,
    /// Length of one contender's measured part; below 0.9 s, or the kernel throttles SCHED_FIFO.
    pub slice: Duration,
    /// Length of the raw ping-pong before each slice.
    pub raw_slice: Duration,
    /// Pause after each slice, in which the rest of the machine catches up.
    pub rest: Duration,
    /// Larger key counts are left out.
    pub keys_max: u64,
    /// Length of a load at a fixed rate, without its warm-up.
    pub load: Duration,
    /// Length of a soak, likewise.
    pub soak: Duration,
    /// Bytes of the memory that is read and copied; full and quick ones are beyond all caches.
    pub memory_bytes: usize,
    /// New keys that come in while the length of turns is measured.
    pub growth_keys: u64,
    /// Name of this scale in results.
    pub name: &'static str,
}

impl Scale {
    /// What the published figures are made with.
    pub fn full() -> Self {
        Self {
            rounds: 7,
            slice: Duration::from_millis(500),
            raw_slice: Duration::from_millis(40),
            rest: Duration::from_millis(200),
            keys_max: u64::MAX,
            load: Duration::from_secs(10),
            soak: Duration::from_secs(600),
            memory_bytes: 256 << 20,
            growth_keys: 2_000_000,
            name: "full",
        }
    }

    /// A look in seconds: fewer rounds, shorter slices, no table beyond a million keys.
    pub fn quick() -> Self {
        Self {
            rounds: 5,
            slice: Duration::from_millis(120),
            raw_slice: Duration::from_millis(15),
            rest: Duration::from_millis(40),
            keys_max: 1_000_000,
            load: Duration::from_secs(2),
            soak: Duration::from_secs(15),
            memory_bytes: 256 << 20,
            growth_keys: 2_000_000,
            name: "quick",
        }
    }

    /// Without meaning as a measurement: everything runs once and proves its checksum.
    pub fn toy() -> Self {
        Self {
            rounds: 1,
            slice: Duration::from_millis(10),
            raw_slice: Duration::from_millis(1),
            rest: Duration::ZERO,
            keys_max: 10_000,
            load: Duration::from_millis(200),
            soak: Duration::from_millis(500),
            memory_bytes: 1 << 20,
            growth_keys: 10_000,
            name: "toy",
        }
    }
}
