//! Capture and restore: the rows of a table as they were at one moment, written while they change.
//!
//! A snapshot at epoch `n` writes the rows that changed after the committed snapshot `since`, at
//! most a chunk per call; a row that is about to change and was not written yet is saved first. So
//! no event waits longer than the copy of one row takes, and rows that did not change cost nothing:
//! see [`Changes`](super::changes::Changes).

use alloc::vec::Vec;

use super::chunks::{CHUNK_BYTES, Spares};
use super::record::{Record, append_row};
use super::rows::{BLOCK_ROWS, Rows};
use super::slots::SlotIndex;
use super::snapshot::TableSnapshot;
use crate::key::Key;
use crate::value::{self, Corrupt, State};

impl<K: Key, S: State> Rows<K, S> {
    pub(super) fn enable_snapshots(&mut self, epoch: u32, spares: Spares) {
        self.snapshot.is_enabled = true;
        self.snapshot.spares = spares;
        self.changes.begin_after(epoch);
    }

    pub(super) fn needs_full_snapshot(&self) -> bool {
        self.snapshot.lost.is_some()
    }

    pub(super) fn snapshot(&mut self, epoch: u32, since: u32) {
        assert!(since == 0 || !self.needs_full_snapshot(), "removed keys were not remembered");
        self.end_snapshot(); // One that was aborted.
        (self.snapshot.removed_next, self.snapshot.is_delta) = (0, since != 0);
        (self.snapshot.too_long, self.snapshot.owned_now) = (None, 0);
        self.changes.snapshot(epoch, since, self.slots);
    }

    /// Appends a chunk of the keys removed up to the snapshot. Returns whether there was one.
    pub(super) fn removed(&mut self, out: &mut Vec<u8>) -> bool {
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

    pub(super) fn saved(&mut self, all: bool) -> Option<Vec<u8>> {
        if all {
            self.snapshot.count_owned();
        }
        self.snapshot.saved.take(all)
    }

    /// Appends those rows in `slots` that are due, up to a full chunk. Returns how many slots were
    /// looked at.
    pub(super) fn write_rows(&mut self, slots: &[u32], out: &mut Vec<u8>) -> usize {
        for (looked, slot) in slots.iter().enumerate() {
            let Self { blocks, changes, snapshot, .. } = self;
            let row = &mut blocks[*slot as usize / BLOCK_ROWS][*slot as usize % BLOCK_ROWS];
            if changes.is_due(row.tag) {
                let appended = append_row(&row.key, &row.state, snapshot.archive_bytes_max, out);
                snapshot.check(&row.key, appended);
                row.tag = changes.written();
            }
            // One row is copied whole, however long it is; the next one waits for the next call.
            if out.len() >= CHUNK_BYTES || snapshot.too_long.is_some() {
                return looked + 1;
            }
        }
        slots.len()
    }

    /// A key of the snapshot whose row is too long, as JSON.
    pub(super) fn too_long(&self) -> Option<&str> {
        self.snapshot.too_long.as_deref()
    }

    /// The snapshot needs nothing more: it is complete or aborted.
    pub(super) fn end_snapshot(&mut self) {
        self.changes.end_snapshot();
        self.snapshot.saved.clear(&self.snapshot.spares);
    }

    /// The epoch is committed.
    pub(super) fn commit(&mut self, epoch: u32) {
        let TableSnapshot { removed, removed_bytes, removed_next, lost, .. } = &mut self.snapshot;
        *lost = lost.filter(|lost| *lost > epoch);
        while removed.front().is_some_and(|(of, _)| *of <= epoch) {
            let (_, records) = removed.pop_front().expect("it was just seen");
            *removed_bytes -= records.len();
            *removed_next = removed_next.saturating_sub(1);
        }
    }

    pub(super) fn restore(
        &mut self,
        record: Record<'_>,
        index: &mut dyn SlotIndex,
    ) -> Result<(), Corrupt> {
        let key = self.key_of(record)?;
        let state = self.stored.read(record.state)?;
        match self.slot_of(&key, record.hash, index) {
            Some(slot) => self.row_mut(slot).state = state,
            None => {
                let slot = self.insert_with(key, |_, _| state);
                index.bind(record.hash, slot);
            }
        }
        Ok(())
    }

    pub(super) fn forget(
        &mut self,
        record: Record<'_>,
        index: &mut dyn SlotIndex,
    ) -> Result<(), Corrupt> {
        let key = self.key_of(record)?;
        if let Some(slot) = self.slot_of(&key, record.hash, index) {
            index.unbind(record.hash, slot);
            self.free(slot);
        }
        Ok(())
    }

    fn key_of(&self, record: Record<'_>) -> Result<K, Corrupt> {
        let key: K = value::read(record.key)?;
        if key.hash() == record.hash { Ok(key) } else { Err(Corrupt) }
    }

    fn slot_of(&self, key: &K, hash: u64, index: &mut dyn SlotIndex) -> Option<u32> {
        let mut candidate = index.find(hash, None);
        while let Some(slot) = candidate {
            if self.row(slot).holds(key) {
                return Some(slot);
            }
            candidate = index.find(hash, Some(slot));
        }
        None
    }
}

#[cfg(test)]
mod tests;
