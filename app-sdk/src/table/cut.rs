//! Cuts: the rows of a table as they were at one moment, handed out while they change.
//!
//! A cut at epoch `n` hands out the rows that changed behind the cut `since` which is known to be
//! safe, a few at a time; a row that is about to change and was not yet handed out is saved first.
//! So nothing is ever held up for longer than the copy of one row, and what did not change costs
//! nothing: see [`Changes`](super::changes::Changes).

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use super::pieces::{PIECE_BYTES, Pieces, Spares};
use super::record::{append_removed, append_row};
use super::{CHUNK_ROWS, Record, Row, Rows};
use crate::key::Key;
use crate::value::{self, ARCHIVE_BYTES_MAX, Corrupt, State, TooLong};

/// The way from a hash to slots, as a host keeps it for one table.
pub trait Places {
    /// The next slot after `previous` that may hold a key with `hash`; the first one for `None`.
    fn find(&mut self, hash: u64, previous: Option<u32>) -> Option<u32>;
    /// Enters `slot`.
    fn bind(&mut self, hash: u64, slot: u32);
    /// Takes `slot` out.
    fn unbind(&mut self, hash: u64, slot: u32);
}

/// How far the current cut of a table is.
pub(super) struct Cut {
    /// Keys that leave are remembered: somebody takes cuts.
    kept: bool,
    /// Rows that changed before they were handed out.
    saved: Pieces,
    /// Where buffers come from.
    spares: Spares,
    /// Records of keys that left, in pieces, with the epoch in which they did, oldest first.
    removed: VecDeque<(u32, Vec<u8>)>,
    removed_bytes: usize,
    /// Pieces before it were handed out.
    removed_next: usize,
    /// The cut is of changes only: keys that left belong to it.
    partial: bool,
    /// A key of the cut whose row is too long to be stored, as JSON: the cut is not whole.
    too_long: Option<String>,
    /// Most bytes of a key or state.
    archive_bytes_max: usize,
    /// Bytes that rows have elsewhere, as they are stored: of the rows of this cut so far, and of
    /// all rows as far as complete cuts tell.
    owned_now: usize,
    owned_bytes: usize,
    /// The last epoch in which so many keys left that they were not remembered: only a whole cut
    /// behind it is right.
    lost: Option<u32>,
}

impl Default for Cut {
    fn default() -> Self {
        Self {
            kept: false,
            saved: Pieces::default(),
            spares: Spares::default(),
            removed: VecDeque::new(),
            removed_bytes: 0,
            removed_next: 0,
            partial: false,
            too_long: None,
            archive_bytes_max: ARCHIVE_BYTES_MAX,
            owned_now: 0,
            owned_bytes: 0,
            lost: None,
        }
    }
}

impl Cut {
    pub(super) fn memory_bytes(&self) -> usize {
        self.saved.memory_bytes() + self.removed_bytes + self.owned_bytes
    }

    /// Saves a row before it changes.
    fn save<K: Key, S: State>(&mut self, row: &Row<K, S>) {
        let room = self.saved.room(&self.spares);
        let appended = append_row(&row.key, &row.state, self.archive_bytes_max, room);
        self.check(&row.key, appended);
    }

    /// Counts what a row owns, or notes the key of one that is too long.
    fn check<K: Key>(&mut self, key: &K, appended: Result<usize, TooLong>) {
        match appended {
            Ok(owned_bytes) => self.owned_now += owned_bytes,
            Err(TooLong) => self.note_long(key),
        }
    }

    /// All rows of the cut were appended.
    fn count_owned(&mut self) {
        // Rows that did not change are not among those of a partial cut.
        let least = if self.partial { self.owned_bytes } else { 0 };
        self.owned_bytes = self.owned_now.max(least);
    }

    #[cold]
    fn note_long<K: Key>(&mut self, key: &K) {
        let mut text = String::new();
        key.json(&mut text);
        self.too_long.get_or_insert(text.chars().take(KEY_CHARS_MAX).collect());
    }

    /// A key leaves; `append` appends its record.
    fn remember(&mut self, epoch: u32, append: impl FnOnce(&mut Vec<u8>)) {
        if self.lost == Some(epoch) {
            return;
        }
        if self.removed_bytes >= REMOVED_BYTES_MAX {
            // Those of older epochs may still be handed out.
            self.removed.retain(|(of, _)| *of != epoch);
            self.removed_bytes = self.removed.iter().map(|(_, records)| records.len()).sum();
            self.lost = Some(epoch);
            return;
        }
        let last = self.removed.back();
        if !last.is_some_and(|(of, last)| *of == epoch && last.len() < REMOVED_PIECE_BYTES) {
            // cold: once per piece
            let piece = Vec::with_capacity(REMOVED_PIECE_BYTES + REMOVED_PIECE_BYTES / 8);
            self.removed.push_back((epoch, piece));
        }
        let (_, records) = self.removed.back_mut().expect("there is one now");
        let before = records.len();
        append(records);
        self.removed_bytes += records.len() - before;
    }
}

/// Characters of a key that are told.
const KEY_CHARS_MAX: usize = 256;
/// Most bytes of keys that left and are in no safe cut. Behind it the next cut is a whole one.
const REMOVED_BYTES_MAX: usize = 64 << 20;
/// A piece of them: copied within a microsecond or two.
const REMOVED_PIECE_BYTES: usize = 16 << 10;

