//! One CPU and what it shares.

use serde::Serialize;

/// One CPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cpu {
    /// Its number.
    pub cpu: usize,
    /// The lowest CPU of its physical core: threads of one core have it in common.
    pub core: usize,
    /// The socket.
    pub package: usize,
    /// Its NUMA node.
    pub node: usize,
    /// The lowest CPU that shares its last cache.
    pub last_cache: usize,
    /// Outside the scheduler's balancing.
    pub isolated: bool,
    /// Whether this process may use it.
    pub allowed: bool,
    /// Relative speed, in a unit that all CPUs of the host have in common; the fastest have the
    /// greatest.
    pub capacity: Option<u64>,
    /// Whether the kernel calls it an efficiency core.
    pub efficient: bool,
}
