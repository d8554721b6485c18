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
    idle_after: Option<Duration>,
    runs_on_after: Option<Duration>,
    ahead_max: Option<Duration>,
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
    Lateness {
        within: longest,
        jump_max: None,
        idle_after: None,
        runs_on_after: None,
        ahead_max: None,
    }
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

    /// A connection that brings no event for `silence`, by the clock of the machine, holds time no
    /// longer: the other connections go on without it. It holds time again from its next event on,
    /// which is late for what they have closed meanwhile.
    ///
    /// Without this a silent connection holds time until it brings an event or ends, so that
    /// results depend on no clock of a machine. With it a repeat of the same input may have other
    /// results. In the [reference interpreter](crate::reference) no time passes by itself, and
    /// nothing is ever silent.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// # let app = Application::new("quotes");
    /// # let quotes = app.source("quotes", LineText::new()).map(|line| line.parse::<i64>().ok());
    /// let quotes = quotes.event_time(
    ///     |quote| EventTime::from_millis(quote),
    ///     within(millis(5)).idle_after(seconds(1)),
    /// );
    /// # quotes.map(|quote| quote.to_string()).sink("copies", LineText::new());
    /// # assert!(app.plan().is_ok());
    /// ```
    #[must_use]
    pub const fn idle_after(self, silence: Duration) -> Self {
        Self { idle_after: Some(silence), ..self }
    }

    /// The time of a connection that brings no event for `silence`, by the clock of the machine,
    /// goes on with that clock from then on, in steps of a millisecond: what waits for it becomes
    /// due in a quiet market, too. An event that comes later than that is late. Only for events
    /// whose times go as fast as that clock: those of a live feed, not of a replayed file.
    ///
    /// A repeat of the same input may have other results, as with
    /// [`idle_after`](Self::idle_after). A connection that has brought no event has no time that
    /// could go on.
    #[must_use]
    pub const fn runs_on_after(self, silence: Duration) -> Self {
        Self { runs_on_after: Some(silence), ..self }
    }

    /// A connection is not read while its time is more than `longest` above that of the connection
    /// that has come least far, of all that bring events for the same `key_by` or table. Bounds
    /// what joins and windows keep where one input is read faster than another. Changes no result.
    ///
    /// It should be long against the times of a few hundred events, or reading them stops and goes.
    #[must_use]
    pub const fn ahead_max(self, longest: Duration) -> Self {
        Self { ahead_max: Some(longest), ..self }
    }

    /// The silence after which a connection holds time no longer, in nanoseconds.
    pub fn idle_after_ns(self) -> Option<u64> {
        self.idle_after.map(|silence| silence.as_nanos() as u64)
    }

    /// The silence after which the time of a connection goes on, in nanoseconds.
    pub fn runs_on_after_ns(self) -> Option<u64> {
        self.runs_on_after.map(|silence| silence.as_nanos() as u64)
    }

    /// How far a connection may be above the watermark and is still read, in nanoseconds.
    pub fn ahead_max_ns(self) -> Option<u64> {
        self.ahead_max.map(|longest| longest.as_nanos() as u64)
    }

    /// Whether its durations can be used in a plan.
    pub(crate) fn is_sound(self) -> bool {
        let Self { within, jump_max, idle_after, runs_on_after, ahead_max } = self;
        let mut longest = [jump_max, idle_after, runs_on_after, ahead_max].into_iter().flatten();
        within <= DURATION_MAX
            && longest.all(|longest| longest <= DURATION_MAX)
            && [idle_after, runs_on_after, ahead_max].into_iter().flatten().all(|it| !it.is_zero())
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
