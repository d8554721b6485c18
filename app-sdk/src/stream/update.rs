//! Update: a handler changes the state of each event's key.

use super::Keyed;
use super::updating::Updating;
use crate::batch_output::BatchOutput;
use crate::key::Key;
use crate::outputs::Outputs;
use crate::table::{HasState, TableRef};
use crate::value::{Event, State, View};

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

/// Changes the state of each event's key in a plain table.
pub(crate) fn update_plain<E, K, S, R, F>(
    of: Updating<'_, E, K, R::Event>,
    table: TableRef<K, S>,
    handler: F,
) where
    E: Event,
    K: Key,
    S: State,
    R: Outputs,
    F: for<'a> Fn(&mut S, View<'a, E>) -> R + 'static,
{
    let Updating { stream, next, .. } = of;
    let made = BatchOutput::new();
    stream.add(move |batch, context| {
        let (mut rows, mut made) = (table.rows.borrow_mut(), BatchOutput::begin(&made));
        batch.note(context.under_way);
        for (number, place) in batch.each() {
            let event = batch.begin(number, place, context.under_way);
            let mut handle =
                |state: &mut S| handler(state, event).each(|event| made.push(event, place));
            match rows.current(batch.slots[place], &batch.keys[place]) {
                Some(state) => handle(state),
                None => {
                    let slot = table.locate(&mut rows, batch, place, context.host);
                    handle(table.change(&mut rows, slot, context.host));
                }
            }
            if R::EMITS && made.is_full() {
                // What follows may update the same table.
                drop(rows);
                made.send(batch, &next, context);
                rows = table.rows.borrow_mut();
            }
        }
        drop(rows);
        made.send(batch, &next, context);
    });
}
