//! Snapshots against a model, rows that are too long, and what rows own.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::{String, ToString};

use super::*;
use crate::random::Random;
use crate::table::changes::FREE;

#[derive(Default)]
struct Map(BTreeMap<u64, Vec<u32>>);

impl SlotIndex for Map {
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

/// A table with its index and what should be in it.
struct Subject {
    rows: Rows<u32, String>,
    index: Map,
    model: Model,
}

fn empty() -> Rows<u32, String> {
    Rows::new(Rc::new(|_: &u32| String::new()))
}

impl Subject {
    fn touch(&mut self, random: &mut Random) {
        let key = random.below(60) as u32;
        let slot = self.rows.slot_of(&key, key.hash(), &mut self.index);
        match (slot, random.below(4)) {
            (Some(slot), 0) => {
                self.index.unbind(key.hash(), slot);
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
                self.index.bind(key.hash(), slot);
                self.model.insert(key, String::new());
            }
        }
    }
}

fn recovered(parts: &[(Vec<u8>, Vec<u8>)]) -> Model {
    let (mut rows, mut index) = (empty(), Map::default());
    for (removed, written) in parts {
        let mut rest = removed.as_slice();
        while let Some((record, after)) = Record::split(rest) {
            rows.forget(record, &mut index).expect("a record of ours");
            rest = after;
        }
        let mut rest = written.as_slice();
        while let Some((record, after)) = Record::split(rest) {
            rows.restore(record, &mut index).expect("a record of ours");
            rest = after;
        }
    }
    let rows = rows.blocks.iter().flatten().filter(|row| row.tag & FREE == 0);
    rows.map(|row| (row.key, row.state.clone())).collect()
}

/// Random changes between and during random snapshots, a third of which is aborted: the chain of
/// the committed ones is the table as it was at the last of them.
#[test]
fn committed_snapshots_are_the_table_as_it_was() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let rows = empty();
        let mut subject = Subject { rows, index: Map::default(), model: Model::new() };
        subject.rows.enable_snapshots(0, Spares::default());
        let (mut parts, mut committed) = (Vec::new(), 0);
        for epoch in 1..12 {
            (0..random.below(80)).for_each(|_| subject.touch(&mut random));
            let whole = random.below(4) == 0;
            let since = if whole { 0 } else { committed };
            subject.rows.snapshot(epoch, since);
            let at_snapshot = subject.model.clone();
            let (mut removed, mut written) = (Vec::new(), Vec::new());
            let mut left = true;
            let aborted = random.below(3) == 0;
            while left && !(aborted && random.below(3) == 0) {
                (0..random.below(12)).for_each(|_| subject.touch(&mut random));
                let mut slots = [0; 9];
                let slots = &mut slots[..1 + random.below(9) as usize];
                let found;
                (found, left) = subject.rows.changes.take(slots);
                (0..random.below(3)).for_each(|_| subject.touch(&mut random));
                assert_eq!(subject.rows.write_rows(&slots[..found], &mut written), found);
            }
            while let Some(saved) = subject.rows.saved(true) {
                written.extend(saved);
            }
            while subject.rows.removed(&mut removed) {}
            subject.rows.end_snapshot();
            (0..random.below(12)).for_each(|_| subject.touch(&mut random));
            if aborted {
                continue;
            }
            if since == 0 {
                parts.clear();
            }
            parts.push((removed, written));
            subject.rows.commit(epoch);
            committed = epoch;
            assert_eq!(recovered(&parts), at_snapshot, "seed {seed}, epoch {epoch}");
        }
    }
}

/// Everything of the snapshot of a table.
fn written(rows: &mut Rows<u32, u64>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut left = true;
    while left {
        let mut slots = [0; 9];
        let found;
        (found, left) = rows.changes.take(&mut slots);
        assert_eq!(rows.write_rows(&slots[..found], &mut out), found);
    }
    while let Some(saved) = rows.saved(true) {
        out.extend(saved);
    }
    out
}

#[test]
fn only_what_changed_is_written() {
    let mut rows = Rows::<u32, u64>::new(Rc::new(|_| 0));
    rows.enable_snapshots(0, Spares::default());
    let slots: Vec<u32> = (0..100).map(|key| rows.insert(key)).collect();
    rows.snapshot(1, 0);
    let row_bytes = written(&mut rows).len() / 100;
    rows.commit(1);
    *rows.change(slots[7]) = 7;
    rows.snapshot(2, 1);
    *rows.change(slots[7]) = 8;
    *rows.change(slots[8]) = 8;
    let out = written(&mut rows);
    assert_eq!(out.len(), row_bytes, "row 8 changed after the snapshot only");
    let (record, _) = Record::split(&out).expect("whole");
    assert_eq!(value::read::<u64>(record.state), Ok(7), "as it was at the snapshot");
}

#[test]
fn a_row_that_is_too_long_is_named_and_the_next_snapshot_may_be_complete_again() {
    let mut rows = Rows::<u32, String>::new(Rc::new(|_| String::new()));
    rows.enable_snapshots(0, Spares::default());
    rows.snapshot.archive_bytes_max = 100;
    let slots: Vec<u32> = (0..3).map(|key| rows.insert(key)).collect();
    *rows.change(slots[1]) = "x".repeat(101);
    rows.snapshot(1, 0);
    let mut out = Vec::new();
    assert_eq!((rows.write_rows(&slots, &mut out), rows.too_long()), (2, Some("1")));
    // Before it changes it is saved, or would be.
    rows.snapshot(2, 0);
    assert_eq!(rows.too_long(), None);
    rows.change(slots[1]).clear();
    assert_eq!(rows.too_long(), Some("1"));
    rows.snapshot(3, 0);
    out.clear();
    assert_eq!((rows.write_rows(&slots, &mut out), rows.too_long()), (3, None));
}

#[test]
fn long_rows_are_written_one_by_one() {
    let mut rows = Rows::<u32, String>::new(Rc::new(|_| "x".repeat(CHUNK_BYTES)));
    rows.enable_snapshots(0, Spares::default());
    let slots: Vec<u32> = (0..3).map(|key| rows.insert(key)).collect();
    rows.snapshot(1, 0);
    for left in 0..3 {
        let mut out = Vec::new();
        assert_eq!(rows.write_rows(&slots[left..], &mut out), 1);
    }
}

/// What rows own elsewhere is known from snapshots: exactly as it is stored from full ones, and at
/// least that from deltas.
#[test]
fn what_rows_own_is_counted_by_snapshots() {
    let mut rows = Rows::<u32, String>::new(Rc::new(|_| String::new()));
    rows.enable_snapshots(0, Spares::default());
    let slots: Vec<u32> = (0..3).map(|key| rows.insert(key)).collect();
    let mut owned = |lengths: [usize; 3], epoch, since| {
        for (slot, length) in slots.iter().zip(lengths) {
            if rows.row(*slot).state.len() != length {
                *rows.change(*slot) = "x".repeat(length);
            }
        }
        rows.snapshot(epoch, since);
        rows.write_rows(&slots, &mut Vec::new());
        rows.saved(true);
        rows.commit(epoch);
        rows.snapshot.owned_bytes
    };
    assert_eq!(owned([1000, 500, 0], 1, 0), 1500);
    assert_eq!(owned([1000, 700, 0], 2, 1), 1500, "only one row is seen");
    assert_eq!(owned([1000, 4000, 0], 3, 2), 4000);
    assert_eq!(owned([0, 20, 0], 4, 0), 20);
}
