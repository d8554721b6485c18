//! Settling: what is due in a row of windows, and when.

use super::kind::{AnyKind, MergeParts, later};
use super::pane::{OpenWindows, Quick};
use super::rule::WindowRule;
use crate::time::{Duration, EventTime};

/// What comes next in a row that has windows.
pub(crate) enum DueStep {
    /// The pane at this index is shown before it closes.
    Early(usize),
    /// The oldest window closes.
    Close,
}

impl<K, S> WindowRule<K, S> {
    /// Says when something is due in a row, if it has windows.
    #[inline]
    pub(crate) fn settle(&self, row: &mut OpenWindows<S>) {
        let Some(newest) = row.newest() else {
            row.quick = Quick::default();
            return;
        };
        let straight = match &self.kind {
            AnyKind::Aligned(aligned, _) => {
                let first = aligned.first_start(newest.start);
                later(first, aligned.size - 1 + self.wait.get())
            }
            AnyKind::Sessions(..) | AnyKind::Counted(..) => EventTime::MIN,
        };
        let is_clean = self.early.get() != 0 && newest.early == EventTime::MAX;
        (row.due, _) = self.next_step(row);
        row.quick = match is_clean {
            true => Quick::default(),
            false => Quick(straight.min(row.due)),
        };
    }

    /// What comes next in a row that has windows, and when. What closes only at the end of the
    /// input does so right before the end of time.
    #[inline]
    pub(crate) fn next_step(&self, row: &OpenWindows<S>) -> (EventTime, DueStep) {
        let closing = self.pane_closing(row, 0);
        if self.early.get() != 0 {
            let panes = row.panes().enumerate().map(|(index, pane)| (pane.early, index));
            if let Some((early, index)) = panes.min().filter(|(early, _)| *early < closing) {
                return (early, DueStep::Early(index));
            }
        }
        (closing, DueStep::Close)
    }

    /// When the window closes of which the pane at `index` is; for the oldest one of parts, when
    /// the oldest window does.
    pub(super) fn pane_closing(&self, row: &OpenWindows<S>, index: usize) -> EventTime {
        let wait = self.wait.get();
        let closing = match &self.kind {
            AnyKind::Aligned(aligned, _) if index == 0 => later(row.next, aligned.size - 1 + wait),
            AnyKind::Aligned(..) | AnyKind::Sessions(..) => later(row.pane(index).end, wait - 1),
            AnyKind::Counted(..) => later(row.next, wait),
        };
        closing.min(LAST)
    }

    /// The oldest window: its first moment, the first one after it, and the time of what it emits
    /// when it closes.
    pub(crate) fn oldest(&self, row: &OpenWindows<S>) -> ((EventTime, EventTime), EventTime) {
        let pane = row.pane(0);
        match &self.kind {
            AnyKind::Aligned(aligned, _) => {
                let end = later(row.next, aligned.size);
                ((row.next, end), later(end, -1))
            }
            AnyKind::Sessions(..) => ((pane.start, pane.end), later(pane.end, -1)),
            AnyKind::Counted(..) => ((pane.start, pane.end), row.next),
        }
    }

    /// Shows the state of the oldest window.
    #[inline]
    pub(crate) fn with_oldest<R>(&self, row: &OpenWindows<S>, show: impl FnOnce(&S) -> R) -> R
    where
        S: Clone,
    {
        match &self.kind {
            AnyKind::Aligned(aligned, Some(merge)) => {
                show(&merged(row, later(row.next, aligned.size), *merge))
            }
            _ => show(&row.pane(0).state),
        }
    }

    /// The oldest window has closed, because it was due at `due`.
    pub(crate) fn close(&self, row: &mut OpenWindows<S>, due: EventTime) {
        let period = match &self.kind {
            AnyKind::Aligned(aligned, _) => {
                let next = later(row.next, aligned.slide);
                while row.oldest().is_some_and(|pane| pane.start < next) {
                    drop(row.remove(0));
                }
                row.next = match row.oldest() {
                    Some(oldest) => next.max(aligned.first_start(oldest.start)),
                    None => next,
                };
                aligned.size
            }
            AnyKind::Sessions(gap, _) => {
                drop(row.remove(0));
                *gap
            }
            AnyKind::Counted(_, after) => {
                drop(row.remove(0));
                after.unwrap_or(i64::MAX)
            }
        };
        // An empty row waits for its key for one period more.
        row.due = later(due, period).min(LAST);
        self.settle(row);
    }

    /// The pane at `index` has been shown before it closes. Returns its bounds and the time of what
    /// it emits.
    pub(crate) fn shown(
        &self,
        row: &mut OpenWindows<S>,
        index: usize,
    ) -> ((EventTime, EventTime), EventTime) {
        let closing = self.pane_closing(row, index);
        let pane = row.pane_mut(index);
        let early = core::mem::replace(&mut pane.early, EventTime::MAX);
        let bounds = (pane.start, pane.end);
        // While it waits, its time is over.
        let last = later(closing, -self.wait.get());
        self.settle(row);
        (bounds, early.min(last))
    }

    /// Where what closes at `due` leaves the watermark of its row.
    pub(crate) fn watermark_before(&self, due: EventTime) -> EventTime {
        self.watermark_after(due - Duration::from_nanos(1))
    }
}

/// All parts before `end` in one.
fn merged<S: Clone>(row: &OpenWindows<S>, end: EventTime, merge: MergeParts<S>) -> S {
    let mut parts = row.panes().take_while(|pane| pane.start < end);
    let mut merged = parts.next().expect("a window has events").state.clone();
    parts.for_each(|pane| merge(&mut merged, &pane.state));
    merged
}

/// When everything is due that closes at the end of the input only.
const LAST: EventTime = EventTime::from_nanos(i64::MAX - 1);
