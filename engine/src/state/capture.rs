//! Capture: the rows of a table as they were at one moment, written while they change.
//!
//! A snapshot at epoch `n` writes the rows that changed after the committed snapshot `since`, at
//! most a chunk per call; a row that is about to change and was not written yet is saved first. So
//! no event waits longer than the copy of one row takes, and rows that did not change cost nothing:
//! see [`Changes`]. The table calls once for each row and epoch; everything else happens between
//! turns.
//!
//! Owns what changed, what was removed and what was saved; the rows are the table's.

use std::rc::Rc;

use potoroo_sdk::table::{AnyRow, TableRows};

use super::changes::Changes;
use super::chunks::{CHUNK_BYTES, Spares};
use super::snapshot::TableSnapshot;

/// What of one table belongs to snapshots.
pub(crate) struct Capture {
    rows: Rc<dyn TableRows>,
    changes: Changes,
    snapshot: TableSnapshot,
}

impl Capture {
    /// Of a table without snapshots, which has these `rows`.
    // cold: at start
    pub(crate) fn new(rows: Rc<dyn TableRows>) -> Self {
        Self { rows, changes: Changes::new(), snapshot: TableSnapshot::default() }
    }

    /// From now on snapshots are taken, the first one after `epoch`: removed keys are remembered.
    /// Buffers for saved rows come from `spares`.
    // cold: at start
    pub(crate) fn enable(&mut self, epoch: u32, spares: &Spares) {
        self.snapshot.is_enabled = true;
        self.snapshot.spares = spares.clone();
        self.changes.begin_after(epoch);
        self.rows.set_tag(self.changes.now());
    }

    /// Whether the next snapshot must be full: more keys were removed than could be remembered.
    pub(crate) fn needs_full_snapshot(&self) -> bool {
        self.snapshot.lost.is_some()
    }

    /// Takes a snapshot: [`removed`](Self::removed), then [`write_rows`](Self::write_rows) of all
    /// slots that [`changed`](Self::changed) returns, and [`saved`](Self::saved) write the table as
    /// it is now: a delta of the rows that changed after the snapshot `since`, or all rows for 0.
    ///
    /// # Panics
    /// `epoch` is not greater than that of the snapshot before, or a full snapshot is needed.
    pub(crate) fn snapshot(&mut self, epoch: u32, since: u32) {
        assert!(since == 0 || !self.needs_full_snapshot(), "removed keys were not remembered");
        self.end_snapshot(); // One that was aborted.
        (self.snapshot.removed_next, self.snapshot.is_delta) = (0, since != 0);
        (self.snapshot.too_long, self.snapshot.owned_now) = (None, 0);
        self.changes.snapshot(epoch, since, self.rows.slots());
        self.rows.set_tag(self.changes.now());
    }

    /// A row changes for the first time in this epoch: it is saved if the snapshot has not written
    /// it. There is none yet in the slot of a new row.
    #[cold]
    pub(crate) fn changing(&mut self, slot: u32, row: Option<&dyn AnyRow>) {
        if let Some(row) = row {
            self.save(row);
        }
        self.changes.list(slot);
    }

    /// A row is removed.
    #[cold]
    pub(crate) fn removing(&mut self, row: &dyn AnyRow) {
        self.save(row);
        let Self { changes, snapshot, .. } = self;
        if snapshot.is_enabled {
            let (bytes_max, mut removed) = (snapshot.archive_bytes_max, Ok(()));
            snapshot.remember(changes.epoch(), |records| {
                removed = row.append_removed(bytes_max, records);
            });
            if removed.is_err() {
                snapshot.lost = Some(changes.epoch());
            }
        }
    }

    /// The rows.
    pub(crate) fn rows(&self) -> &dyn TableRows {
        &*self.rows
    }

    fn save(&mut self, row: &dyn AnyRow) {
        if self.changes.is_due(row.tag()) {
            self.snapshot.save(row);
        }
    }

    /// Appends a chunk of the keys removed between the two snapshots, each as a record without a
    /// state. Returns whether there was one.
    pub(crate) fn removed(&mut self, out: &mut Vec<u8>) -> bool {
        // A full snapshot replaces everything: nothing has to be removed from it.
        let TableSnapshot { removed, removed_next, is_delta, .. } = &mut self.snapshot;
        let next = removed.get(*removed_next).filter(|_| *is_delta);
        let Some((_, records)) = next.filter(|(epoch, _)| *epoch < self.changes.epoch()) else {
            return false;
        };
        out.extend_from_slice(records);
        *removed_next += 1;
        true
    }

    /// Fills `slots` with the next ones whose rows may belong to the snapshot. Returns how many,
    /// and whether there are more.
    pub(crate) fn changed(&mut self, slots: &mut [u32]) -> (usize, bool) {
        self.changes.take(slots)
    }

    /// Appends a record for each row of the snapshot in `slots`, until `out` is a full chunk. What
    /// changed meanwhile is not among them: it was saved. Returns how many slots are done.
    pub(crate) fn write_rows(&mut self, slots: &[u32], out: &mut Vec<u8>) -> usize {
        let Self { rows, changes, snapshot } = self;
        rows.show_rows(slots, &mut |row| {
            if changes.is_due(row.tag()) {
                snapshot.write(row, out);
                row.set_tag(changes.written());
            }
            // One row is copied whole, however long it is; the next one waits for the next call.
            out.len() < CHUNK_BYTES && snapshot.too_long.is_none()
        })
    }

    /// Takes a chunk of the records that were saved; with `all`, when no rows are left, also the
    /// last one.
    pub(crate) fn saved(&mut self, all: bool) -> Option<Vec<u8>> {
        if all {
            self.snapshot.count_owned();
        }
        self.snapshot.saved.take(all)
    }

    /// A key, as JSON, whose row cannot be stored, since key or state take more than
    /// [`ARCHIVE_BYTES_MAX`](potoroo_sdk::value::ARCHIVE_BYTES_MAX): the snapshot is not complete.
    pub(crate) fn too_long(&self) -> Option<&str> {
        self.snapshot.too_long.as_deref()
    }

    /// The snapshot is complete or aborted: nothing is saved for it any more.
    pub(crate) fn end_snapshot(&mut self) {
        self.changes.end_snapshot();
        self.snapshot.saved.clear(&self.snapshot.spares);
    }

    /// The epoch is committed: keys that were removed before it are forgotten.
    pub(crate) fn commit(&mut self, epoch: u32) {
        let TableSnapshot { removed, removed_bytes, removed_next, lost, .. } = &mut self.snapshot;
        *lost = lost.filter(|lost| *lost > epoch);
        while removed.front().is_some_and(|(of, _)| *of <= epoch) {
            let (_, records) = removed.pop_front().expect("it was just seen");
            *removed_bytes -= records.len();
            *removed_next = removed_next.saturating_sub(1);
        }
    }

    /// Bytes that it takes in memory, and what rows own beside their table, such as text and
    /// lists: the bytes that these took in the last snapshots, 0 before the first.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.changes.memory_bytes() + self.snapshot.memory_bytes()
    }
}

#[cfg(test)]
mod tests;
