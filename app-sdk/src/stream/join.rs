//! Join: events of two streams whose times are near each other.

use alloc::format;
use alloc::rc::Rc;

use super::Keyed;
use super::interval::Interval;
use super::join_row::{JoinRow, LeftEvent};
use super::meeting::{Arrival, Described, Emitter, Meeting, SideMarks};
use crate::firings::Firings;
use crate::flow::{Batch, Context};
use crate::host::{Cause, FireStage, Hint, Host, UnderWay};
use crate::kept::{KeptCause, ROW_BYTES_MAX, ROW_FULL};
use crate::key::Key;
use crate::outputs::Outputs;
use crate::time::{Duration, EventTime};
use crate::value::{Event, View};

impl<E: Event, K: Key> Keyed<E, K> {
    /// Calls `handler` with each pair of an event and one of `other` that have the same key, and
    /// times that are as far apart as `within` says.
    ///
    /// - A pair is handled when the second of its events arrives. What the handler returns has the
    ///   later one of their times, and may be a [`reply`](Self::reply) to the second event.
    /// - Late events go to the dead letters: their partners may be forgotten. So do events whose
    ///   key has 64 KiB of events that may still find partners.
    ///
    /// Events are kept until no partner on time can come, in a table with this `name`.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// #[event]
    /// struct Order { id: u64, time: EventTime, cents: i64 }
    ///
    /// fn read(app: &Application, source: &str) -> Keyed<Order, u64> {
    ///     let lines = app.source(source, LineText::new());
    ///     let orders = lines.map(|line| {
    ///         let mut numbers = line.split(' ').map(|number| number.parse::<i64>().ok());
    ///         let mut number = || numbers.next().flatten();
    ///         let (id, millis, cents) = (number()?, number()?, number()?);
    ///         Some(Order { id: id.unsigned_abs(), time: EventTime::from_millis(millis), cents })
    ///     });
    ///     orders.event_time(|order| order.time, IN_ORDER).key_by(|order| order.id)
    /// }
    ///
    /// let app = Application::new("slippage");
    /// let (orders, fills) = (read(&app, "orders"), read(&app, "fills"));
    /// orders
    ///     .join("fills-of-orders", &fills, Interval::after(seconds(1)), |order, fill| {
    ///         format!("{} slipped by {}", order.id, fill.cents - order.cents)
    ///     })
    ///     .sink("slippage", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("orders", b"7 0 100\n8 0 100\n");
    /// reference.feed("fills", b"7 1 101\n7 1000 103\n8 1001 99\n");
    /// assert_eq!(reference.output("slippage"), b"7 slipped by 1\n7 slipped by 3\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn join<O, R, F>(
        &self,
        name: &str,
        other: &Keyed<O, K>,
        within: Interval,
        handler: F,
    ) -> Keyed<R::Event, K>
    where
        O: Event,
        R: Outputs,
        F: for<'a, 'b> Fn(View<'a, E>, View<'b, O>) -> R + Send + Sync + 'static,
    {
        self.joined(other, ("join", name, within), move |left, right, firings| {
            let right = right.expect("a left event without a partner is not handled");
            handler(left, right).each(|event| firings.push(event));
        })
    }

    /// As [`join`](Self::join), and calls `handler` once with each event without a partner, and
    /// `None`: when no partner on time can come any more. What it returns then has the last time
    /// that a partner could have had, or that of the event if that is later, and may be a
    /// [`reply`](Self::reply) to the event.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// # #[event]
    /// # struct Order { id: u64, time: EventTime }
    /// # fn read(app: &Application, source: &str) -> Keyed<Order, u64> {
    /// #     let lines = app.source(source, LineText::new());
    /// #     let orders = lines.map(|line| {
    /// #         let (id, millis) = line.split_once(' ')?;
    /// #         let time = EventTime::from_millis(millis.parse().ok()?);
    /// #         Some(Order { id: id.parse().ok()?, time })
    /// #     });
    /// #     orders.event_time(|order| order.time, IN_ORDER).key_by(|order| order.id)
    /// # }
    /// let app = Application::new("unfilled");
    /// let (orders, fills) = (read(&app, "orders"), read(&app, "fills"));
    /// orders
    ///     .join_left("unfilled", &fills, Interval::after(seconds(1)), |order, fill| {
    ///         fill.is_none().then(|| format!("{} is not filled", order.id))
    ///     })
    ///     .sink("unfilled", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("orders", b"7 0\n8 0\n9 500\n");
    /// reference.feed("fills", b"7 1\n9 1002\n");
    /// assert_eq!(reference.output("unfilled"), b"8 is not filled\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn join_left<O, R, F>(
        &self,
        name: &str,
        other: &Keyed<O, K>,
        within: Interval,
        handler: F,
    ) -> Keyed<R::Event, K>
    where
        O: Event,
        R: Outputs,
        F: for<'a, 'b> Fn(View<'a, E>, Option<View<'b, O>>) -> R + Send + Sync + 'static,
    {
        self.joined(other, ("join_left", name, within), move |left, right, firings| {
            handler(left, right).each(|event| firings.push(event));
        })
    }

    // cold: while the application is described
    fn joined<O, P, F>(
        &self,
        other: &Keyed<O, K>,
        (verb, name, interval): (&'static str, &str, Interval),
        handler: F,
    ) -> Keyed<P, K>
    where
        O: Event,
        P: Event,
        F: for<'a, 'b, 'c> Fn(View<'a, E>, Option<View<'b, O>>, &'c mut Firings<K, P>) + 'static,
    {
        if !interval.is_sound() {
            self.draft.borrow_mut().wrong_interval(name);
        }
        let described = self.meet(other, (verb, name, format!("{interval:?}")));
        let Described { meeting, next, table, right, is_ours } = described;
        let shows_single = verb == "join_left";
        let operator = Rc::new(Joined { meeting, interval, shows_single, handler });
        let of = operator.clone();
        self.consumers.add(move |batch, context| of.left(batch, context));
        if is_ours {
            let of = operator.clone();
            other.consumers.add(move |batch, context| of.right(batch, context));
        }
        let due_by = shows_single.then_some(right);
        Described::<K, JoinRow<E, O>, P>::finish(next, table, operator, due_by)
    }
}

