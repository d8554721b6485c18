//! What hosts of several tests have in common: rows by the hashes of their keys, and hints.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::{BTreeSet, HashMap};

use potoroo_sdk::host::{BATCH_EVENTS, Hint, NO_SLOT, TableId};
use potoroo_sdk::plan::{Plan, PlannedDue};
use potoroo_sdk::table::{Record, SlotIndex};
use potoroo_sdk::time::EventTime;

/// The rows of all tables, by the hashes of their keys.
#[derive(Default)]
pub struct RowsByHash(HashMap<(u16, u64), Vec<u32>>);

impl RowsByHash {
    /// The row with this hash that follows `previous`.
    pub fn find(&self, table: TableId, hash: u64, previous: Option<u32>) -> Option<u32> {
        let slots = self.0.get(&(table.0, hash))?;
        let next = match previous {
            None => 0,
            Some(previous) => 1 + slots.iter().position(|slot| *slot == previous)?,
        };
        slots.get(next).copied()
    }

    pub fn bind(&mut self, table: TableId, hash: u64, slot: u32) {
        self.0.entry((table.0, hash)).or_default().push(slot);
    }

    pub fn unbind(&mut self, table: TableId, hash: u64, slot: u32) {
        self.0.get_mut(&(table.0, hash)).expect("it was bound").retain(|known| *known != slot);
    }

    /// A row of the first table that may be the one with this hash; [`NO_SLOT`] for none.
    pub fn guess(&self, hash: u64) -> u32 {
        self.0.get(&(0, hash)).and_then(|slots| slots.last()).copied().unwrap_or(NO_SLOT)
    }

    /// Moves all rows to another plan of the same application, as after a crash.
    pub fn move_rows(&mut self, from: &Plan, to: &Plan) {
        self.0.clear();
        for ((table, old), new) in (0..).zip(&from.tables).zip(&to.tables) {
            let (slots, mut records) = ((0..old.rows.slots()).collect::<Vec<u32>>(), Vec::new());
            let done = old.rows.show_rows(&slots, &mut |row| {
                row.append(1 << 20, &mut records).expect("it is short");
                true
            });
            assert_eq!(done, slots.len());
            assert_eq!(new.rows.expect(old.rows.shape().state_shape), Ok(()));
            let mut rest = &records[..];
            while let Some((record, after)) = Record::split(rest) {
                let mut index = OfTable { rows: self, table: TableId(table) };
                new.rows.restore(record, &mut index).expect("it is a row of the same table");
                let (_, json) = new.rows.json(record).expect("it is a row");
                assert!(json.starts_with(['{', '[']), "{json}");
                rest = after;
            }
            assert_eq!((rest.len(), new.rows.count()), (0, old.rows.count()));
        }
    }
}

/// The index of one table.
struct OfTable<'a> {
    rows: &'a mut RowsByHash,
    table: TableId,
}

impl SlotIndex for OfTable<'_> {
    fn find(&mut self, hash: u64, previous: Option<u32>) -> Option<u32> {
        assert_eq!(previous, None, "each key has one row");
        self.rows.find(self.table, hash, None)
    }

    fn bind(&mut self, hash: u64, slot: u32) {
        self.rows.bind(self.table, hash, slot);
    }

    fn unbind(&mut self, _: u64, _: u32) {
        panic!("nothing is forgotten");
    }
}

/// The hints of all tables, by table, earliest first.
#[derive(Default)]
pub struct HintsByTable(pub BTreeSet<(u16, Hint)>);

impl HintsByTable {
    pub fn add(&mut self, table: TableId, hint: Hint) {
        self.0.insert((table.0, hint));
    }

    /// Takes what is due at `until`, at most a batch.
    pub fn take(&mut self, due: &PlannedDue, until: EventTime) -> Vec<Hint> {
        let is_due = |(table, hint): &&(u16, Hint)| *table == due.table.0 && hint.due <= until;
        let taken: Vec<_> = self.0.iter().filter(is_due).take(BATCH_EVENTS).copied().collect();
        taken.iter().for_each(|hint| assert!(self.0.remove(hint)));
        taken.into_iter().map(|(_, hint)| hint).collect()
    }
}
