//! First: repeats of a key are dropped.

use super::Keyed;
use crate::flow::BatchVec;
use crate::key::Key;
use crate::table::TimedRef;
use crate::tables::TimedTable;
use crate::time::{Duration, TOO_LATE};
use crate::updates::Updating;
use crate::value::Event;

impl<E: Event, K: Key> Keyed<E, K> {
    /// Passes on the first event of each key, and drops those that follow until time has moved on
    /// by `keep`.
    ///
    /// - The first one to arrive counts. Its key is forgotten when the watermark has reached its
    ///   time and `keep`: then the next event of the key is the first one again.
    /// - An event that comes when it cannot be known any more whether it is a repeat goes to the
    ///   dead letters: when the own watermark of its connection has reached its time and `keep`.
    ///
    /// What is known of keys lies in a table with this `name`, 32 bytes for each key beside it.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let app = Application::new("numbers");
    /// app.source("lines", LineText::new())
    ///     .map(|line| line.parse::<i64>().ok())
    ///     .event_time(|millis| EventTime::from_millis(millis), within(millis(5)))
    ///     .key_by(|millis| millis % 10)
    ///     .first("digits", millis(10))
    ///     .map(|millis| millis.to_string())
    ///     .sink("first", LineText::new());
    /// let mut reference = Reference::new(app)?;
    /// reference.feed("lines", b"101\n102\n101\n111\n118\n121\n");
    /// assert_eq!(reference.output("first"), b"101\n102\n118\n121\n");
    /// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
    /// ```
    #[must_use]
    pub fn first(&self, name: &str, keep: Duration) -> Keyed<E, K> {
        let table = TimedTable::<K, ()>::of_operator((&self.draft, name, "first"), keep);
        let (next, of) = self.updated(&table, true);
        first(of, table.of.clone(), keep);
        next
    }
}

/// Passes on the first event of each key.
fn first<E: Event, K: Key>(of: Updating<'_, E, K, E>, table: TimedRef<K, ()>, keep: Duration) {
    let Updating { stream, next, .. } = of;
    stream.add(move |batch, context| {
        let mut kept = BatchVec::<u8>::new();
        let mut rows = table.of.rows.borrow_mut();
        batch.note(context.under_way);
        for (number, place) in batch.each() {
            context.under_way.begin(place);
            let timing = &batch.timings[place];
            if let Some(by) = timing.late_by(timing.time + keep) {
                context.host.late(table.of.id, by);
                context.host.refuse(&batch.causes[place], TOO_LATE, &[]);
                continue;
            }
            let slot = table.of.locate(&mut rows, batch, place, context.host);
            let row = rows.state(slot);
            // A key that is forgotten by now is as one that never came.
            if row.is_touched() && row.due(Some(keep)) > timing.watermark {
                continue;
            }
            let row = table.of.change(&mut rows, slot, context.host);
            row.restart(timing.time);
            table.hint(row, slot, context.host);
            kept.push(number as u8);
        }
        drop(rows);
        if !kept.is_empty() {
            next.send(&batch.choose(&kept), context);
        }
    });
}
