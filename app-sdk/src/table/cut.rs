//! Cuts: the rows of a table as they were at one moment, handed out while they change.
//!
//! A cut at epoch `n` hands out the rows that changed behind the cut `since` which is known to be
//! safe, a few at a time; a row that is about to change and was not yet handed out is saved first.
//! So nothing is ever held up for longer than the copy of one row, and what did not change costs
//! nothing: see [`Changes`](super::changes::Changes).

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::pieces::{Pieces, Spares};
use super::record::{append_removed, append_row};
use super::{CHUNK_ROWS, Record, Row, Rows};
use crate::key::Key;
use crate::value::{self, Corrupt, State};

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
#[derive(Default)]
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
    /// The last epoch in which so many keys left that they were not remembered: only a whole cut
    /// behind it is right.
    lost: Option<u32>,
}

impl Cut {
    pub(super) fn memory_bytes(&self) -> usize {
        self.saved.memory_bytes() + self.removed_bytes
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
            append_row(&row.key, &row.state, cut.saved.room(&cut.spares));
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
            append_row(&row.key, &row.state, cut.saved.room(&cut.spares));
        }
        if cut.kept {
            cut.remember(changes.epoch(), |records| append_removed(&row.key, records));
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
        self.cut.saved.take(all)
    }

    /// Appends those rows in `slots` that the cut is owed.
    pub(super) fn hand_out(&mut self, slots: &[u32], out: &mut Vec<u8>) {
        for slot in slots {
            let Self { chunks, changes, .. } = self;
            let row = &mut chunks[*slot as usize / CHUNK_ROWS][*slot as usize % CHUNK_ROWS];
            if changes.owes(row.tag) {
                append_row(&row.key, &row.state, out);
                row.tag = changes.given();
            }
        }
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
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::rc::Rc;
    use alloc::string::{String, ToString};

    use super::*;
    use crate::random::Random;
    use crate::table::changes::FREE;

    #[derive(Default)]
    struct Map(BTreeMap<u64, Vec<u32>>);

    impl Places for Map {
        fn find(&mut self, hash: u64, previous: Option<u32>) -> Option<u32> {
            let slots = self.0.get(&hash)?;
            let from = previous.map_or(0, |slot| {
                1 + slots.iter().position(|known| *known == slot).expect("it was found")
            });
            slots.get(from).copied()
        }
        fn bind(&mut self, hash: u64, slot: u32) {
            self.0.entry(hash).or_default().push(slot);
        }
        fn unbind(&mut self, hash: u64, slot: u32) {
            self.0.get_mut(&hash).expect("it is bound").retain(|known| *known != slot);
        }
    }

    type Model = BTreeMap<u32, String>;

    /// A table with its places and what should be in it.
    struct Subject {
        rows: Rows<u32, String>,
        places: Map,
        model: Model,
    }

    fn empty() -> Rows<u32, String> {
        Rows::new(Rc::new(|_: &u32| String::new()))
    }

    impl Subject {
        fn touch(&mut self, random: &mut Random) {
            let key = random.below(60) as u32;
            let slot = self.rows.slot_of(&key, key.hash(), &mut self.places);
            match (slot, random.below(4)) {
                (Some(slot), 0) => {
                    self.places.unbind(key.hash(), slot);
                    self.rows.free(slot);
                    self.model.remove(&key);
                }
                (Some(slot), _) => {
                    let text = random.below(1000).to_string();
                    *self.rows.change(slot) = text.clone();
                    self.model.insert(key, text);
                }
                (None, _) => {
                    let slot = self.rows.insert(key);
                    self.places.bind(key.hash(), slot);
                    self.model.insert(key, String::new());
                }
            }
        }
    }

    fn recovered(parts: &[(Vec<u8>, Vec<u8>)]) -> Model {
        let (mut rows, mut places) = (empty(), Map::default());
        for (removed, kept) in parts {
            let mut rest = removed.as_slice();
            while let Some((record, behind)) = Record::split(rest) {
                rows.forget(record, &mut places).expect("a record of ours");
                rest = behind;
            }
            let mut rest = kept.as_slice();
            while let Some((record, behind)) = Record::split(rest) {
                rows.restore(record, &mut places).expect("a record of ours");
                rest = behind;
            }
        }
        let rows = rows.chunks.iter().flatten().filter(|row| row.tag & FREE == 0);
        rows.map(|row| (row.key, row.state.clone())).collect()
    }

    /// Random changes between and during random cuts, some of which come to nothing: the chain of
    /// the safe ones is the table as it was at the last of them.
    #[test]
    fn safe_cuts_are_the_table_as_it_was() {
        for seed in 0..300 {
            let mut random = Random::new(seed);
            let rows = empty();
            let mut subject = Subject { rows, places: Map::default(), model: Model::new() };
            subject.rows.keep(0, Spares::default());
            let (mut parts, mut safe) = (Vec::new(), 0);
            for epoch in 1..12 {
                (0..random.below(80)).for_each(|_| subject.touch(&mut random));
                let whole = random.below(4) == 0;
                let since = if whole { 0 } else { safe };
                subject.rows.cut(epoch, since);
                let at_cut = subject.model.clone();
                let (mut removed, mut kept) = (Vec::new(), Vec::new());
                let mut left = true;
                let given_up = random.below(3) == 0;
                while left && !(given_up && random.below(3) == 0) {
                    (0..random.below(12)).for_each(|_| subject.touch(&mut random));
                    let mut slots = [0; 9];
                    let slots = &mut slots[..1 + random.below(9) as usize];
                    let found;
                    (found, left) = subject.rows.changes.take(slots);
                    (0..random.below(3)).for_each(|_| subject.touch(&mut random));
                    subject.rows.hand_out(&slots[..found], &mut kept);
                }
                while let Some(saved) = subject.rows.saved(true) {
                    kept.extend(saved);
                }
                while subject.rows.removed(&mut removed) {}
                subject.rows.end_cut();
                (0..random.below(12)).for_each(|_| subject.touch(&mut random));
                if given_up {
                    continue;
                }
                if since == 0 {
                    parts.clear();
                }
                parts.push((removed, kept));
                subject.rows.safe(epoch);
                safe = epoch;
                assert_eq!(recovered(&parts), at_cut, "seed {seed}, epoch {epoch}");
            }
        }
    }

    #[test]
    fn what_left_and_was_not_remembered_needs_a_whole_cut() {
        let mut cut = Cut { kept: true, ..Cut::default() };
        let record = |records: &mut Vec<u8>| records.resize(REMOVED_BYTES_MAX / 2, 0);
        cut.remember(1, record);
        cut.remember(1, record);
        assert_eq!((cut.lost, cut.removed_bytes), (None, REMOVED_BYTES_MAX));
        cut.remember(2, record);
        // What left before is still told to the cut that is under way.
        assert_eq!((cut.lost, cut.removed_bytes), (Some(2), REMOVED_BYTES_MAX));
        cut.remember(2, record);
        assert_eq!(cut.removed.len(), 2);
    }

    /// Everything of the cut of a table.
    fn swept(rows: &mut Rows<u32, u64>) -> Vec<u8> {
        let mut out = Vec::new();
        let mut left = true;
        while left {
            let mut slots = [0; 9];
            let found;
            (found, left) = rows.changes.take(&mut slots);
            rows.hand_out(&slots[..found], &mut out);
        }
        while let Some(saved) = rows.saved(true) {
            out.extend(saved);
        }
        out
    }

    #[test]
    fn only_what_changed_is_handed_out() {
        let mut rows = Rows::<u32, u64>::new(Rc::new(|_| 0));
        rows.keep(0, Spares::default());
        let slots: Vec<u32> = (0..100).map(|key| rows.insert(key)).collect();
        rows.cut(1, 0);
        let row_bytes = swept(&mut rows).len() / 100;
        rows.safe(1);
        *rows.change(slots[7]) = 7;
        rows.cut(2, 1);
        *rows.change(slots[7]) = 8;
        *rows.change(slots[8]) = 8;
        let out = swept(&mut rows);
        assert_eq!(out.len(), row_bytes, "row 8 changed behind the cut only");
        let (record, _) = Record::split(&out).expect("whole");
        assert_eq!(value::read::<u64>(record.state), Ok(7), "as it was at the cut");
    }
}
