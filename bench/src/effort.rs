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
    /// Length of a window, in benchmarks that pair windows.
    pub window: Duration,
    /// Length of the probe before and after each window.
    pub probe: Duration,
    /// Pause after each window and its probes.
    pub window_rest: Duration,
    /// Pairs of one class that a ratio needs.
    pub pairs_min: usize,
    /// Contenders are set up again after this number of rounds, as far as time permits.
    pub setup_rounds: usize,
    /// Time of all parts of a command that pair windows; each ends with one round at least.
    pub command_max: Duration,
    /// Windows of each contender, where their number is given: neither more nor fewer.
    pub windows_max: Option<usize>,
    /// Most that probes of one class differ.
    pub class_spread_max: f64,
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
    /// Nodes of a cluster that are killed.
    pub kills: usize,
    /// Events per second while nodes of a cluster come and go.
    pub cluster_rate: u32,
    /// Length of a slice in which the nodes of a cluster stay as they are.
    pub steady: Duration,
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
            window: Duration::from_millis(50),
            probe: Duration::from_millis(4),
            window_rest: Duration::from_millis(8),
            pairs_min: 25,
            setup_rounds: SETUP_ROUNDS,
            command_max: Duration::from_secs(600),
            windows_max: None,
            class_spread_max: CLASS_SPREAD_MAX,
            keys_max: u64::MAX,
            load: Duration::from_secs(10),
            soak: Duration::from_secs(600),
            memory_bytes: 256 << 20,
            growth_keys: 2_000_000,
            kills: 200,
            cluster_rate: 100_000,
            steady: Duration::from_secs(5),
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
            window: Duration::from_millis(30),
            probe: Duration::from_millis(3),
            window_rest: Duration::from_millis(5),
            pairs_min: 25,
            setup_rounds: SETUP_ROUNDS,
            command_max: Duration::from_secs(110),
            windows_max: None,
            class_spread_max: CLASS_SPREAD_MAX,
            keys_max: 1_000_000,
            load: Duration::from_secs(2),
            soak: Duration::from_secs(15),
            memory_bytes: 256 << 20,
            growth_keys: 2_000_000,
            kills: 12,
            cluster_rate: 100_000,
            steady: Duration::from_secs(2),
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
            window: Duration::from_millis(10),
            probe: Duration::from_millis(1),
            window_rest: Duration::ZERO,
            pairs_min: 1,
            setup_rounds: SETUP_ROUNDS,
            command_max: Duration::ZERO,
            windows_max: Some(1),
            class_spread_max: f64::INFINITY,
            keys_max: 10_000,
            load: Duration::from_millis(200),
            soak: Duration::from_millis(500),
            memory_bytes: 1 << 20,
            growth_keys: 10_000,
            kills: 2,
            cluster_rate: 2_000,
            steady: Duration::from_millis(100),
            name: "toy",
        }
    }
}

/// Between the states of a virtual machine (near and far, full and half speed) lie factors of 1.5
/// and more; within one, probes of some milliseconds repeat to a few percent.
pub const CLASS_SPREAD_MAX: f64 = 1.15;
/// Twenty-five pairs are then of five set-ups: the luck of where memory lies is in the interval.
const SETUP_ROUNDS: usize = 5;
/// Windows that count as a round, where a number of rounds is given.
pub const WINDOWS_PER_ROUND: usize = 5;
