//! Nanoseconds that the threads of one run can compare, and what they mean outside of it.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use potoroo_runtime::Clock;

/// The engine's machine time, about 11 ns per reading; the first call calibrates (20 ms).
#[inline]
pub fn now() -> u64 {
    CLOCK.now().0
}

/// The same, when everything before it is done: it ends latencies of what may wait for memory.
#[inline]
pub fn settled() -> u64 {
    CLOCK.settled().0
}

/// The time of day at a reading of [`now`], for logs.
pub fn wall(ns: u64) -> SystemTime {
    let (at, time) = *ORIGIN;
    match ns.checked_sub(at) {
        Some(later) => time + Duration::from_nanos(later),
        None => time - Duration::from_nanos(at - ns),
    }
}

static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::new);
/// Read once: the time of day may be set while a benchmark runs.
static ORIGIN: LazyLock<(u64, SystemTime)> = LazyLock::new(|| (now(), SystemTime::now()));
