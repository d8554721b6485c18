//! Timed tables: each row has a timer, or goes when its key was not touched for long.
//!
//! Owns what a row has beside its state, and the moment at which it is due. What finds rows that
//! are due is the host's: it keeps hints, and gives them back when their time has come
//! ([`FireStage`]). A row counts one hint at a time, the earliest, so a timer that moves later or
//! goes away costs nothing but a store.
//!
//! Must never do: let a row be due without a hint at or before that moment.

use core::cell::{Cell, RefCell};
use core::fmt::{self, Debug};
use core::ops::{Deref, DerefMut};

use alloc::rc::Rc;
use alloc::string::String;

use rkyv::{Archive, Deserialize, Serialize, with::Skip};

use super::HasState;
use super::hinted::Hinted;
use super::located::TableRef;
use super::rows::Rows;
use crate::draft::{Draft, DraftTimed, StepId};
use crate::host::{Cause, FireStage, Hint, Host, TableId, UnderWay};
use crate::key::Key;
use crate::outputs::{Out, Outputs};
use crate::stream::{Keyed, TimerStage, Updating, update_timed};
use crate::time::{DURATION_MAX, Duration, EventTime};
use crate::value::support::JsonFields;
use crate::value::{Event, Schema, State, View, schema_field, schema_start};

/// A state and what belongs to its time: 24 bytes more.
#[derive(Clone, Archive, Serialize, Deserialize)]
pub(crate) struct Timed<S> {
    /// When the timer fires; the end of time for none.
    timer: EventTime,
    /// The newest time of the events of its key.
    touched: EventTime,
    /// The hint that counts.
    #[rkyv(with = Skip)]
    hinted: Hinted,
    pub(crate) state: S,
}

impl<S> Timed<S> {
    pub(super) fn new(state: S) -> Self {
        Self { timer: EventTime::MAX, touched: EventTime::MIN, hinted: Hinted::default(), state }
    }

    /// When it is due, in a table whose rows expire so long after they were touched; at the end of
    /// time: never.
    #[inline]
    pub(crate) fn due(&self, expires: Option<Duration>) -> EventTime {
        match expires {
            None => self.timer,
            Some(longest) => self.timer.min(self.touched + longest),
        }
    }

