//! Update with a row: a handler sees the row of each event's key, and emits what it likes.

use core::cell::RefCell;

use super::Keyed;
use super::updating::Updating;
use crate::batch_output::BatchOutput;
use crate::key::Key;
use crate::outputs::Out;
use crate::table::{Entry, HasState, TableRef};
use crate::value::{Event, State, View};

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

/// Changes the row of each event's key in a plain table.
pub(crate) fn update_plain_with<E, K, S, O, F>(
    of: Updating<'_, E, K, O>,
    table: TableRef<K, S>,
    handler: F,
) where
    E: Event,
    K: Key,
    S: State,
    O: Event,
    F: for<'a, 'b> Fn(&mut Entry<'b, K, S>, View<'a, E>, &mut Out<O>) + 'static,
{
    let Updating { stream, next, .. } = of;
    let (out, made) = (RefCell::new(Out::new()), BatchOutput::new());
    stream.add(move |batch, context| {
        let (mut rows, mut made) = (table.rows.borrow_mut(), BatchOutput::begin(&made));
        let mut out = out.borrow_mut();
        batch.note(context.under_way);
        for (number, place) in batch.each() {
            let event = batch.begin(number, place, context.under_way);
            let slot = table.locate(&mut rows, batch, place, context.host);
            let removed = rows.change_entry((table.id, slot), context.host, |entry| {
                handler(entry, event, &mut out);
            });
            if removed {
                table.remove(&mut rows, batch.hashes[place], slot, context.host);
            }
            out.drain().for_each(|event| made.push(event, place));
            if made.is_full() {
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
