//! Timers: what fires in the rows of a timed table.

use core::cell::RefCell;

use alloc::rc::Rc;

use crate::consumers::Consumers;
use crate::firings::{Firings, fire_rows};
use crate::flow::Context;
use crate::host::{Cause, FireStage, Hint, Host, Origin, Timing, UnderWay};
use crate::key::Key;
use crate::outputs::Outputs;
use crate::table::{Rows, Timed, TimedRef, TimedRow};
use crate::time::{Duration, EventTime};
use crate::value::State;

/// What is due in a timed table: timers, and rows that expire.
pub(crate) struct TimerStage<K, S, R: Outputs, F> {
    table: TimedRef<K, S>,
    handler: F,
    firings: RefCell<Firings<K, R::Event>>,
    next: Rc<Consumers<R::Event, K>>,
}

impl<K: Key, S: State> TimerStage<K, S, (), fn(&mut TimedRow<'_, K, S>)> {
    /// Of a table whose rows only expire.
    // cold: while the application is described
    pub(crate) fn without_handler(table: TimedRef<K, S>) -> Self {
        Self::new(table, |_| (), Consumers::new())
    }
}

impl<K, S, R, F> TimerStage<K, S, R, F>
where
    K: Key,
    S: State,
    R: Outputs,
    F: for<'b> Fn(&mut TimedRow<'b, K, S>) -> R,
{
    // cold: while the application is described
    pub(crate) fn new(table: TimedRef<K, S>, handler: F, next: Rc<Consumers<R::Event, K>>) -> Self {
        Self { table, handler, firings: Firings::new(), next }
    }

    /// Fires what is due at `until` in one row, as long as there is room.
    fn fire_row(
        &self,
        rows: &mut Rows<K, Timed<S>>,
        slot: u32,
        (until, cause): (EventTime, &Cause),
        firings: &mut Firings<K, R::Event>,
        context: &mut Context<'_>,
    ) {
        let table = &self.table.of;
        let (at_end, expires) = (until == EventTime::MAX, self.table.expires());
        while !firings.is_full() {
            let Some(state) = rows.try_state(slot) else { return };
            let due = if at_end { state.timer() } else { state.due(expires) };
            if due > until || due == EventTime::MAX {
                break;
            }
            let expired = due < state.timer();
            let row = rows.changing(table.id, slot, context.host);
            let hash = row.key.hash();
            let removed = expired || {
                let due = row.state.take_timer();
                let origin = Origin::of_due(table.id, hash, due);
                firings.add(
                    (&row.key, hash),
                    Cause { origin, ..*cause },
                    timing(due),
                    context.under_way,
                );
                let mut row = TimedRow::of_timer(&row.key, &mut row.state, due);
                (self.handler)(&mut row).each(|event| firings.push(event));
                if at_end {
                    // Or it would fire when the application goes on from a checkpoint.
                    row.clear_timer();
                }
                row.is_removed()
            };
            if removed {
                return table.remove(rows, hash, slot, context.host);
            }
            if at_end {
                return;
            }
        }
        // After the end of time nothing is due any more.
        if let Some(state) = rows.try_state(slot).filter(|_| !at_end) {
            self.table.hint(state, slot, context.host);
        }
    }
}

/// Of what a timer emits: what comes out of the row after it has a greater time.
fn timing(due: EventTime) -> Timing {
    Timing { time: due, own: EventTime::MIN, watermark: due - Duration::from_nanos(1) }
}

impl<K, S, R, F> FireStage for TimerStage<K, S, R, F>
where
    K: Key,
    S: State,
    R: Outputs,
    F: for<'b> Fn(&mut TimedRow<'b, K, S>) -> R,
{
    fn fire(
        &self,
        hints: &[Hint],
        until: EventTime,
        cause: &Cause,
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> usize {
        let (rows, out) = (&self.table.of.rows, (&self.firings, &*self.next));
        let mut context = Context { host, under_way, own: &mut [] };
        fire_rows(hints, rows, out, &mut context, |rows, slot, firings, context| {
            self.fire_row(rows, slot, (until, cause), firings, context);
        })
    }

    // cold: after a recovery
    fn hint_all(&self, host: &mut dyn Host) {
        self.table.of.hint_all(host, |row| row.due(self.table.expires()));
    }
}
