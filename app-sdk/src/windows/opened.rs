//! Opened: the pane that an event belongs to.

use super::kind::{Aligned, AnyKind, MergeParts, PARTS_MAX, later};
use super::pane::{OpenWindows, Pane};
use super::rule::WindowRule;
use crate::time::EventTime;

impl<K, S> WindowRule<K, S> {
    /// The index of the pane that an event of this `time` changes, which is opened if it is not,
    /// while the watermark is this one. `None`: as many are open as may be.
    ///
    /// What is due is settled, so that a handler may fail afterwards.
    pub(crate) fn open(
        &self,
        key: &K,
        row: &mut OpenWindows<S>,
        time: EventTime,
        watermark: EventTime,
    ) -> Option<usize> {
        let fresh = || self.fresh(key);
        let index = match &self.kind {
            AnyKind::Aligned(aligned, _) => open_aligned(*aligned, row, time, fresh)?,
            AnyKind::Sessions(gap, merge) => open_session(*gap, *merge, row, time, fresh)?,
            AnyKind::Counted(_, after) => {
                let limit = after
                    .map_or(EventTime::MAX, |after| later(time, after).max(later(watermark, 1)));
                count(row, time, limit, fresh)
            }
        };
        self.schedule_early(row, index, watermark);
        self.settle(row);
        Some(index)
    }

    /// Has a pane that changes shown at the next moment for that.
    fn schedule_early(&self, row: &mut OpenWindows<S>, index: usize, watermark: EventTime) {
        let every = self.early.get();
        if every == 0 || row.pane(index).early != EventTime::MAX {
            return;
        }
        let closing = self.pane_closing(row, index);
        let pane = row.pane_mut(index);
        let passed = watermark.max(pane.start).nanos().saturating_sub(pane.start.nanos());
        let moment = later(pane.start, (passed / every).saturating_add(1).saturating_mul(every));
        if moment < closing {
            pane.early = moment;
        }
    }
}

fn open_aligned<S>(
    aligned: Aligned,
    row: &mut OpenWindows<S>,
    time: EventTime,
    fresh: impl FnOnce() -> S,
) -> Option<usize> {
    let index = row.position(time);
    if index < row.len() && row.pane(index).start <= time {
        return Some(index);
    }
    // All parts of one window, and as many windows more.
    if row.len() as i64 >= PARTS_MAX - 1 + aligned.parts() {
        return None;
    }
    let (start, first) = (aligned.part_start(time), aligned.first_start(time));
    row.next = if row.is_empty() { first } else { row.next.min(first) };
    row.insert(index, Pane::new(start, later(start, aligned.part), fresh()));
    Some(index)
}

fn open_session<S>(
    gap: i64,
    merge: MergeParts<S>,
    row: &mut OpenWindows<S>,
    time: EventTime,
    fresh: impl FnOnce() -> S,
) -> Option<usize> {
    let (index, end) = (row.position(time), later(time, gap));
    if index == row.len() || row.pane(index).start >= end {
        if row.len() as i64 >= PARTS_MAX {
            return None;
        }
        row.insert(index, Pane::new(time, end, fresh()));
        return Some(index);
    }
    // A session is as long as the gap at least, so the event reaches at most one more.
    let meets = index + 1 < row.len() && row.pane(index + 1).start < end;
    let met = meets.then(|| row.remove(index + 1));
    let pane = row.pane_mut(index);
    pane.extend(time, end);
    if let Some(met) = met {
        (pane.end, pane.early) = (pane.end.max(met.end), EventTime::MAX);
        merge(&mut pane.state, &met.state);
    }
    Some(index)
}

/// An event of the only window there is, which closes at `limit` if it is new.
fn count<S>(
    row: &mut OpenWindows<S>,
    time: EventTime,
    limit: EventTime,
    fresh: impl FnOnce() -> S,
) -> usize {
    let end = later(time, 1);
    if row.is_empty() {
        (row.next, row.count) = (limit, 0);
        row.insert(0, Pane::new(time, end, fresh()));
    }
    row.count += 1;
    row.pane_mut(0).extend(time, end);
    0
}
