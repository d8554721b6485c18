//! Durations: how long something takes, in the unit that reads best.

use super::Duration;

/// A duration of `n` microseconds.
///
/// ```
/// # use potoroo_sdk::prelude::*;
/// assert_eq!(micros(1_000), millis(1));
/// ```
#[must_use]
pub const fn micros(n: u64) -> Duration {
    Duration::from_micros(n)
}

/// A duration of `n` milliseconds.
///
/// ```
/// # use potoroo_sdk::prelude::*;
/// assert_eq!(millis(1_000), seconds(1));
/// ```
#[must_use]
pub const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A duration of `n` seconds.
///
/// ```
/// # use potoroo_sdk::prelude::*;
/// assert_eq!(seconds(60), minutes(1));
/// ```
#[must_use]
pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A duration of `n` minutes.
///
/// ```
/// # use potoroo_sdk::prelude::*;
/// assert_eq!(minutes(60), hours(1));
/// ```
///
/// # Panics
/// It is longer than 584 billion years.
#[must_use]
pub const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// A duration of `n` hours.
///
/// ```
/// # use potoroo_sdk::prelude::*;
/// assert_eq!(hours(24), seconds(86_400));
/// ```
///
/// # Panics
/// It is longer than 584 billion years.
#[must_use]
pub const fn hours(n: u64) -> Duration {
    Duration::from_secs(n * 3600)
}
