//! The row of a timed table: a state, and what belongs to its time.
//!
//! Must never do: let a row be due without a hint at or before that moment.

use core::fmt::{self, Debug};
use core::ops::{Deref, DerefMut};

use alloc::string::String;

use rkyv::{Archive, Deserialize, Serialize, with::Skip};

use super::hinted::{Hinted, HintedRow};
use crate::time::{Duration, EventTime};
use crate::value::support::JsonFields;
use crate::value::{Schema, schema_field, schema_start};

/// A state and what belongs to its time: 24 bytes more.
#[derive(Clone, Archive, Serialize, Deserialize)]
pub(crate) struct Timed<S> {
    /// When the timer fires; the end of time for none.
    pub(super) timer: EventTime,
    /// The newest time of the events of its key.
    pub(super) touched: EventTime,
    /// The hint that counts.
    #[rkyv(with = Skip)]
    pub(super) hinted: Hinted,
    pub(crate) state: S,
}

impl<S> HintedRow for Timed<S> {
    #[inline]
    fn hinted(&mut self) -> &mut Hinted {
        &mut self.hinted
    }
}

impl<S> Timed<S> {
    pub(crate) fn new(state: S) -> Self {
        Self { timer: EventTime::MAX, touched: EventTime::MIN, hinted: Hinted::default(), state }
    }

    /// When it is due, in a table whose rows expire so long after they were touched; at the end of
    /// time: never.
    #[inline]
    pub(crate) fn due(&self, expires: Option<Duration>) -> EventTime {
        match expires {
            Some(longest) if self.is_touched() => self.timer.min(self.touched + longest),
            _ => self.timer,
        }
    }

    /// As if the event of `time` were the first of its key.
    pub(crate) fn restart(&mut self, time: EventTime) {
        (self.timer, self.touched) = (EventTime::MAX, time);
    }

    /// Whether an event of its key has come.
    #[inline]
    pub(crate) fn is_touched(&self) -> bool {
        self.touched != EventTime::MIN
    }

    /// This one with another state.
    // cold: when an older checkpoint is read
    pub(crate) fn map<T>(self, convert: impl FnOnce(S) -> T) -> Timed<T> {
        let Self { timer, touched, hinted, state } = self;
        Timed { timer, touched, hinted, state: convert(state) }
    }

    /// When the timer fires; at the end of time: never.
    pub(crate) fn timer(&self) -> EventTime {
        self.timer
    }

    /// Takes the timer, which fires.
    pub(crate) fn take_timer(&mut self) -> EventTime {
        core::mem::replace(&mut self.timer, EventTime::MAX)
    }

    /// An event of its key has come.
    #[inline]
    pub(crate) fn touch(&mut self, time: EventTime) {
        self.touched = self.touched.max(time);
    }
}

impl<S: Debug> Debug for Timed<S> {
    /// As its state.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)
    }
}

impl<S: Schema> Schema for Timed<S> {
    const TYPE: &'static str = S::TYPE;
    const SHAPE: u64 = schema_field(schema_start("Timed"), "state", S::SHAPE);

    // cold: for people
    fn json(&self, out: &mut String) {
        let timer = (self.timer != EventTime::MAX).then_some(self.timer);
        let mut object = JsonFields::object(out);
        object.field("timer", &timer);
        object.field("touched", &self.touched);
        object.field("state", &self.state);
        object.end();
    }
}

/// A row of a timed table as a handler sees it: the state, its key and its timer.
///
/// Dereferences to the state.
pub struct TimedRow<'a, K, S> {
    key: &'a K,
    row: &'a mut Timed<S>,
    time: EventTime,
    /// No timer is set before this moment.
    earliest: EventTime,
    is_late: bool,
    removed: bool,
}

impl<'a, K, S> TimedRow<'a, K, S> {
    /// The row for an event of this time.
    #[inline(always)]
    pub(crate) fn of_event(
        key: &'a K,
        row: &'a mut Timed<S>,
        time: EventTime,
        is_late: bool,
    ) -> Self {
        Self { key, row, time, earliest: time, is_late, removed: false }
    }

    /// The row whose timer fires.
    #[inline(always)]
    pub(crate) fn of_timer(key: &'a K, row: &'a mut Timed<S>, time: EventTime) -> Self {
        let earliest = time + Duration::from_nanos(1);
        Self { key, row, time, earliest, is_late: false, removed: false }
    }

    #[inline(always)]
    pub(crate) fn is_removed(&self) -> bool {
        self.removed
    }

    /// The key of this row.
    pub fn key(&self) -> &K {
        self.key
    }

    /// The time of the event, or of the timer that fires.
    pub fn time(&self) -> EventTime {
        self.time
    }

    /// Whether the event is late: see [`Stream::split_late`](crate::stream::Stream::split_late). A
    /// timer is not.
    pub fn is_late(&self) -> bool {
        self.is_late
    }

    /// When the timer of this row fires, if it is set.
    pub fn timer(&self) -> Option<EventTime> {
        (self.row.timer != EventTime::MAX).then_some(self.row.timer)
    }

    /// Sets the timer of this row, in the place of one that is set. It does not fire before the
    /// time of the event that sets it, nor at the time of the timer that does.
    pub fn set_timer(&mut self, at: EventTime) {
        self.row.timer = at.max(self.earliest);
    }

    /// Sets the timer of this row to `after` after the [time](Self::time).
    pub fn set_timer_in(&mut self, after: Duration) {
        self.set_timer(self.time + after);
    }

    /// Takes the timer away.
    pub fn clear_timer(&mut self) {
        self.row.timer = EventTime::MAX;
    }

    /// Removes the row, and its timer with it, when the handler returns. The next event of the key
    /// finds a new state.
    pub fn remove(&mut self) {
        self.removed = true;
    }
}

impl<K, S> Deref for TimedRow<'_, K, S> {
    type Target = S;
    fn deref(&self) -> &S {
        &self.row.state
    }
}

impl<K, S> DerefMut for TimedRow<'_, K, S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.row.state
    }
}