/// See [`Keyed::join`].
struct Joined<E: Event, O: Event, K, P: Event, F> {
    meeting: Meeting<K, JoinRow<E, O>, P>,
    interval: Interval,
    /// Left events without a partner are handled, too.
    shows_single: bool,
    handler: F,
}

impl<E, O, K, P, F> Joined<E, O, K, P, F>
where
    E: Event,
    O: Event,
    K: Key,
    P: Event,
    F: for<'a, 'b, 'c> Fn(View<'a, E>, Option<View<'b, O>>, &'c mut Firings<K, P>),
{
    fn left(&self, batch: &Batch<'_, E, K>, context: &mut Context<'_>) {
        self.meeting.arrive_left(batch, context, |row, arrival, emitter| {
            let Arrival { batch, number, key, cause, timing, marks } = arrival;
            self.settle(row, key, marks, emitter);
            let kept = LeftEvent { cause: KeptCause::from(cause), has_partner: false };
            let bytes_max = ROW_BYTES_MAX.saturating_sub(row.right.memory_bytes());
            let append = |out: &mut _| batch.append(number, out);
            if !row.left.insert((timing.time, kept), bytes_max, append) {
                emitter.context.host.refuse(cause, ROW_FULL, &[]);
                return self.due(row, marks);
            }
            let place = row.left.until(timing.time) - 1;
            let (first, last) = self.interval.of_left(timing.time);
            let partners = row.right.within(first, last);
            row.left.beside_mut(place).has_partner = !partners.is_empty();
            for at in partners {
                let (left, right) = (row.left.view(place), row.right.view(at));
                let time = timing.time.max(row.right.time(at));
                emitter.emit(key, *cause, (time, marks.least()), |firings| {
                    (self.handler)(left, Some(right), firings);
                });
            }
            // It may be too late for further ones.
            self.settle(row, key, marks, emitter);
            self.due(row, marks)
        });
    }

    fn right(&self, batch: &Batch<'_, O, K>, context: &mut Context<'_>) {
        self.meeting.arrive_right(batch, context, true, |row, arrival, emitter| {
            let Arrival { batch, number, key, cause, timing, marks } = arrival;
            self.settle(row, key, marks, emitter);
            let bytes_max = ROW_BYTES_MAX.saturating_sub(row.left.memory_bytes());
            let append = |out: &mut _| batch.append(number, out);
            if !row.right.insert((timing.time, ()), bytes_max, append) {
                emitter.context.host.refuse(cause, ROW_FULL, &[]);
                return self.due(row, marks);
            }
            let place = row.right.until(timing.time) - 1;
            let (first, last) = self.interval.of_right(timing.time);
            for at in row.left.within(first, last) {
                row.left.beside_mut(at).has_partner = true;
                let (left, right) = (row.left.view(at), row.right.view(place));
                let time = timing.time.max(row.left.time(at));
                emitter.emit(key, *cause, (time, marks.least()), |firings| {
                    (self.handler)(left, Some(right), firings);
                });
            }
            row.forget_right(self.interval, marks);
            self.due(row, marks)
        });
    }

    /// When a row is due next.
    fn due(&self, row: &mut JoinRow<E, O>, marks: SideMarks) -> EventTime {
        if self.shows_single {
            row.put_off(self.interval, marks);
        }
        row.due(self.interval)
    }

    /// Forgets what finds no partner any more, and handles left events that found none.
    fn settle(
        &self,
        row: &mut JoinRow<E, O>,
        key: (&K, u64),
        marks: SideMarks,
        emitter: &mut Emitter<'_, '_, K, P>,
    ) {
        let done = row.left_done(self.interval, marks);
        let mut settled = 0;
        while settled < done.end && !emitter.is_full() {
            let LeftEvent { cause, has_partner } = *row.left.beside(settled);
            if self.shows_single && !has_partner {
                let (left, time) = (row.left.view(settled), row.left.time(settled));
                let due = self.interval.of_left(time).1;
                let watermark = marks.least().min(due - Duration::from_nanos(1));
                let cause = self.meeting.cause(cause);
                emitter.emit(key, cause, (time.max(due), watermark), |firings| {
                    (self.handler)(left, None, firings);
                });
            }
            settled += 1;
        }
        row.left.remove(0..settled);
        row.forget_right(self.interval, marks);
    }
}

impl<E, O, K, P, F> FireStage for Joined<E, O, K, P, F>
where
    E: Event,
    O: Event,
    K: Key,
    P: Event,
    F: for<'a, 'b, 'c> Fn(View<'a, E>, Option<View<'b, O>>, &'c mut Firings<K, P>),
{
    fn fire(
        &self,
        hints: &[Hint],
        until: EventTime,
        _: &Cause,
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) -> usize {
        self.meeting.fire((hints, until), (under_way, host), |row, key, marks, emitter| {
            self.settle(row, key, marks, emitter);
            self.due(row, marks)
        })
    }

    // cold: after a recovery
    fn hint_all(&self, host: &mut dyn Host) {
        self.meeting.hint_all(host, |row| row.due(self.interval));
    }
}
