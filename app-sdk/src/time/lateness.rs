//! Lateness: how far the times of a connection may go backwards.

use super::{DURATION_MAX, Duration, EventTime};

/// How much later an event may come than one with a greater time, on the same connection.
///
/// [`IN_ORDER`] is for connections whose times never go backwards, [`within`] for all others. An
/// event that comes even later is *late*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lateness {
    within: Duration,
}

/// The times of each connection never go backwards.
///
/// ```
/// # use potoroo_sdk::prelude::*;
/// assert_eq!(IN_ORDER, within(seconds(0)));
/// ```
pub const IN_ORDER: Lateness = within(Duration::ZERO);

/// The times of each connection go backwards by at most `longest`, up to 36 years.
///
/// ```
/// # use potoroo_sdk::prelude::*;
/// let app = Application::new("readings");
/// let readings = app.source("readings", LineText::new()).map(|line| line.parse::<i64>().ok());
/// let readings =
///     readings.event_time(|reading| EventTime::from_millis(reading), within(millis(5)));
/// readings.map(|reading| reading.to_string()).sink("copies", LineText::new());
/// ```
#[must_use]
pub const fn within(longest: Duration) -> Lateness {
    Lateness { within: longest }
}

impl Lateness {
    /// The longest time that an event on time may come after one with a greater time.
    #[must_use]
    pub const fn longest(self) -> Duration {
        self.within
    }

    /// Whether it is short enough for a plan.
    pub(crate) fn is_sound(self) -> bool {
        self.within <= DURATION_MAX
    }

    /// After an event of `time` nothing on time comes at or before this moment.
    #[inline(always)]
    pub(crate) fn watermark_after(self, time: EventTime) -> EventTime {
        // Neither overflows: both are bounded.
        EventTime::from_nanos(time.nanos() - self.within.as_nanos() as i64 - 1)
    }
}
