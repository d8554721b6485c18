//! Rule: what is said of windows, and which events are late for them.

use core::cell::Cell;

use alloc::rc::Rc;

use super::kind::{AnyKind, later};
use super::late::Late;
use super::pane::OpenWindows;
use crate::time::{Duration, EventTime};

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

impl<K, S> WindowRule<K, S> {
    pub(super) fn new(kind: AnyKind<S>, create: Rc<dyn Fn(&K) -> S>) -> Self {
        let (wait, early, late) = (Cell::new(0), Cell::new(0), Cell::new(Late::Drop));
        Self { kind, create, wait, early, late }
    }

    /// By how much an event of this `time` is late, if it is: nothing on time comes at or before
    /// `line`.
    #[inline]
    pub(crate) fn lateness(&self, time: EventTime, line: EventTime) -> Option<Duration> {
        let closing = self.closing(time).filter(|closing| *closing <= line)?;
        Some((line - closing) + Duration::from_nanos(1))
    }

    /// What becomes of late events.
    pub(crate) fn late(&self) -> Late {
        self.late.get()
    }

    /// The earliest time whose windows are open when nothing on time comes at or before `line`.
    pub(crate) fn oldest_time(&self, line: EventTime) -> EventTime {
        later(line, 1 - self.wait.get()).max(EventTime::EVENT_MIN)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::windows::{WindowKind, counted, tumbling};

    #[test]
    fn an_event_is_late_by_what_its_stream_or_the_wait_lacks() {
        let of = |kind: AnyKind<u64>| WindowRule::<u64, u64>::new(kind, Rc::new(|_| 0));
        let [time, line] = [3, 24].map(EventTime::from_nanos);
        let nanos = Duration::from_nanos;
        let rule = of(tumbling(nanos(10)).any());
        assert_eq!(rule.lateness(time, line), Some(nanos(16)));
        assert_eq!(rule.lateness(time, line - nanos(15)), Some(nanos(1)));
        assert_eq!(rule.lateness(time, line - nanos(16)), None);
        rule.wait.set(15);
        assert_eq!(rule.lateness(time, line), Some(nanos(1)));
        assert_eq!(rule.oldest_time(line), EventTime::from_nanos(10));
        rule.wait.set(16);
        assert_eq!(rule.lateness(time, line), None);
        assert_eq!(of(counted(1).any()).lateness(time, line), None);
    }
}
