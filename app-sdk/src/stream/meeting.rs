//! Meeting: two streams with one type of keys meet in the rows of a table that has no other use.
//!
//! Owns the ways into such a table and out of it. Each of the two streams is an update of it, so
//! levels, watermarks and the order of events follow as for all tables. What comes out has times of
//! its own, which differ from that of the event at hand, so it goes the way of what is due.
//!
//! ```text
//!   left  ── arrive ──┐                              ┌── next
//!                     ├──► a row: what both kept ────┤
//!   right ── arrive ──┘            ▲                 └── hints
//!                                  └── fire
//! ```
//!
//! A row has all events of its key, sorted, of both sides. That is simple, and right as long as few
//! events of a key wait: at most [`ROW_BYTES_MAX`](crate::kept::ROW_BYTES_MAX) of them, so that a
//! change of a row copies no more. Keys with longer histories would need several rows, by key and
//! time, of at most 16 KiB each.

use core::cell::RefCell;

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use super::Keyed;
use crate::consumers::Consumers;
use crate::draft::StepId;
use crate::firings::{Firings, fire_rows};
use crate::flow::{Batch, Context};
use crate::host::{
    BATCH_EVENTS, Cause, FireStage, Hint, Host, Inflow, SourceId, TableId, Timing, UnderWay,
};
use crate::kept::KeptCause;
use crate::key::Key;
use crate::table::{HintedRow, Rows, TableRef};
use crate::time::{EventTime, TOO_LATE};
use crate::value::{Event, State};

/// What a key has of both streams.
pub(super) trait MeetingRow: State + HintedRow {
    /// Nothing.
    fn new() -> Self;

    /// Whether it has nothing.
    fn is_empty(&self) -> bool;

    /// Makes it as a new one, which may keep some memory.
    fn clear(&mut self);
}

/// The watermarks of both streams.
#[derive(Clone, Copy)]
pub(super) struct SideMarks {
    pub(super) left: EventTime,
    pub(super) right: EventTime,
}

impl SideMarks {
    /// Of what comes out.
    pub(super) fn least(self) -> EventTime {
        self.left.min(self.right)
    }
}

/// A table that two streams meet in, and what takes what comes out of it.
pub(super) struct Meeting<K, S, O: Event> {
    table: TableRef<K, S>,
    left: Inflow,
    right: Inflow,
    /// Of the left stream.
    sources: Vec<SourceId>,
    firings: RefCell<Firings<K, O>>,
    next: Rc<Consumers<O, K>>,
}

/// What was described of an operator with two streams.
pub(super) struct Described<K: Key, S, O: Event> {
    pub(super) meeting: Meeting<K, S, O>,
    pub(super) next: Keyed<O, K>,
    pub(super) table: TableId,
    /// The update of the table by the right stream.
    pub(super) right: StepId,
    /// The right stream belongs to the same application.
    pub(super) is_ours: bool,
}

