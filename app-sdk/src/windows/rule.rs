//! Rule: what is said of windows, and which events are late for them.

use core::cell::Cell;

use alloc::rc::Rc;

use super::kind::{AnyKind, later};
use super::late::Late;
use super::pane::OpenWindows;
use crate::time::EventTime;

/// What is said of windows, shared by what adds to them and what takes them.
pub(crate) struct WindowRule<K, S> {
    pub(super) kind: AnyKind<S>,
    pub(super) create: Rc<dyn Fn(&K) -> S>,
    /// Nanoseconds for which windows stay open after their ends.
    pub(super) wait: Cell<i64>,
    /// Nanoseconds between two early results; 0 for none.
    pub(super) early: Cell<i64>,
    pub(super) late: Cell<Late>,
}

/// What becomes of an event.
pub(crate) enum Judgement {
    /// It counts as one of this time.
    At(EventTime),
    /// It is late.
    Late,
}

impl<K, S> WindowRule<K, S> {
    pub(super) fn new(kind: AnyKind<S>, create: Rc<dyn Fn(&K) -> S>) -> Self {
        let (wait, early, late) = (Cell::new(0), Cell::new(0), Cell::new(Late::Drop));
        Self { kind, create, wait, early, late }
    }

    /// What becomes of an event of this `time`, if nothing on time comes at or before `line`, and
    /// late events may go `aside`.
    #[inline]
    pub(crate) fn judge(&self, time: EventTime, line: EventTime, aside: bool) -> Judgement {
        match self.closing(time) {
            Some(closing) if closing <= line => match self.late.get() {
                Late::Oldest if !aside => {
                    Judgement::At(later(line, 1 - self.wait.get()).max(EventTime::EVENT_MIN))
                }
                _ => Judgement::Late,
            },
            _ => Judgement::At(time),
        }
    }

    /// The first moment at which something closes that contains an event of this time; `None` for
    /// never.
    #[inline]
    fn closing(&self, time: EventTime) -> Option<EventTime> {
        let wait = self.wait.get();
        match &self.kind {
            AnyKind::Aligned(aligned, _) => {
                Some(later(aligned.first_start(time), aligned.size - 1 + wait))
            }
            AnyKind::Sessions(..) => Some(later(time, wait)),
            AnyKind::Counted(..) => None,
        }
    }

    /// Whether late events are shown in windows of their own.
    pub(crate) fn shows_late(&self) -> bool {
        self.late.get() == Late::Fire
    }

    /// The window of an event that is late: the first of several.
    pub(crate) fn late_window(&self, time: EventTime) -> (EventTime, EventTime) {
        match &self.kind {
            AnyKind::Aligned(aligned, _) => {
                let start = aligned.first_start(time);
                (start, later(start, aligned.size))
            }
            AnyKind::Sessions(gap, _) => (time, later(time, *gap)),
            AnyKind::Counted(..) => (time, later(time, 1)),
        }
    }

    /// The state of a window without events.
    pub(crate) fn fresh(&self, key: &K) -> S {
        (self.create)(key)
    }

    /// Whether a counted window has all its events.
    #[inline]
    pub(crate) fn is_full(&self, row: &OpenWindows<S>) -> bool {
        matches!(self.kind, AnyKind::Counted(count, _) if row.count >= count)
    }

    /// What stands for the watermark after these windows when theirs is this one.
    pub(crate) fn watermark_after(&self, watermark: EventTime) -> EventTime {
        later(watermark, -self.wait.get())
    }
}
