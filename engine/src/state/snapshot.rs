//! The snapshot of a table: which rows it saved, which keys were removed, and how far it is.

use std::collections::VecDeque;

use potoroo_sdk::table::AnyRow;
use potoroo_sdk::value::{ARCHIVE_BYTES_MAX, TooLong};

use super::chunks::{Chunks, Spares};

/// How far the current snapshot of a table is.
pub(super) struct TableSnapshot {
    /// Snapshots are taken, so removed keys are remembered.
    pub(super) is_enabled: bool,
    /// Rows that changed before they were written.
    pub(super) saved: Chunks,
    /// Where buffers come from.
    pub(super) spares: Spares,
    /// Records of removed keys, in chunks, with the epoch of the removal, oldest first.
    pub(super) removed: VecDeque<(u32, Vec<u8>)>,
    pub(super) removed_bytes: usize,
    /// Index of the first chunk in `removed` that is not written yet.
    pub(super) removed_next: usize,
    /// The snapshot is a delta: removed keys belong to it.
    pub(super) is_delta: bool,
    /// A key of the snapshot whose row is too long to be stored, as JSON: it is not complete.
    pub(super) too_long: Option<String>,
    /// Most bytes of a key or state.
    pub(super) archive_bytes_max: usize,
    /// Bytes that rows own on the heap, in stored form: `owned_now` of this snapshot so far,
    /// `owned_bytes` after the last complete one.
    pub(super) owned_now: usize,
    pub(super) owned_bytes: usize,
    /// The last epoch in which more keys were removed than [`REMOVED_BYTES_MAX`] remembers: the
    /// next snapshot must be full.
    pub(super) lost: Option<u32>,
}

impl Default for TableSnapshot {
    fn default() -> Self {
        Self {
            is_enabled: false,
            saved: Chunks::default(),
            spares: Spares::default(),
            removed: VecDeque::new(),
            removed_bytes: 0,
            removed_next: 0,
            is_delta: false,
            too_long: None,
            archive_bytes_max: ARCHIVE_BYTES_MAX,
            owned_now: 0,
            owned_bytes: 0,
            lost: None,
        }
    }
}

impl TableSnapshot {
    pub(super) fn memory_bytes(&self) -> usize {
        self.saved.memory_bytes() + self.removed_bytes + self.owned_bytes
    }

    /// Saves a row before it changes.
    pub(super) fn save(&mut self, row: &dyn AnyRow) {
        let room = self.saved.room(&self.spares);
        let appended = row.append(self.archive_bytes_max, room);
        self.check(row, appended);
    }

    /// Writes a row.
    pub(super) fn write(&mut self, row: &dyn AnyRow, out: &mut Vec<u8>) {
        let appended = row.append(self.archive_bytes_max, out);
        self.check(row, appended);
    }

    /// Counts what a row owns, or notes the key of one that is too long.
    fn check(&mut self, row: &dyn AnyRow, appended: Result<usize, TooLong>) {
        match appended {
            Ok(owned_bytes) => self.owned_now += owned_bytes,
            Err(TooLong) => self.note_long(row),
        }
    }

    /// All rows of the snapshot were appended.
    pub(super) fn count_owned(&mut self) {
        // A delta has changed rows only: its sum is a lower bound.
        let least = if self.is_delta { self.owned_bytes } else { 0 };
        self.owned_bytes = self.owned_now.max(least);
    }

    #[cold]
    fn note_long(&mut self, row: &dyn AnyRow) {
        let text = row.key_json();
        self.too_long.get_or_insert(text.chars().take(KEY_CHARS_MAX).collect());
    }

    /// A key is removed; `append` appends its record.
    pub(super) fn remember(&mut self, epoch: u32, append: impl FnOnce(&mut Vec<u8>)) {
        if self.lost == Some(epoch) {
            return;
        }
        if self.removed_bytes >= REMOVED_BYTES_MAX {
            // The open snapshot may still write keys that were removed in older epochs.
            self.removed.retain(|(of, _)| *of != epoch);
            self.removed_bytes = self.removed.iter().map(|(_, records)| records.len()).sum();
            self.lost = Some(epoch);
            return;
        }
        let last = self.removed.back();
        if !last.is_some_and(|(of, last)| *of == epoch && last.len() < REMOVED_CHUNK_BYTES) {
            // cold: once per chunk
            let chunk = Vec::with_capacity(REMOVED_CHUNK_BYTES + REMOVED_CHUNK_BYTES / 8);
            self.removed.push_back((epoch, chunk));
        }
        let (_, records) = self.removed.back_mut().expect("there is one now");
        let before = records.len();
        append(records);
        self.removed_bytes += records.len() - before;
    }
}

/// Most characters of a key in a message.
const KEY_CHARS_MAX: usize = 256;
/// Most bytes of removed keys that are in no committed epoch. Above it the next snapshot is full.
const REMOVED_BYTES_MAX: usize = 64 << 20;
/// Bytes of a chunk of them: copied within two microseconds.
const REMOVED_CHUNK_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_keys_that_were_not_remembered_need_a_full_snapshot() {
        let mut snapshot = TableSnapshot { is_enabled: true, ..TableSnapshot::default() };
        let record = |records: &mut Vec<u8>| records.resize(REMOVED_BYTES_MAX / 2, 0);
        snapshot.remember(1, record);
        snapshot.remember(1, record);
        assert_eq!((snapshot.lost, snapshot.removed_bytes), (None, REMOVED_BYTES_MAX));
        snapshot.remember(2, record);
        // What was removed before still belongs to the snapshot under way.
        assert_eq!((snapshot.lost, snapshot.removed_bytes), (Some(2), REMOVED_BYTES_MAX));
        snapshot.remember(2, record);
        assert_eq!(snapshot.removed.len(), 2);
    }
}