impl<K: Key, S: State> Rows<K, S> {
    /// The row in `slot` has an older tag and is going to change.
    #[cold]
    #[inline(never)]
    pub(super) fn change_first(&mut self, slot: u32) -> &mut Row<K, S> {
        let Self { chunks, changes, cut, .. } = self;
        let row = &mut chunks[slot as usize / CHUNK_ROWS][slot as usize % CHUNK_ROWS];
        if changes.owes(row.tag) {
            cut.save(row);
        }
        changes.list(slot);
        row.tag = changes.now();
        row
    }

    /// The row in `slot` is going to be freed.
    pub(super) fn leave(&mut self, slot: u32) {
        let Self { chunks, changes, cut, .. } = self;
        let row = &chunks[slot as usize / CHUNK_ROWS][slot as usize % CHUNK_ROWS];
        if changes.owes(row.tag) {
            cut.save(row);
        }
        if cut.kept {
            let (bytes_max, mut removed) = (cut.archive_bytes_max, Ok(()));
            cut.remember(changes.epoch(), |records| {
                removed = append_removed(&row.key, bytes_max, records);
            });
            if removed.is_err() {
                cut.lost = Some(changes.epoch());
            }
        }
    }

    pub(super) fn keep(&mut self, epoch: u32, spares: Spares) {
        self.cut.kept = true;
        self.cut.spares = spares;
        self.changes.keep(epoch);
    }

    pub(super) fn needs_whole_cut(&self) -> bool {
        self.cut.lost.is_some()
    }

    pub(super) fn cut(&mut self, epoch: u32, since: u32) {
        assert!(since == 0 || !self.needs_whole_cut(), "keys left that nobody remembers");
        self.end_cut(); // One that came to nothing.
        (self.cut.removed_next, self.cut.partial) = (0, since != 0);
        (self.cut.too_long, self.cut.owned_now) = (None, 0);
        self.changes.cut(epoch, since, self.slots);
    }

    /// Appends a piece of what left up to the cut. Returns whether there was one.
    pub(super) fn removed(&mut self, out: &mut Vec<u8>) -> bool {
        // A whole cut replaces everything: nothing has to be taken from it.
        let next = self.cut.removed.get(self.cut.removed_next).filter(|_| self.cut.partial);
        let Some((_, records)) = next.filter(|(epoch, _)| *epoch < self.changes.epoch()) else {
            return false;
        };
        out.extend_from_slice(records);
        self.cut.removed_next += 1;
        true
    }

    pub(super) fn saved(&mut self, all: bool) -> Option<Vec<u8>> {
        if all {
            self.cut.count_owned();
        }
        self.cut.saved.take(all)
    }

    /// Appends those rows in `slots` that the cut is owed, up to a full piece. Returns how many
    /// slots were looked at.
    pub(super) fn hand_out(&mut self, slots: &[u32], out: &mut Vec<u8>) -> usize {
        for (looked, slot) in slots.iter().enumerate() {
            let Self { chunks, changes, cut, .. } = self;
            let row = &mut chunks[*slot as usize / CHUNK_ROWS][*slot as usize % CHUNK_ROWS];
            if changes.owes(row.tag) {
                let appended = append_row(&row.key, &row.state, cut.archive_bytes_max, out);
                cut.check(&row.key, appended);
                row.tag = changes.given();
            }
            // A row is copied in one piece, however long it is; two are not.
            if out.len() >= PIECE_BYTES || cut.too_long.is_some() {
                return looked + 1;
            }
        }
        slots.len()
    }

    /// A key of the cut whose row is too long, as JSON.
    pub(super) fn too_long(&self) -> Option<&str> {
        self.cut.too_long.as_deref()
    }

    /// The cut needs nothing more: it is whole, or came to nothing.
    pub(super) fn end_cut(&mut self) {
        self.changes.end_cut();
        self.cut.saved.clear(&self.cut.spares);
    }

    /// The cut at `epoch` is safe.
    pub(super) fn safe(&mut self, epoch: u32) {
        let Cut { removed, removed_bytes, removed_next, lost, .. } = &mut self.cut;
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
        places: &mut dyn Places,
    ) -> Result<(), Corrupt> {
        let key = self.key_of(record)?;
        let state = self.stored.read(record.state)?;
        match self.slot_of(&key, record.hash, places) {
            Some(slot) => self.row_mut(slot).state = state,
            None => {
                let slot = self.insert_with(key, |_, _| state);
                places.bind(record.hash, slot);
            }
        }
        Ok(())
    }

    pub(super) fn forget(
        &mut self,
        record: Record<'_>,
        places: &mut dyn Places,
    ) -> Result<(), Corrupt> {
        let key = self.key_of(record)?;
        if let Some(slot) = self.slot_of(&key, record.hash, places) {
            places.unbind(record.hash, slot);
            self.free(slot);
        }
        Ok(())
    }

    fn key_of(&self, record: Record<'_>) -> Result<K, Corrupt> {
        let key: K = value::read(record.key)?;
        if key.hash() == record.hash { Ok(key) } else { Err(Corrupt) }
    }

    fn slot_of(&self, key: &K, hash: u64, places: &mut dyn Places) -> Option<u32> {
        let mut candidate = places.find(hash, None);
        while let Some(slot) = candidate {
            if self.row(slot).holds(key) {
                return Some(slot);
            }
            candidate = places.find(hash, Some(slot));
        }
        None
    }
}

#[cfg(test)]
mod tests;
