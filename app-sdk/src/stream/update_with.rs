//! Update with a row: a handler sees the row of each event's key, and emits what it likes.

use super::Keyed;
use crate::key::Key;
use crate::outputs::Out;
use crate::tables::HasState;
use crate::value::{Event, View};

impl<E: Event, K: Key> Keyed<E, K> {
    /// As [`update`](Self::update), for handlers that need the key, remove the row or emit a
    /// varying number of events.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("pairs");
    /// let waiting = app.table::<u64, String>("waiting");
    /// let lines = app.source("lines", LineText::new()).key_by(|line| line.len() as u64);
    /// lines
    ///     .update_with(&waiting, |waiting, line, out| match waiting.is_empty() {
    ///         true => waiting.push_str(line),
    ///         false => {
    ///             out.emit(format!("{} {line} of {}", **waiting, waiting.key()));
    ///             waiting.remove();
    ///         }
    ///     })
    ///     .sink("pairs", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to\nnot\nbe\n");
    /// assert_eq!(reference.output("pairs"), b"to be of 2\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn update_with<T, O, F>(&self, table: &T, handler: F) -> Keyed<O, K>
    where
        T: HasState<K>,
        O: Event,
        F: for<'a, 'b> Fn(&mut T::Row<'b>, View<'a, E>, &mut Out<O>) + Send + Sync + 'static,
    {
        let (next, of) = self.updated(table, true);
        table.update_with(of, handler);
        next
    }
}
