//! Update of a row: a handler sees the row of each event's key, and returns what it emits.

use super::Keyed;
use super::updating::Updating;
use crate::batch_output::BatchOutput;
use crate::key::Key;
use crate::outputs::Outputs;
use crate::table::{Entry, HasState, TableRef};
use crate::value::{Event, State, View};

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

/// Changes the row of each event's key in a plain table.
pub(crate) fn update_plain_row<E, K, S, R, F>(
    of: Updating<'_, E, K, R::Event>,
    table: TableRef<K, S>,
    handler: F,
) where
    E: Event,
    K: Key,
    S: State,
    R: Outputs,
    F: for<'a, 'b> Fn(&mut Entry<'b, K, S>, View<'a, E>) -> R + 'static,
{
    let Updating { stream, next, .. } = of;
    let made = BatchOutput::new();
    stream.add(move |batch, context| {
        let (mut rows, mut made) = (table.rows.borrow_mut(), BatchOutput::begin(&made));
        batch.note(context.under_way);
        for (number, place) in batch.each() {
            let event = batch.begin(number, place, context.under_way);
            let slot = table.locate(&mut rows, batch, place, context.host);
            let removed = rows.change_entry((table.id, slot), context.host, |entry| {
                handler(entry, event).each(|event| made.push(event, place));
            });
            if removed {
                table.remove(&mut rows, batch.hashes[place], slot, context.host);
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
