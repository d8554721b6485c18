//! Cuts: the rows of a table as they were at one moment, handed out while they change.
//!
//! Each row has a tag: the epoch in which it last changed. A cut at epoch `n` hands out the rows
//! that changed behind the cut `since` which is known to be safe, in slices; a row that is about to
//! change and was not yet handed out is saved first. So nothing is ever held up for longer than the
//! copy of one row, and what did not change costs nothing.
//!
//! ```text
//!   tag:   … since │ since+1 … n │ n+1 (now)
//!          safe      in the cut    behind it: the row's old state was saved, or it is new
//! ```
//!
//! A cut that came to nothing leaves all tags as they are: the next one takes them along.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::record::{append_removed, append_row};
use super::{EPOCH_FREE, Record, Row, Rows};
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
    /// Rows with a greater tag belong to the cut.
    since: u32,
    /// Slots before it were handed out.
    next: u32,
    /// Slots from it on were used for the first time behind the cut.
    end: u32,
    /// Records of rows that changed before they were handed out.
    saved: Vec<u8>,
    /// Records of keys that left, in pieces, with the epoch in which they did, oldest first.
    removed: VecDeque<(u32, Vec<u8>)>,
    removed_bytes: usize,
    /// Pieces before it were handed out.
    removed_next: usize,
    /// The last epoch in which so many keys left that they were not remembered: only a whole cut
    /// behind it is right.
    lost: Option<u32>,
}

impl Cut {
    #[inline]
    fn covers(&self, slot: u32, tag: u32) -> bool {
        tag > self.since && (self.next..self.end).contains(&slot)
    }

    fn remember(&mut self, epoch: u32, record: &[u8]) {
        if self.lost == Some(epoch) {
            return;
        }
        if self.removed_bytes + record.len() > REMOVED_BYTES_MAX {
            // Those of older epochs may still be handed out.
            self.removed.retain(|(of, _)| *of != epoch);
            self.removed_bytes = self.removed.iter().map(|(_, records)| records.len()).sum();
            self.lost = Some(epoch);
            return;
        }
        self.removed_bytes += record.len();
        match self.removed.back_mut() {
            Some((of, records)) if *of == epoch && records.len() < REMOVED_PIECE_BYTES => {
                records.extend_from_slice(record);
            }
            _ => self.removed.push_back((epoch, record.to_vec())),
        }
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
        self.save(slot);
        let epoch = self.epoch;
        let row = self.row_mut(slot);
        row.epoch = epoch;
        row
    }

    /// Saves the row in `slot` if the cut needs it and has not got it.
    fn save(&mut self, slot: u32) {
        let mut saved = core::mem::take(&mut self.cut.saved);
        let row = self.row(slot);
        if row.epoch != self.epoch && self.cut.covers(slot, row.epoch) {
            append_row(&row.key, &row.state, &mut saved);
        }
        self.cut.saved = saved;
    }

    /// The row in `slot` is going to be freed.
    pub(super) fn leave(&mut self, slot: u32) {
        self.save(slot);
        if !self.cut.kept {
            return;
        }
        let epoch = self.epoch;
        let mut record = Vec::new();
        append_removed(&self.row(slot).key, &mut record);
        self.cut.remember(epoch, &record);
    }

    pub(super) fn keep(&mut self, epoch: u32) {
        self.cut.kept = true;
        self.epoch = epoch + 1;
    }

    pub(super) fn needs_whole_cut(&self) -> bool {
        self.cut.lost.is_some()
    }

    pub(super) fn cut(&mut self, epoch: u32, since: u32) {
        assert!(epoch >= self.epoch, "epochs only grow");
        assert!(epoch < EPOCH_FREE - 1, "there are four billion epochs");
        assert!(since == 0 || !self.needs_whole_cut(), "keys left that nobody remembers");
        self.epoch = epoch + 1;
        self.cut.saved.clear(); // Of a cut that came to nothing.
        self.cut.removed_next = 0;
        (self.cut.since, self.cut.next, self.cut.end) = (since, 0, self.slots);
    }

    /// Appends a piece of what left up to the cut. Returns whether there was one.
    pub(super) fn removed(&mut self, out: &mut Vec<u8>) -> bool {
        // A whole cut replaces everything: nothing has to be taken from it.
        let next = self.cut.removed.get(self.cut.removed_next).filter(|_| self.cut.since != 0);
        let Some((_, records)) = next.filter(|(epoch, _)| *epoch < self.epoch) else {
            return false;
        };
        out.extend_from_slice(records);
        self.cut.removed_next += 1;
        true
    }

    /// Looks at up to `rows_max` rows and appends those of the cut. Returns whether any are left.
    pub(super) fn sweep(&mut self, rows_max: u32, out: &mut Vec<u8>) -> bool {
        out.append(&mut self.cut.saved);
        let until = self.cut.end.min(self.cut.next + rows_max);
        for slot in self.cut.next..until {
            let row = self.row(slot);
            let free = row.epoch == EPOCH_FREE || row.epoch == self.epoch;
            if !free && row.epoch > self.cut.since {
                append_row(&row.key, &row.state, out);
            }
        }
        self.cut.next = until;
        until < self.cut.end
    }

    /// The cut needs nothing more: it is whole, or came to nothing.
    pub(super) fn end_cut(&mut self) {
        self.cut.next = self.cut.end;
        self.cut.saved = Vec::new();
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
        let rows = rows.chunks.iter().flatten().filter(|row| row.epoch != EPOCH_FREE);
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
            subject.rows.keep(0);
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
                    left = subject.rows.sweep(1 + random.below(9) as u32, &mut kept);
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
        let record = alloc::vec![0; REMOVED_BYTES_MAX / 2];
        cut.remember(1, &record);
        cut.remember(1, &record);
        assert_eq!((cut.lost, cut.removed_bytes), (None, REMOVED_BYTES_MAX));
        cut.remember(2, &record);
        // What left before is still told to the cut that is under way.
        assert_eq!((cut.lost, cut.removed_bytes), (Some(2), REMOVED_BYTES_MAX));
        cut.remember(2, &record);
        assert_eq!(cut.removed.len(), 2);
    }

    #[test]
    fn only_what_changed_is_handed_out() {
        let mut rows = Rows::<u32, u64>::new(Rc::new(|_| 0));
        rows.keep(0);
        let slots: Vec<u32> = (0..100).map(|key| rows.insert(key)).collect();
        let mut out = Vec::new();
        rows.cut(1, 0);
        assert!(!rows.sweep(100, &mut out));
        rows.safe(1);
        let row_bytes = out.len() / 100;
        *rows.change(slots[7]) = 7;
        rows.cut(2, 1);
        out.clear();
        *rows.change(slots[7]) = 8;
        *rows.change(slots[8]) = 8;
        assert!(!rows.sweep(100, &mut out));
        assert_eq!(out.len(), row_bytes, "row 8 changed behind the cut only");
        let (record, _) = Record::split(&out).expect("whole");
        assert_eq!(value::read::<u64>(record.state), Ok(7), "as it was at the cut");
    }
}
