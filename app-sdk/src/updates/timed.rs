//! Update of a timed table: time first, then the event.

use super::updating::Updating;
use crate::batch_output::BatchOutput;
use crate::key::Key;
use crate::table::{TimedRef, TimedRow};
use crate::value::{Event, State, View};

/// Changes the row of each event's key, after everything that is due in it by the time of the
/// event has come.
pub(crate) fn update_timed<E, K, S, O, F>(
    of: Updating<'_, E, K, O>,
    table: TimedRef<K, S>,
    handler: F,
) where
    E: Event,
    K: Key,
    S: State,
    O: Event,
    F: for<'a, 'b> Fn(&mut TimedRow<'b, K, S>, View<'a, E>, &mut BatchOutput<O>, usize) + 'static,
{
    let Updating { stream, next, inflow } = of;
    let made = BatchOutput::new();
    stream.add(move |batch, context| {
        let (id, expires) = (table.of.id, table.expires());
        let others = context.host.watermark(id, inflow);
        let (mut rows, mut made) = (table.of.rows.borrow_mut(), BatchOutput::begin(&made));
        batch.note(context.under_way);
        for (number, place) in batch.each() {
            let timing = &batch.timings[place];
            let watermark = timing.watermark.min(others);
            let mut slot = table.of.locate(&mut rows, batch, place, context.host);
            if rows.state(slot).due(expires) <= watermark {
                drop(rows);
                made.send(batch, &next, context);
                let cause = &batch.causes[place];
                table.catch_up(slot, watermark, cause, context.under_way, context.host);
                batch.note(context.under_way);
                rows = table.of.rows.borrow_mut();
                // It may have been removed.
                slot = table.of.locate(&mut rows, batch, place, context.host);
            }
            let event = batch.begin(number, place, context.under_way);
            let row = rows.changing(id, slot, context.host);
            row.state.touch(timing.time);
            let (time, is_late) = (timing.time, timing.is_late());
            let mut entry = TimedRow::of_event(&row.key, &mut row.state, time, is_late);
            handler(&mut entry, event, &mut made, place);
            match entry.is_removed() {
                true => table.of.remove(&mut rows, batch.hashes[place], slot, context.host),
                false => table.hint(&mut row.state, slot, context.host),
            }
            if made.is_full() {
                // What follows may update the same table.
                drop(rows);
                made.send(batch, &next, context);
                rows = table.of.rows.borrow_mut();
            }
        }
        drop(rows);
        made.send(batch, &next, context);
    });
}
