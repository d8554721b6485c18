//! Update: a handler changes the state of each event's key.

use super::Keyed;
use crate::key::Key;
use crate::outputs::Outputs;
use crate::tables::HasState;
use crate::value::{Event, View};

impl<E: Event, K: Key> Keyed<E, K> {
    /// Updates the state that `table` has for the key of each event.
    ///
    /// The handler returns what it emits: see [`Outputs`].
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("longest");
    /// let counts = app.table::<u64, u64>("counts");
    /// let lines = app.source("lines", LineText::new()).key_by(|line| line.len() as u64);
    /// lines
    ///     .update(&counts, |count, line| {
    ///         *count += 1;
    ///         (*count == 2).then(|| format!("{line} is the second one"))
    ///     })
    ///     .sink("seconds", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"to\nor\nnot\n");
    /// assert_eq!(reference.output("seconds"), b"or is the second one\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    pub fn update<T, R, F>(&self, table: &T, handler: F) -> Keyed<R::Event, K>
    where
        T: HasState<K>,
        R: Outputs,
        F: for<'a> Fn(&mut T::State, View<'a, E>) -> R + Send + Sync + 'static,
    {
        let (next, of) = self.updated(table, R::EMITS);
        table.update(of, handler);
        next
    }
}
