//! Plain tables: a state for each key.

use core::cell::RefCell;

use alloc::rc::Rc;

use super::has_state::HasState;
use super::timed::TimedTable;
use crate::draft::{Draft, StepId};
use crate::host::TableId;
use crate::key::Key;
use crate::outputs::{Out, Outputs};
use crate::table::{Entry, TableRef};
use crate::time::Duration;
use crate::updates::{Updating, update_plain, update_plain_row, update_plain_with};
use crate::value::{Event, State, View};

/// A named table from `K` to `S`; see [`Application::table`](crate::Application::table).
pub struct Table<K, S> {
    of: TableRef<K, S>,
    draft: Rc<RefCell<Draft>>,
}

impl<K, S> Clone for Table<K, S> {
    fn clone(&self) -> Self {
        Self { of: self.of.clone(), draft: self.draft.clone() }
    }
}

impl<K: Key, S: State> HasState<K> for Table<K, S> {
    type State = S;
    type Row<'b> = Entry<'b, K, S>;

    fn check(&self, draft: &mut Draft, parent: StepId) -> TableId {
        draft.check_table(&self.of, parent);
        self.of.id
    }

    fn update<E, R, F>(&self, of: Updating<'_, E, K, R::Event>, handler: F)
    where
        E: Event,
        R: Outputs,
        F: for<'a> Fn(&mut S, View<'a, E>) -> R + 'static,
    {
        update_plain(of, self.of.clone(), handler);
    }

    fn update_row<E, R, F>(&self, of: Updating<'_, E, K, R::Event>, handler: F)
    where
        E: Event,
        R: Outputs,
        F: for<'a, 'b> Fn(&mut Entry<'b, K, S>, View<'a, E>) -> R + 'static,
    {
        update_plain_row(of, self.of.clone(), handler);
    }

    fn update_with<E, O, F>(&self, of: Updating<'_, E, K, O>, handler: F)
    where
        E: Event,
        O: Event,
        F: for<'a, 'b> Fn(&mut Entry<'b, K, S>, View<'a, E>, &mut Out<O>) + 'static,
    {
        update_plain_with(of, self.of.clone(), handler);
    }
}

impl<K: Key, S: State> Table<K, S> {
    // cold: while the application is described
    pub(crate) fn new(draft: Rc<RefCell<Draft>>, of: TableRef<K, S>) -> Self {
        Self { of, draft }
    }

    /// Gives each row a timer, for streams whose events have a time: see
    /// [`TimedTable::on_timer`].
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("pings");
    /// let waiting = app.table::<u64, u64>("waiting").timers();
    /// app.source("pings", LineText::new())
    ///     .map(|line| line.parse::<i64>().ok())
    ///     .event_time(|millis| EventTime::from_millis(millis), IN_ORDER)
    ///     .key_by(|millis| millis.unsigned_abs() % 10)
    ///     .update_row(&waiting, |row, _| {
    ///         **row += 1;
    ///         row.set_timer_in(millis(50));
    ///     });
    /// waiting
    ///     .on_timer(|row| format!("{} fell silent at {} after {}", row.key(), row.time(), **row))
    ///     .sink("silent", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("pings", b"1000\n1040\n1091\n");
    /// assert_eq!(reference.output("silent"), b"0 fell silent at 1.090000000 after 2\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    #[must_use]
    pub fn timers(self) -> TimedTable<K, S> {
        TimedTable::with_timers(&self.of, self.draft)
    }

    /// Forgets each row when no event of its key came for `longest`, by the time of the events.
    ///
    /// A row goes when the watermark has passed the newest time of its events by `longest`. The end
    /// of the input removes nothing. Handlers see the table as before.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("counts");
    /// let counts = app.table::<u64, u64>("counts").expire_after(millis(10));
    /// app.source("lines", LineText::new())
    ///     .map(|line| line.parse::<i64>().ok())
    ///     .event_time(|millis| EventTime::from_millis(millis), IN_ORDER)
    ///     .key_by(|_| 7_u64)
    ///     .update(&counts, |count, millis| {
    ///         *count += 1;
    ///         format!("{count} at {millis}")
    ///     })
    ///     .sink("counts", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"0\n10\n21\n");
    /// assert_eq!(reference.output("counts"), b"1 at 0\n2 at 10\n1 at 21\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    #[must_use]
    pub fn expire_after(self, longest: Duration) -> TimedTable<K, S> {
        TimedTable::expiring(&self.of, self.draft, longest)
    }

    /// Goes on from checkpoints in which the states of this table were still an `Old`. One
    /// conversion for each former shape: all lead to the present one.
    ///
    /// The old type keeps its name and its fields, in a module of its own:
    ///
    /// ```
    /// use potoroo_sdk::prelude::*;
    ///
    /// mod v1 {
    ///     use potoroo_sdk::prelude::*;
    ///     #[state]
    ///     pub struct Position {
    ///         pub quantity: i64,
    ///     }
    /// }
    ///
    /// #[state]
    /// struct Position {
    ///     quantity: i64,
    ///     limit: u64,
    /// }
    ///
    /// let app = Application::new("positions");
    /// let positions = app
    ///     .table::<Symbol, Position>("positions")
    ///     .migrating(|old: v1::Position| Position { quantity: old.quantity, limit: 1000 });
    /// ```
    #[must_use]
    pub fn migrating<Old: State>(self, convert: impl Fn(Old) -> S + Send + Sync + 'static) -> Self {
        self.of.rows.borrow_mut().migrate(convert);
        self
    }
}
