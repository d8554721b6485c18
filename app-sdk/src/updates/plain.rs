//! Updates of plain tables.

use core::cell::RefCell;

use super::updating::Updating;
use crate::batch_output::BatchOutput;
use crate::key::Key;
use crate::outputs::{Out, Outputs};
use crate::table::{Entry, TableRef};
use crate::value::{Event, State, View};

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

/// As [`update_plain_row`], with a place for a varying number of events.
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
