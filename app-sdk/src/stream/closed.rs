//! Closed: a handler is called with each window that closes, or is shown before.

use core::cell::RefCell;

use alloc::rc::Rc;

use crate::consumers::Consumers;
use crate::firings::{Firings, fire_rows};
use crate::flow::Context;
use crate::host::{BATCH_EVENTS, Cause, FireStage, Hint, Host, Origin, Timing, UnderWay};
use crate::key::Key;
use crate::outputs::Outputs;
use crate::table::Rows;
use crate::time::{Duration, EventTime};
use crate::value::State;
use crate::windows::{DueStep, Firing, OpenWindows, Window, WindowStage, WindowsRef};

/// What is due in windows.
pub(crate) struct CloseStage<K, S, R: Outputs, F> {
    windows: WindowsRef<K, S>,
    handler: F,
    firings: RefCell<Firings<K, R::Event>>,
    next: Rc<Consumers<R::Event, K>>,
}

/// How far to fire, and why.
#[derive(Clone, Copy)]
struct Reach<'a> {
    until: EventTime,
    cause: &'a Cause,
    /// An event of the key follows: its row is not removed.
    stays: bool,
}

impl<K: Key, S: State> CloseStage<K, S, (), fn(&S, &Window<'_, K>)> {
    /// Of windows that nothing takes yet.
    // cold: while the application is described
    pub(crate) fn without_handler(windows: WindowsRef<K, S>) -> Self {
        Self::new(windows, |_, _| (), Consumers::new())
    }
}

impl<K, S, R, F> CloseStage<K, S, R, F>
where
    K: Key,
    S: State,
    R: Outputs,
    F: for<'w> Fn(&S, &Window<'w, K>) -> R,
{
    // cold: while the application is described
    pub(crate) fn new(
        windows: WindowsRef<K, S>,
        handler: F,
        next: Rc<Consumers<R::Event, K>>,
    ) -> Self {
        Self { windows, handler, firings: Firings::new(), next }
    }

    /// Fires what is due in one row, as long as there is room.
    fn fire_row(
        &self,
        rows: &mut Rows<K, OpenWindows<S>>,
        slot: u32,
        reach: Reach<'_>,
        firings: &mut Firings<K, R::Event>,
        context: &mut Context<'_>,
    ) {
        let of = &self.windows.of;
        while !firings.is_full() {
            let Some(state) = rows.try_state(slot) else { return };
            if state.due > reach.until {
                break;
            }
            if state.is_empty() {
                if reach.stays {
                    break;
                }
                let hash = rows.changing(of.id, slot, context.host).key.hash();
                return of.remove(rows, hash, slot, context.host);
            }
            let row = rows.changing(of.id, slot, context.host);
            self.fire_next(&row.key, &mut row.state, reach, firings, context);
        }
        if let Some(state) = rows.try_state(slot) {
            self.windows.hint(state, slot, context.host);
        }
    }

    /// Fires what is due first in the row of a key.
    fn fire_next(
        &self,
        key: &K,
        row: &mut OpenWindows<S>,
        Reach { until, cause, .. }: Reach<'_>,
        firings: &mut Firings<K, R::Event>,
        context: &mut Context<'_>,
    ) {
        let rule = &self.windows.rule;
        let (due, step) = rule.next_step(row);
        if due > until {
            // It was due when less had come.
            return rule.settle(row);
        }
        let (table, hash) = (self.windows.of.id, key.hash());
        let mut begin = |time, of: u64| {
            let origin = Origin::of_due(table, of, due);
            let watermark = rule.watermark_before(due);
            let timing = Timing { time, own: EventTime::MIN, watermark };
            firings.add((key, hash), Cause { origin, ..*cause }, timing, context.under_way);
        };
        match step {
            DueStep::Close => {
                let (bounds, time) = rule.oldest(row);
                begin(time, hash);
                let window = Window::new(key, bounds, Firing::Closed);
                rule.with_oldest(row, |state| (self.handler)(state, &window))
                    .each(|event| firings.push(event));
                rule.close(row, due);
            }
            DueStep::Early(index) => {
                let (bounds, time) = rule.shown(row, index);
                // Another window may be due at the same moment.
                begin(time, hash.wrapping_add(bounds.0.nanos().cast_unsigned() | 1));
                let window = Window::new(key, bounds, Firing::Early);
                (self.handler)(&row.pane_mut(index).state, &window)
                    .each(|event| firings.push(event));
            }
        }
    }
}

impl<K, S, R, F> WindowStage<K, S> for CloseStage<K, S, R, F>
where
    K: Key,
    S: State,
    R: Outputs,
    F: for<'w> Fn(&S, &Window<'w, K>) -> R,
{
    #[cold]
    #[inline(never)]
    fn catch_up(
        &self,
        rows: &mut Rows<K, OpenWindows<S>>,
        slot: u32,
        until: EventTime,
        cause: &Cause,
        context: &mut Context<'_>,
    ) {
        let mut firings = Firings::begin(&self.firings, BATCH_EVENTS);
        // What closes only at the end of the input is the host's.
        let until = until.min(EventTime::MAX - Duration::from_nanos(2));
        let reach = Reach { until, cause, stays: true };
        loop {
            self.fire_row(rows, slot, reach, &mut firings, context);
            let is_full = firings.is_full();
            firings.send(&self.next, context);
            if !is_full {
                return;
            }
        }
    }

    fn show(
        &self,
        state: &S,
        window: Window<'_, K>,
        hash: u64,
        (cause, timing): (&Cause, Timing),
        context: &mut Context<'_>,
    ) {
        let mut firings = Firings::begin(&self.firings, BATCH_EVENTS);
        firings.add((window.key(), hash), *cause, timing, context.under_way);
        (self.handler)(state, &window).each(|event| firings.push(event));
        firings.send(&self.next, context);
    }
}

impl<K, S, R, F> FireStage for CloseStage<K, S, R, F>
where
    K: Key,
    S: State,
    R: Outputs,
    F: for<'w> Fn(&S, &Window<'w, K>) -> R,
{
    fn fire(
        &self,
        hints: &[Hint],
        until: EventTime,
        cause: &Cause,
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> usize {
        let (rows, out) = (&self.windows.of.rows, (&self.firings, &*self.next));
        let mut context = Context { host, under_way, own: &mut [] };
        let reach = Reach { until, cause, stays: false };
        fire_rows(hints, rows, out, &mut context, |rows, slot, firings, context| {
            self.fire_row(rows, slot, reach, firings, context);
        })
    }

    // cold: after a recovery
    fn hint_all(&self, host: &mut dyn Host) {
        self.windows.of.hint_all(host, |row| {
            // The wait may have been another one.
            self.windows.rule.settle(row);
            row.due
        });
    }
}