impl<E: Event, K: Key> Keyed<E, K> {
    /// Describes an operator `verb` in which this stream, the left one, meets `other`.
    // cold: while the application is described
    pub(super) fn meet<R: Event, S: MeetingRow, O: Event>(
        &self,
        other: &Keyed<R, K>,
        (verb, name, rule): (&'static str, &str, String),
    ) -> Described<K, S, O> {
        let is_ours = Rc::ptr_eq(&self.draft, &other.draft);
        let other = if is_ours { other.step } else { self.step };
        let rows = Rows::new(Rc::new(|_: &K| S::new())).cleared_by(S::clear);
        let rows = Rc::new(RefCell::new(rows));
        let mut draft = self.draft.borrow_mut();
        if !is_ours {
            draft.meet_foreign(self.step, verb);
        }
        let table = draft.table(name, rows.clone());
        draft.operator(table, verb, rule);
        let ([_, right], step) = draft.meet(table, [self.step, other]);
        let (left_inflow, right_inflow) = (draft.inflow(self.step), draft.inflow(other));
        let sources = draft.sources_of(self.step);
        drop(draft);
        let next = Keyed::new(self.draft.clone(), step);
        let meeting = Meeting {
            table: TableRef { id: table, rows },
            left: left_inflow,
            right: right_inflow,
            sources,
            firings: Firings::new(),
            next: next.consumers.clone(),
        };
        Described { meeting, next, table, right, is_ours }
    }
}

/// An event that arrives.
pub(super) struct Arrival<'b, 'a, E: Event, K> {
    pub(super) batch: &'b Batch<'a, E, K>,
    pub(super) number: usize,
    pub(super) key: (&'b K, u64),
    pub(super) cause: &'b Cause,
    pub(super) timing: &'b Timing,
    pub(super) marks: SideMarks,
}

/// What takes what comes out.
pub(super) struct Emitter<'x, 'h, K, O: Event> {
    firings: &'x mut Firings<K, O>,
    next: &'x Consumers<O, K>,
    pub(super) context: &'x mut Context<'h>,
    /// No more comes out at once than there is room for.
    is_bounded: bool,
}

impl<K: Key, O: Event> Emitter<'_, '_, K, O> {
    /// Lets `make` emit what comes out of the row of `key` at `time`. Nothing comes out of that row
    /// later that is on time at or before `watermark`.
    pub(super) fn emit(
        &mut self,
        key: (&K, u64),
        cause: Cause,
        (time, watermark): (EventTime, EventTime),
        make: impl FnOnce(&mut Firings<K, O>),
    ) {
        if self.firings.is_full() {
            self.send();
        }
        let timing = Timing { time, own: EventTime::MIN, watermark };
        self.firings.add(key, cause, timing, self.context.under_way);
        make(self.firings);
    }

    /// Whether nothing more may come out.
    pub(super) fn is_full(&self) -> bool {
        self.is_bounded && self.firings.is_full()
    }

    fn send(&mut self) {
        self.firings.send(self.next, self.context);
    }
}

impl<K: Key, S: MeetingRow, O: Event> Meeting<K, S, O> {
    /// The cause of an event of the left stream that was kept.
    pub(super) fn cause(&self, kept: KeptCause) -> Cause {
        kept.cause(&self.sources)
    }

    /// The watermark of the stream that is not `side`; `None` if they have one.
    fn beside(&self, side: Inflow, host: &dyn Host) -> Option<EventTime> {
        (self.left != self.right).then(|| host.watermark(self.table.id, side))
    }

    /// Events of the left stream arrive: see [`arrive`](Self::arrive).
    pub(super) fn arrive_left<'a, E: Event>(
        &self,
        batch: &Batch<'a, E, K>,
        context: &mut Context<'_>,
        handle: impl FnMut(&mut S, Arrival<'_, 'a, E, K>, &mut Emitter<'_, '_, K, O>) -> EventTime,
    ) {
        let other = self.beside(self.left, context.host);
        let marks = |own: EventTime| SideMarks { left: own, right: other.unwrap_or(own) };
        self.arrive(batch, context, (true, marks), handle);
    }

    /// Events of the right stream arrive: see [`arrive`](Self::arrive).
    pub(super) fn arrive_right<'a, E: Event>(
        &self,
        batch: &Batch<'a, E, K>,
        context: &mut Context<'_>,
        refuses_late: bool,
        handle: impl FnMut(&mut S, Arrival<'_, 'a, E, K>, &mut Emitter<'_, '_, K, O>) -> EventTime,
    ) {
        let other = self.beside(self.right, context.host);
        let marks = |own: EventTime| SideMarks { left: other.unwrap_or(own), right: own };
        self.arrive(batch, context, (refuses_late, marks), handle);
    }