    /// Takes a hint that has come back. Returns whether it counts.
    #[inline]
    pub(crate) fn take_hint(&mut self, due: EventTime) -> bool {
        self.hinted.take(due)
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

/// What operators of a timed table share.
pub(crate) struct TimedRef<K, S> {
    pub(crate) of: TableRef<K, Timed<S>>,
    rule: Rc<Rule>,
}

struct Rule {
    expires: Cell<Option<Duration>>,
    /// What fires; it may be replaced while the application is described.
    stage: RefCell<Option<Rc<dyn FireStage>>>,
}

impl<K, S> Clone for TimedRef<K, S> {
    fn clone(&self) -> Self {
        Self { of: self.of.clone(), rule: self.rule.clone() }
    }
}

impl<K: Key, S: State> TimedRef<K, S> {
    /// How long after they were touched rows expire.
    #[inline]
    pub(crate) fn expires(&self) -> Option<Duration> {
        self.rule.expires.get()
    }

    /// Fires what is due at `until` in the row in `slot`, before an event with this cause.
    #[cold]
    #[inline(never)]
    pub(crate) fn catch_up(
        &self,
        slot: u32,
        until: EventTime,
        cause: &Cause,
        under_way: &UnderWay,
        host: &mut dyn Host,
    ) {
        let stage = self.rule.stage.borrow().clone().expect("a timed table has a stage");
        let until = until.min(EventTime::MAX - Duration::from_nanos(1));
        // Each call fires a bounded number.
        loop {
            let hint = {
                let mut rows = self.of.rows.borrow_mut();
                let Some(row) = rows.try_state(slot) else { break };
                let due = row.due(self.expires());
                if due > until {
                    break;
                }
                row.hinted.set(due);
                Hint { due, slot }
            };
            stage.fire(&[hint], until, cause, under_way, host);
        }
    }

    /// Hints at the row in `slot` when it is due earlier than it was hinted at.
    #[inline]
    pub(crate) fn hint(&self, row: &mut Timed<S>, slot: u32, host: &mut dyn Host) {
        let due = row.due(self.expires());
        if let Some(due) = row.hinted.at(due) {
            host.hint(self.of.id, Hint { due, slot });
        }
    }
}

/// A table whose rows have timers, or expire: see [`Table::timers`] and [`Table::expire_after`].
pub struct TimedTable<K, S> {
    of: TimedRef<K, S>,
    draft: Rc<RefCell<Draft>>,
}

impl<K, S> Clone for TimedTable<K, S> {
    fn clone(&self) -> Self {
        Self { of: self.of.clone(), draft: self.draft.clone() }
    }
}

impl<K: Key, S: State> TimedTable<K, S> {
    // cold: while the application is described
    pub(super) fn with_timers(of: &TableRef<K, S>, draft: Rc<RefCell<Draft>>) -> Self {
        Self::new(of, draft).timers()
    }

    // cold: while the application is described
    pub(super) fn expiring(
        of: &TableRef<K, S>,
        draft: Rc<RefCell<Draft>>,
        longest: Duration,
    ) -> Self {
        Self::new(of, draft).expire_after(longest)
    }

    // cold: while the application is described
    fn new(of: &TableRef<K, S>, draft: Rc<RefCell<Draft>>) -> Self {
        let rows = Rc::new(RefCell::new(Rows::timed(&of.rows.borrow())));
        let (expires, stage) = (Cell::new(None), RefCell::new(None));
        let of = TimedRef {
            of: TableRef { id: of.id, rows: rows.clone() },
            rule: Rc::new(Rule { expires, stage }),
        };
        let stage: Rc<dyn FireStage> = Rc::new(TimerStage::without_handler(of.clone()));
        draft.borrow_mut().time_table(of.of.id, rows, DraftTimed::new(stage.clone()));
        *of.rule.stage.borrow_mut() = Some(stage);
        Self { of, draft }
    }

    /// As [`Table::timers`], for a table whose rows also expire.
    #[must_use]
    pub fn timers(self) -> Self {
        self.draft.borrow_mut().timed(self.of.of.id).has_timers = true;
        self
    }

    /// As [`Table::expire_after`], for a table whose rows also have timers. A timer that fires does
    /// not count as an event of the key.
    #[must_use]
    pub fn expire_after(self, longest: Duration) -> Self {
        let is_sound = (Duration::from_nanos(1)..=DURATION_MAX).contains(&longest);
        if !is_sound {
            self.draft.borrow_mut().wrong_duration(self.of.of.id, "expire_after");
        }
        self.of.rule.expires.set(Some(longest));
        self
    }

    /// Goes on from checkpoints in which the states of this table were still an `Old`: see
    /// [`Table::migrating`].
    #[must_use]
    pub fn migrating<Old: State>(self, convert: impl Fn(Old) -> S + Send + Sync + 'static) -> Self {
        let convert = Rc::new(convert);
        {
            let mut rows = self.of.of.rows.borrow_mut();
            let plain = convert.clone();
            rows.stored.migrate(move |old: Old| Timed::new(plain(old)));
            rows.stored.migrate(move |old: Timed<Old>| {
                let Timed { timer, touched, hinted, state } = old;
                Timed { timer, touched, hinted, state: convert(state) }
            });
        }
        self
    }

    /// Calls `handler` with each row whose timer has come. The handler may change the row, set its
    /// timer again, remove it, and returns what it emits: see [`Outputs`].
    ///
    /// - A timer set to `t` fires when the watermark has reached `t`: when nothing on time at or
    ///   before `t` can come any more. It fires before any event of its row that comes after that.
    /// - What it emits has the time `t`. The timer is gone then, unless the handler sets it again.
    /// - When the input ends, each timer fires once, whatever its time. One that is set then does
    ///   not fire.
    ///
    /// Describe all updates of the table before.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// #[event]
    /// struct Step { order: u64, time: EventTime, fill: bool }
    ///
    /// let app = Application::new("timeouts");
    /// let open = app.table::<u64, ()>("open").timers();
    /// app.source("steps", LineText::new())
    ///     .map(|line| {
    ///         let mut words = line.split(' ');
    ///         let order = words.next()?.parse().ok()?;
    ///         let time = EventTime::from_millis(words.next()?.parse().ok()?);
    ///         Some(Step { order, time, fill: words.next() == Some("fill") })
    ///     })
    ///     .event_time(|step| step.time, IN_ORDER)
    ///     .key_by(|step| step.order)
    ///     .update_row(&open, |order, step| match step.fill {
    ///         true => order.remove(),
    ///         false => order.set_timer_in(millis(50)),
    ///     });
    /// open.on_timer(|order| {
    ///     order.remove();
    ///     format!("cancel {}", order.key())
    /// })
    /// .sink("cancels", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("steps", b"1 0\n2 0\n1 50 fill\n3 51\n");
    /// assert_eq!(reference.output("cancels"), b"cancel 2\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn on_timer<R, F>(&self, handler: F) -> Keyed<R::Event, K>
    where
        R: Outputs + 'static,
        F: for<'b> Fn(&mut TimedRow<'b, K, S>) -> R + Send + Sync + 'static,
    {
        let step = self.draft.borrow_mut().on_timer(self.of.of.id);
        let next = Keyed::new(self.draft.clone(), step);
        let stage = TimerStage::new(self.of.clone(), handler, next.consumers.clone());
        let stage: Rc<dyn FireStage> = Rc::new(stage);
        self.draft.borrow_mut().timed(self.of.of.id).stage = stage.clone();
        *self.of.rule.stage.borrow_mut() = Some(stage);
        next
    }
}

impl<K: Key, S: State> HasState<K> for TimedTable<K, S> {
    type State = S;
    type Row<'b> = TimedRow<'b, K, S>;

    fn check(&self, draft: &mut Draft, parent: StepId) -> TableId {
        draft.check_table(&self.of.of, parent);
        draft.check_timed(self.of.of.id, parent);
        self.of.of.id
    }

    fn update<E, R, F>(&self, of: Updating<'_, E, K, R::Event>, handler: F)
    where
        E: Event,
        R: Outputs,
        F: for<'a> Fn(&mut S, View<'a, E>) -> R + 'static,
    {
        update_timed(of, self.of.clone(), move |row, event, made, place| {
            handler(row, event).each(|event| made.push(event, place));
        });
    }

    fn update_row<E, R, F>(&self, of: Updating<'_, E, K, R::Event>, handler: F)
    where
        E: Event,
        R: Outputs,
        F: for<'a, 'b> Fn(&mut TimedRow<'b, K, S>, View<'a, E>) -> R + 'static,
    {
        update_timed(of, self.of.clone(), move |row, event, made, place| {
            handler(row, event).each(|event| made.push(event, place));
        });
    }

    fn update_with<E, O, F>(&self, of: Updating<'_, E, K, O>, handler: F)
    where
        E: Event,
        O: Event,
        F: for<'a, 'b> Fn(&mut TimedRow<'b, K, S>, View<'a, E>, &mut Out<O>) + 'static,
    {
        let out = RefCell::new(Out::new());
        update_timed(of, self.of.clone(), move |row, event, made, place| {
            let mut out = out.borrow_mut();
            handler(row, event, &mut out);
            out.drain().for_each(|event| made.push(event, place));
        });
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
