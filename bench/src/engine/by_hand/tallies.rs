//! A table by hand: an index of lines to prefetch, and dense rows of key, tag and state.

use potoroo::prelude::*;
use potoroo::state::{Index, prefetch};

use crate::engine::load::{Item, Load, Tally};
use crate::engine::window::Filled;

/// As the engine's: 16 bytes and the state.
struct Row {
    key: u64,
    /// The checkpoint in which it changed last, as an application with checkpoints has to write it.
    tag: u32,
    state: Tally,
}

/// All rows, and the way to them.
pub struct Tallies {
    index: Index,
    rows: Vec<Row>,
}

impl Filled for Tallies {
    fn filled(keys: u64) -> Self {
        let mut table = Self { index: Index::new(), rows: Vec::with_capacity(keys as usize) };
        for key in Load::keys(keys) {
            table.insert(key, key.hash());
        }
        table
    }

    fn checksum(&self) -> u64 {
        let sum = |sum: u64, row: &Row| sum.wrapping_add(row.state.checksum(row.key));
        self.rows.iter().fold(0, sum)
    }
}

impl Tallies {
    /// First pass: asks for the line of the index; returns its number.
    #[inline]
    pub fn look_up(&self, hash: u64) -> u32 {
        let bucket = self.index.bucket(hash);
        prefetch(self.index.address(bucket));
        bucket
    }

    /// Second pass: finds the row by the line and asks for its two lines; returns its slot.
    #[inline]
    pub fn look_ahead(&self, hash: u64, bucket: u32) -> u32 {
        let slot = self.index.first_in(bucket, hash).unwrap_or(NONE);
        let row = self.rows.as_ptr().wrapping_add(slot as usize).cast::<u8>();
        prefetch(row);
        prefetch(row.wrapping_add(LINE_BYTES));
        slot
    }

    /// Third pass: updates the row, or whichever has the key in truth.
    #[inline]
    pub fn update(&mut self, item: &Item, hash: u64, slot: u32) {
        let slot = match self.rows.get(slot as usize) {
            Some(row) if row.key == item.key => slot,
            _ => self.find(item.key, hash),
        };
        let row = &mut self.rows[slot as usize];
        row.tag = EPOCH;
        row.state.update(item.value, item.intended_ns);
    }

    /// The slot of a key whose hash another one has too, or that is new.
    #[cold]
    #[inline(never)]
    fn find(&mut self, key: u64, hash: u64) -> u32 {
        let mut next = self.index.first(hash);
        while let Some(slot) = next {
            if self.rows[slot as usize].key == key {
                return slot;
            }
            next = self.index.after(hash, Some(slot));
        }
        self.insert(key, hash)
    }

    fn insert(&mut self, key: u64, hash: u64) -> u32 {
        let slot = u32::try_from(self.rows.len()).expect("slots are 32 bits");
        self.rows.push(Row { key, tag: 0, state: Tally::default() });
        self.index.insert(hash, slot);
        slot
    }
}

/// No row has it.
const NONE: u32 = u32::MAX;
/// The current checkpoint.
const EPOCH: u32 = 1;
/// A row lies in up to two lines.
const LINE_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_right_row_and_makes_new_ones() {
        let mut table = Tallies::filled(1000);
        let mut load = Load::new(1001);
        for _ in 0..20_000 {
            let item = load.next(0);
            let hash = item.key.hash();
            let slot = table.look_ahead(hash, table.look_up(hash));
            table.update(&item, hash, slot);
        }
        assert_eq!(table.rows.len(), 1001);
        assert_eq!(table.checksum(), Load::checksum(1001, 20_000));
        assert!(table.rows.iter().all(|row| row.tag == EPOCH));
    }
}