    /// `handle` takes each event, and returns when its row is due, at the end of time never. Late
    /// events go to the dead letters instead, if they are refused.
    fn arrive<'a, E, H>(
        &self,
        batch: &Batch<'a, E, K>,
        context: &mut Context<'_>,
        (refuses_late, marks): (bool, impl Fn(EventTime) -> SideMarks),
        mut handle: H,
    ) where
        E: Event,
        H: FnMut(&mut S, Arrival<'_, 'a, E, K>, &mut Emitter<'_, '_, K, O>) -> EventTime,
    {
        let mut rows = self.table.rows.borrow_mut();
        let firings = &mut Firings::begin(&self.firings, BATCH_EVENTS);
        let mut emitter = Emitter { firings, next: &self.next, context, is_bounded: false };
        for (number, place) in batch.each() {
            // What came out of the event before was noted instead.
            batch.note(emitter.context.under_way);
            emitter.context.under_way.begin(place);
            let (cause, timing) = (&batch.causes[place], &batch.timings[place]);
            if let Some(by) = timing.late_by(timing.time).filter(|_| refuses_late) {
                emitter.context.host.late(self.table.id, by);
                emitter.context.host.refuse(cause, TOO_LATE, &[]);
                continue;
            }
            let slot = self.table.locate(&mut rows, batch, place, emitter.context.host);
            let row = rows.changing(self.table.id, slot, emitter.context.host);
            let (key, marks) = ((&row.key, batch.hashes[place]), marks(timing.watermark));
            let arrival = Arrival { batch, number, key, cause, timing, marks };
            let due = handle(&mut row.state, arrival, &mut emitter);
            self.leave(&mut rows, (slot, batch.hashes[place]), due, emitter.context.host);
        }
        emitter.send();
    }

    /// A row has changed, and is due at `due`.
    fn leave(
        &self,
        rows: &mut Rows<K, S>,
        (slot, hash): (u32, u64),
        due: EventTime,
        host: &mut dyn Host,
    ) {
        let Some(row) = rows.try_state(slot) else { return };
        if row.is_empty() {
            return self.table.remove(rows, hash, slot, host);
        }
        self.table.hint(row, (slot, due), host);
    }

    /// As [`FireStage::fire`]: `fire` lets come out of a row what is due, as long as there is room,
    /// and returns when the row is due next.
    pub(super) fn fire(
        &self,
        (hints, until): (&[Hint], EventTime),
        (under_way, host): (&UnderWay, &mut dyn Host),
        mut fire: impl FnMut(&mut S, (&K, u64), SideMarks, &mut Emitter<'_, '_, K, O>) -> EventTime,
    ) -> usize {
        let left = self.beside(self.right, host).unwrap_or(until);
        let marks = SideMarks { left, right: until };
        let (rows, out) = (&self.table.rows, (&self.firings, &*self.next));
        let mut context = Context { host, under_way, own: &mut [] };
        fire_rows(hints, rows, out, &mut context, |rows, slot, firings, context| {
            let row = rows.changing(self.table.id, slot, context.host);
            let hash = row.key.hash();
            let mut emitter = Emitter { firings, next: &self.next, context, is_bounded: true };
            let due = fire(&mut row.state, (&row.key, hash), marks, &mut emitter);
            self.leave(rows, (slot, hash), due, context.host);
        })
    }

    /// As [`FireStage::hint_all`], where `due` says when a row is.
    // cold: after a recovery
    pub(super) fn hint_all(&self, host: &mut dyn Host, due: impl Fn(&S) -> EventTime) {
        self.table.hint_all(host, |row| due(row));
    }
}

impl<K: Key, S: MeetingRow, O: Event> Described<K, S, O> {
    /// What comes out of the operator; `due_by_right`: by the watermark of the right stream alone.
    // cold: while the application is described
    pub(super) fn finish(
        next: Keyed<O, K>,
        table: TableId,
        stage: Rc<dyn FireStage>,
        due_by: Option<StepId>,
    ) -> Keyed<O, K> {
        next.draft.borrow_mut().operator_is_due(table, stage, next.step, due_by);
        next
    }
}
