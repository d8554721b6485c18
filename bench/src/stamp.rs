//! Nanoseconds that the threads of one run can compare.

use std::sync::LazyLock;

use potoroo_runtime::Clock;

/// The engine's machine time, about 11 ns per reading; the first call calibrates (20 ms).
#[inline]
pub fn now() -> u64 {
    CLOCK.now().0
}

static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::new);
