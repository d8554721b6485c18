//! How cores are run.

use std::time::Duration;

/// What a core does when a turn found no work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idle {
    /// Goes on turning: lowest latency, one CPU each, for CPUs that are really its own.
    Spin,
    /// Goes on turning for a while, then parks.
    #[default]
    Adaptive,
    /// Parks at once.
    Park,
}

/// How cores are run.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// One reactor per entry, on that CPU. A CPU may repeat; its reactors then give way at once.
    pub cpus: Vec<usize>,
    /// What idle cores do.
    pub idle: Idle,
    /// How long an adaptive core turns idly before it parks. The default of 100 µs is where being
    /// woken begins to cost less than going on. Taken as zero on a CPU that repeats.
    pub spin: Duration,
    /// A core that finishes no turn within it ends the process; 5 s by default, which no healthy
    /// turn comes near. Time in which the core waits for a CPU does not count. [`Duration::MAX`]
    /// turns the watch off.
    pub heartbeat_limit: Duration,
    /// Whether threads stay on their CPU; otherwise `cpus` only says how many there are.
    pub pin: bool,
    /// Whether cores run in executors where the kernel grants what those need; otherwise they run
    /// on plain threads.
    pub executors: bool,
}

impl HostConfig {
    /// The defaults for these CPUs.
    pub fn new(cpus: Vec<usize>) -> Self {
        Self {
            cpus,
            idle: Idle::default(),
            spin: Duration::from_micros(100),
            heartbeat_limit: Duration::from_secs(5),
            pin: true,
            executors: true,
        }
    }
}
