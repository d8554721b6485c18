//! What operators of a timed table share: its rows, when they expire, and what fires.
//!
//! What finds rows that are due is the host's: it keeps hints, and gives them back when their time
//! has come ([`FireStage`]). A row counts one hint at a time, the earliest, so a timer that moves
//! later or goes away costs nothing but a store.

use core::cell::{Cell, RefCell};

use alloc::rc::Rc;

use super::located::TableRef;
use super::rows::Rows;
use super::timed_row::Timed;
use crate::host::{Cause, FireStage, Hint, Host, UnderWay};
use crate::key::Key;
use crate::time::{Duration, EventTime};
use crate::value::State;

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
    /// The timed table in the place of a plain one that has no rows yet. Nothing fires before a
    /// stage is [set](Self::set_stage).
    // cold: while the application is described
    pub(crate) fn new(plain: &TableRef<K, S>) -> Self {
        let rows = Rc::new(RefCell::new(Rows::within(&plain.rows.borrow(), Timed::new)));
        let rule = Rule { expires: Cell::new(None), stage: RefCell::new(None) };
        Self { of: TableRef { id: plain.id, rows }, rule: Rc::new(rule) }
    }

    /// This is what fires from now on.
    // cold: while the application is described
    pub(crate) fn set_stage(&self, stage: Rc<dyn FireStage>) {
        *self.rule.stage.borrow_mut() = Some(stage);
    }

    /// Rows expire so long after they were touched.
    // cold: while the application is described
    pub(crate) fn expire_after(&self, longest: Duration) {
        self.rule.expires.set(Some(longest));
    }

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
        self.of.hint(row, (slot, due), host);
    }
}
