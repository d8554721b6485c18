//! The row of a join: the events of a key that may still find partners.

use core::fmt::{self, Debug};
use core::ops::Range;

use alloc::string::String;

use rkyv::{Archive, Deserialize, Serialize, with::Skip};

use super::interval::Interval;
use super::meeting::{MeetingRow, SideMarks};
use crate::kept::{Kept, KeptCause};
use crate::table::{Hinted, HintedRow};
use crate::time::{Duration, EventTime, millis};
use crate::value::support::JsonFields;
use crate::value::{Event, Schema, schema_field, schema_start};

/// What is known of a left event.
#[crate::value]
pub(crate) struct LeftEvent {
    pub(super) cause: KeptCause,
    pub(super) has_partner: bool,
}

/// Events of both sides that may still find partners.
#[derive(Archive, Serialize, Deserialize)]
pub(crate) struct JoinRow<E, O> {
    #[rkyv(with = Skip)]
    hinted: Hinted,
    /// When right events are looked at again that the left stream still needs.
    #[rkyv(with = Skip)]
    look_at: Option<EventTime>,
    pub(super) left: Kept<E, LeftEvent>,
    pub(super) right: Kept<O, ()>,
}

impl<E: Event, O: Event> JoinRow<E, O> {
    /// The left events that find no partner any more.
    pub(super) fn left_done(&self, interval: Interval, marks: SideMarks) -> Range<usize> {
        0..self.left.until(interval.of_right(marks.right).0)
    }

    /// Forgets right events that find no partner any more.
    pub(super) fn forget_right(&mut self, interval: Interval, marks: SideMarks) {
        let done = self.right.until(interval.of_left(marks.left).0);
        self.right.remove(0..done);
    }

    /// Puts off the moment at which right events are forgotten that the left stream still needs,
    /// in a row that is due by the watermark of the right stream, which may be far ahead.
    pub(super) fn put_off(&mut self, interval: Interval, marks: SideMarks) {
        let waits = self.right_due(interval) <= marks.right;
        let pause = interval.span().max(PAUSE);
        self.look_at = waits.then(|| marks.right + pause);
    }

    /// When something is to be done; at the end of time: never.
    pub(super) fn due(&self, interval: Interval) -> EventTime {
        let left = match self.left.is_empty() {
            true => EventTime::MAX,
            false => interval.of_left(self.left.first_time()).1,
        };
        left.min(self.right_due(interval).max(self.look_at.unwrap_or(EventTime::MIN)))
    }

    /// When the first right event finds no partner any more, by the watermark of the left stream.
    fn right_due(&self, interval: Interval) -> EventTime {
        match self.right.is_empty() {
            true => EventTime::MAX,
            false => interval.of_right(self.right.first_time()).1,
        }
    }
}

/// Rows are not looked at more often than this because of right events that the left stream needs.
const PAUSE: Duration = millis(1);

impl<E: Event, O: Event> MeetingRow for JoinRow<E, O> {
    fn new() -> Self {
        let (left, right) = (Kept::new(), Kept::new());
        Self { hinted: Hinted::default(), look_at: None, left, right }
    }

    fn is_empty(&self) -> bool {
        self.left.is_empty() && self.right.is_empty()
    }

    fn clear(&mut self) {
        let Self { hinted, look_at, left, right } = self;
        (*hinted, *look_at) = (Hinted::default(), None);
        left.clear();
        right.clear();
    }
}

impl<E, O> HintedRow for JoinRow<E, O> {
    fn hinted(&mut self) -> &mut Hinted {
        &mut self.hinted
    }
}

impl<E, O> Clone for JoinRow<E, O> {
    fn clone(&self) -> Self {
        let Self { hinted, look_at, left, right } = self;
        Self { hinted: *hinted, look_at: *look_at, left: left.clone(), right: right.clone() }
    }
}

impl<E: Event, O: Event> Debug for JoinRow<E, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { left, right, .. } = self;
        f.debug_struct("Join").field("left", left).field("right", right).finish()
    }
}

impl<E: Event, O: Event> Schema for JoinRow<E, O> {
    const TYPE: &'static str = "Join";
    const SHAPE: u64 = schema_field(
        schema_field(schema_start("Join"), "left", <Kept<E, LeftEvent>>::SHAPE),
        "right",
        <Kept<O, ()>>::SHAPE,
    );

    // cold: for people
    fn json(&self, out: &mut String) {
        let mut object = JsonFields::object(out);
        object.field("left", &self.left);
        object.field("right", &self.right);
        object.end();
    }
}
