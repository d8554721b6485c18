//! Lateness: how far the times of a connection may go backwards.

use super::{DURATION_MAX, Duration, EventTime, OUT_OF_RANGE, TOO_FAR_AHEAD};
use crate::codec::Reason;

/// How much later an event may come than one with a greater time, on the same connection.
///
/// [`IN_ORDER`] is for connections whose times never go backwards, [`within`] for all others. An
/// event that comes even later is *late*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lateness {
    within: Duration,
    jump_max: Option<Duration>,
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
    Lateness { within: longest, jump_max: None }
}

impl Lateness {
    /// The longest time that an event on time may come after one with a greater time.
    #[must_use]
    pub const fn longest(self) -> Duration {
        self.within
    }

    /// Events whose time is more than `longest`, up to 36 years, above all that their connection
    /// brought before go to the dead letters: one wrong time in the far future would make every
    /// event after it late. The first event of a connection may have any time.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("numbers");
    /// let (on_time, late) = app
    ///     .source("lines", LineText::new())
    ///     .map(|line| line.parse::<i64>().ok())
    ///     .event_time(|seconds| EventTime::from_seconds(seconds), IN_ORDER.jump_max(hours(1)))
    ///     .split_late();
    /// on_time.merge(&late).map(|seconds| seconds.to_string()).sink("copies", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"5\n3605\n7206\n3606\n");
    /// assert_eq!(reference.output("copies"), b"5\n3605\n3606\n");
    /// assert_eq!(reference.refused()[0].reason, potoroo_sdk::time::TOO_FAR_AHEAD);
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    #[must_use]
    pub const fn jump_max(self, longest: Duration) -> Self {
        Self { jump_max: Some(longest), ..self }
    }

    /// Whether its durations are short enough for a plan.
    pub(crate) fn is_sound(self) -> bool {
        self.within <= DURATION_MAX && self.jump_max.is_none_or(|longest| longest <= DURATION_MAX)
    }

    /// Why an event of `time` is refused on a connection with this own watermark, if it is.
    #[inline(always)]
    pub(crate) fn refuses(self, time: EventTime, own: EventTime) -> Option<Reason> {
        if !time.is_of_event() {
            return Some(OUT_OF_RANGE);
        }
        let longest = self.jump_max.filter(|_| own != EventTime::MIN)?;
        // The greatest time before: nothing overflows, since all are bounded.
        let newest = own.nanos() + self.within.as_nanos() as i64 + 1;
        (time.nanos() > newest + longest.as_nanos() as i64).then_some(TOO_FAR_AHEAD)
    }

    /// After an event of `time` nothing on time comes at or before this moment.
    #[inline(always)]
    pub(crate) fn watermark_after(self, time: EventTime) -> EventTime {
        // Neither overflows: both are bounded.
        EventTime::from_nanos(time.nanos() - self.within.as_nanos() as i64 - 1)
    }
}
