//! Time: the moments that data speaks of, and how late an event may be.
//!
//! Owns [`EventTime`], the functions that make a [`Duration`], and [`Lateness`]. An
//! [`EventTime`] comes from an event, never from a clock, so it is the same in every run.
//!
//! Promises: no sum of a time of an event and a duration that a plan accepts overflows.
//! Must never do: convert between the time of events and that of a machine.
//!
//! ```text
//!    MIN      EVENT_MIN                 1970                  EVENT_MAX      MAX
//!     ├───────────┼───────────────────────┼───────────────────────┼───────────┤
//!     before all  1823      times of events, in nanoseconds       2116   nothing follows
//! ```

mod durations;
mod lateness;

use core::fmt;
use core::ops::{Add, Sub};

pub use core::time::Duration;

use crate::codec::Reason;
use crate::key;
use crate::value::Event;
pub use durations::{hours, micros, millis, minutes, seconds};
pub use lateness::{IN_ORDER, Lateness, within};

/// A moment that data speaks of: nanoseconds since 1970-01-01T00:00:00Z, signed.
///
/// An event's time lies from [`EVENT_MIN`](Self::EVENT_MIN), in the year 1823, up to
/// [`EVENT_MAX`](Self::EVENT_MAX), in 2116.
///
/// ```
/// use potoroo_sdk::prelude::*;
///
/// let noon = EventTime::from_seconds(12 * 3600);
/// assert_eq!(noon + millis(1), EventTime::from_millis(43_200_001));
/// assert_eq!(noon - hours(13), EventTime::from_seconds(-3600));
/// assert_eq!((noon - millis(5)) - noon, millis(5), "how far apart two moments are");
/// ```
#[key]
pub struct EventTime(i64);

impl Event for EventTime {}

impl EventTime {
    /// Before the time of every event.
    pub const MIN: Self = Self(i64::MIN);
    /// After the time of every event: nothing follows.
    pub const MAX: Self = Self(i64::MAX);
    /// The earliest time that an event may have.
    pub const EVENT_MIN: Self = Self(-EVENT_LIMIT);
    /// The latest time that an event may have.
    pub const EVENT_MAX: Self = Self(EVENT_LIMIT - 1);

    /// The moment `nanos` nanoseconds after the beginning of 1970.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// assert_eq!(EventTime::from_nanos(-1).nanos(), -1);
    /// ```
    #[must_use]
    #[inline]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The moment `micros` microseconds after the beginning of 1970; [`MIN`](Self::MIN) or
    /// [`MAX`](Self::MAX) for what is further away than 292 years.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// assert_eq!(EventTime::from_micros(5).nanos(), 5_000);
    /// ```
    #[must_use]
    #[inline]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// The moment `millis` milliseconds after the beginning of 1970; [`MIN`](Self::MIN) or
    /// [`MAX`](Self::MAX) for what is further away than 292 years.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// assert_eq!(EventTime::from_millis(5).nanos(), 5_000_000);
    /// ```
    #[must_use]
    #[inline]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// The moment `seconds` seconds after the beginning of 1970; [`MIN`](Self::MIN) or
    /// [`MAX`](Self::MAX) for what is further away than 292 years.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// assert_eq!(EventTime::from_seconds(5).nanos(), 5_000_000_000);
    /// assert_eq!(EventTime::from_seconds(i64::MAX), EventTime::MAX);
    /// ```
    #[must_use]
    #[inline]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the beginning of 1970.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// assert_eq!(EventTime::from_seconds(1).nanos(), 1_000_000_000);
    /// ```
    #[must_use]
    #[inline]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Whether an event may have this time.
    #[inline]
    pub(crate) fn is_of_event(self) -> bool {
        (Self::EVENT_MIN..=Self::EVENT_MAX).contains(&self)
    }
}

impl fmt::Display for EventTime {
    /// Seconds since the beginning of 1970, with nine digits after the point.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// assert_eq!(EventTime::from_millis(-1500).to_string(), "-1.500000000");
    /// ```
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, nanos) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        write!(f, "{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
    }
}

impl Add<Duration> for EventTime {
    type Output = Self;

    /// The moment `after` later; [`MAX`](Self::MAX) for what is further away.
    #[inline]
    fn add(self, after: Duration) -> Self {
        Self(self.0.saturating_add_unsigned(saturating_nanos(after)))
    }
}

impl Sub<Duration> for EventTime {
    type Output = Self;

    /// The moment `before` earlier; [`MIN`](Self::MIN) for what is further away.
    #[inline]
    fn sub(self, before: Duration) -> Self {
        Self(self.0.saturating_sub_unsigned(saturating_nanos(before)))
    }
}

impl Sub for EventTime {
    type Output = Duration;

    /// How far apart the two are, whichever comes first.
    #[inline]
    fn sub(self, other: Self) -> Duration {
        Duration::from_nanos(self.0.abs_diff(other.0))
    }
}

#[inline]
fn saturating_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Why an event with a time beyond [`EventTime::EVENT_MIN`] or [`EventTime::EVENT_MAX`] is refused.
pub const OUT_OF_RANGE: Reason =
    Reason::new("the event's time is out of range: times lie between the years 1823 and 2116");

/// Why an event is refused that is too late for an operator that has it: what the event belongs to
/// may be complete, or forgotten.
pub const TOO_LATE: Reason = Reason::new(
    "the event is late: say a longer `within(…)` in its `event_time`, or part late events with \
     `split_late`",
);

/// Why an event is refused whose time is too far above all before: see [`Lateness::jump_max`].
pub const TOO_FAR_AHEAD: Reason = Reason::new(
    "the event's time is further ahead of its connection's than `jump_max` of its `event_time`",
);

/// The longest duration that an application may name, 36 years. Three of them and a time of an
/// event are in 64 bits.
pub(crate) const DURATION_MAX: Duration = Duration::from_nanos(1 << 60);

/// Half of what 64 bits hold: the other half is for durations.
const EVENT_LIMIT: i64 = 1 << 62;
