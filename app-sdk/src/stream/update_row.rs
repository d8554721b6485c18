//! Update of a row: a handler sees the row of each event's key, and returns what it emits.

use super::Keyed;
use crate::key::Key;
use crate::outputs::Outputs;
use crate::tables::HasState;
use crate::value::{Event, View};

impl<E: Event, K: Key> Keyed<E, K> {
    /// As [`update`](Self::update), for handlers that need the key, remove the row, or set its
    /// timer.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("pairs");
    /// let waiting = app.table::<u64, String>("waiting");
    /// let lines = app.source("lines", LineText::new()).key_by(|line| line.len() as u64);
    /// lines
    ///     .update_row(&waiting, |waiting, line| match waiting.is_empty() {
    ///         true => {
    ///             waiting.push_str(line);
    ///             None
    ///         }
    ///         false => {
    ///             waiting.remove();
    ///             Some(format!("{} {line} of {}", **waiting, waiting.key()))
    ///         }
    ///     })
    ///     .sink("pairs", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to\nnot\nbe\n");
    /// assert_eq!(reference.output("pairs"), b"to be of 2\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn update_row<T, R, F>(&self, table: &T, handler: F) -> Keyed<R::Event, K>
    where
        T: HasState<K>,
        R: Outputs,
        F: for<'a, 'b> Fn(&mut T::Row<'b>, View<'a, E>) -> R + Send + Sync + 'static,
    {
        let (next, of) = self.updated(table, R::EMITS);
        table.update_row(of, handler);
        next
    }
}
