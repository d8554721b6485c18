//! Timed tables: each row has a timer, or goes when its key was not touched for long.

use core::cell::RefCell;

use alloc::format;
use alloc::rc::Rc;

use super::has_state::HasState;
use crate::draft::{Draft, DraftTimed, StepId};
use crate::host::{FireStage, TableId};
use crate::key::Key;
use crate::outputs::{Out, Outputs};
use crate::table::{Rows, TableRef, Timed, TimedRef, TimedRow};
use crate::time::{DURATION_MAX, Duration};
use crate::updates::{TimerStage, Updating, update_timed};
use crate::value::{Event, State, View};

/// A table whose rows have timers, or expire: see
/// [`Table::timers`](super::Table::timers) and [`Table::expire_after`](super::Table::expire_after).
pub struct TimedTable<K, S> {
    pub(crate) of: TimedRef<K, S>,
    pub(crate) draft: Rc<RefCell<Draft>>,
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
        let of = TimedRef::new(of);
        let stage: Rc<dyn FireStage> = Rc::new(TimerStage::without_handler(of.clone()));
        let timed = DraftTimed::new(stage.clone());
        draft.borrow_mut().time_table(of.of.id, of.of.rows.clone(), timed);
        of.set_stage(stage);
        Self { of, draft }
    }

    /// As [`Table::timers`](super::Table::timers), for a table whose rows also expire.
    #[must_use]
    pub fn timers(self) -> Self {
        self.draft.borrow_mut().timed(self.of.of.id).has_timers = true;
        self
    }

    /// As [`Table::expire_after`](super::Table::expire_after), for a table whose rows also have
    /// timers. A timer that fires does not count as an event of the key.
    #[must_use]
    pub fn expire_after(self, longest: Duration) -> Self {
        self.expire(longest, "expire_after")
    }

    /// The same for an operator that calls it `what`.
    fn expire(self, longest: Duration, what: &str) -> Self {
        let is_sound = (Duration::from_nanos(1)..=DURATION_MAX).contains(&longest);
        if !is_sound {
            self.draft.borrow_mut().wrong_duration(self.of.of.id, what);
        }
        self.of.expire_after(longest);
        self
    }

    /// The table of an operator `verb` with this name, whose rows say nothing but when their key
    /// was met.
    // cold: while the application is described
    pub(crate) fn of_operator(
        (draft, name, verb): (&Rc<RefCell<Draft>>, &str, &'static str),
        longest: Duration,
    ) -> Self
    where
        S: Default,
    {
        let rows = Rc::new(RefCell::new(Rows::new(Rc::new(|_: &K| S::default()))));
        let id = draft.borrow_mut().table(name, rows.clone());
        draft.borrow_mut().operator(id, verb, format!("{longest:?}"));
        Self::new(&TableRef { id, rows }, draft.clone()).expire(longest, verb)
    }

    /// Goes on from checkpoints in which the states of this table were still an `Old`: see
    /// [`Table::migrating`](super::Table::migrating).
    #[must_use]
    // cold: while the application is described
    pub fn migrating<Old: State>(self, convert: impl Fn(Old) -> S + Send + Sync + 'static) -> Self {
        let convert = Rc::new(convert);
        {
            let mut rows = self.of.of.rows.borrow_mut();
            let plain = convert.clone();
            rows.migrate(move |old: Old| Timed::new(plain(old)));
            rows.migrate(move |old: Timed<Old>| old.map(|old| convert(old)));
        }
        self
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
