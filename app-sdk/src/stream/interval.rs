//! Interval: how far apart the times of two events are that belong together.

use crate::time::{DURATION_MAX, Duration, EventTime};

/// The time of the right event less that of the left one, as it may be in a
/// [`join`](super::Keyed::join). Both bounds belong to it.
///
/// ```
/// use potoroo_sdk::prelude::*;
///
/// assert_eq!(Interval::after(micros(5)), Interval::new(0, 5_000));
/// assert_eq!(Interval::before(micros(5)), Interval::new(-5_000, 0));
/// assert_eq!(Interval::around(micros(5)), Interval::new(-5_000, 5_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    lower: i64,
    upper: i64,
}

impl Interval {
    /// The right event is as late as the left one, or later by up to `longest`.
    #[must_use]
    pub const fn after(longest: Duration) -> Self {
        Self { lower: 0, upper: nanos(longest) }
    }

    /// The right event is as early as the left one, or earlier by up to `longest`.
    #[must_use]
    pub const fn before(longest: Duration) -> Self {
        Self { lower: -nanos(longest), upper: 0 }
    }

    /// The events are at most `longest` apart.
    #[must_use]
    pub const fn around(longest: Duration) -> Self {
        Self { lower: -nanos(longest), upper: nanos(longest) }
    }

    /// The right event is later by `lower` to `upper` nanoseconds; below zero: earlier.
    #[must_use]
    pub const fn new(lower: i64, upper: i64) -> Self {
        Self { lower, upper }
    }

    /// Whether a plan accepts it.
    pub(super) fn is_sound(self) -> bool {
        let most = nanos(DURATION_MAX);
        let bounds = -most..=most;
        self.lower <= self.upper && bounds.contains(&self.lower) && bounds.contains(&self.upper)
    }

    /// How many nanoseconds it spans.
    pub(super) fn span(self) -> Duration {
        Duration::from_nanos(self.upper.abs_diff(self.lower))
    }

    /// The earliest and the latest partner of a left event.
    pub(super) fn of_left(self, time: EventTime) -> (EventTime, EventTime) {
        (moved(time, self.lower), moved(time, self.upper))
    }

    /// The earliest and the latest partner of a right event.
    pub(super) fn of_right(self, time: EventTime) -> (EventTime, EventTime) {
        (moved(time, self.upper.saturating_neg()), moved(time, self.lower.saturating_neg()))
    }
}

/// Never below zero; one beyond 292 years is not accepted, whatever it is.
const fn nanos(duration: Duration) -> i64 {
    let nanos = duration.as_nanos();
    if nanos > i64::MAX as u128 { i64::MAX } else { nanos as i64 }
}

fn moved(time: EventTime, by: i64) -> EventTime {
    EventTime::from_nanos(time.nanos().saturating_add(by))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partners_are_the_same_from_both_sides() {
        let interval = Interval::new(-2, 5);
        let [time, early, late] = [10, 8, 15].map(EventTime::from_nanos);
        assert_eq!(interval.of_left(time), (early, late));
        for partner in [early, late] {
            let (first, last) = interval.of_right(partner);
            assert!(first == time || last == time, "the bounds belong to it");
        }
        assert_eq!(interval.span(), Duration::from_nanos(7));
    }

    #[test]
    fn what_holds_no_moment_or_centuries_is_not_sound() {
        let (most, more) = (DURATION_MAX, DURATION_MAX + Duration::from_nanos(1));
        assert!(Interval::around(most).is_sound() && Interval::new(3, 3).is_sound());
        for interval in [
            Interval::new(1, 0),
            Interval::after(more),
            Interval::before(Duration::MAX),
            Interval::new(i64::MIN, i64::MAX),
        ] {
            assert!(!interval.is_sound(), "{interval:?}");
        }
    }
}
