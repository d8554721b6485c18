//! Tables of a core: rows, the index of each, and what of them belongs to snapshots.
//!
//! Owns the way from the hash of a key to its row. Three lists, not one of three parts: what an
//! event needs of a table lies close together.

use std::rc::Rc;

use potoroo_sdk::host::TableId;
use potoroo_sdk::plan::Plan;
use potoroo_sdk::table::{AnyRow, TableRows};

use super::look_ahead::look_ahead;
use crate::state::{Capture, Index};

/// The tables of a core, each at the place of its number.
pub(super) struct Tables {
    pub(super) indexes: Vec<Index>,
    /// To prefetch them.
    rows: Vec<Rc<dyn TableRows>>,
    pub(super) captures: Vec<Capture>,
}

impl Tables {
    /// Those of `plan`, without snapshots.
    // cold: at start
    pub(super) fn new(plan: &Plan) -> Self {
        let rows = || plan.tables.iter().map(|table| table.rows.clone());
        Self {
            indexes: rows().map(|_| Index::new()).collect(),
            rows: rows().collect(),
            captures: rows().map(Capture::new).collect(),
        }
    }

    /// Finds slots of `table`, as [`look_ahead`] does.
    #[inline(always)]
    pub(super) fn look_ahead(&self, table: TableId, own: u64, hashes: &[u64], slots: &mut [u32]) {
        let table = table.0 as usize;
        look_ahead(&self.indexes[table], &*self.rows[table], own, hashes, slots);
    }

    #[inline]
    pub(super) fn find(&self, table: TableId, hash: u64, previous: Option<u32>) -> Option<u32> {
        let index = &self.indexes[table.0 as usize];
        match previous {
            None => index.first(hash),
            previous => index.after(hash, previous),
        }
    }

    pub(super) fn bind(&mut self, table: TableId, hash: u64, slot: u32) {
        self.indexes[table.0 as usize].insert(hash, slot);
    }

    pub(super) fn unbind(&mut self, table: TableId, hash: u64, slot: u32, row: &dyn AnyRow) {
        self.captures[table.0 as usize].removing(row);
        self.indexes[table.0 as usize].remove(hash, slot);
    }

    pub(super) fn changing(&mut self, table: TableId, slot: u32, row: Option<&dyn AnyRow>) {
        self.captures[table.0 as usize].changing(slot, row);
    }

    /// Rows of each table, and the bytes that it takes in memory.
    #[cold]
    pub(super) fn count(&self, counts: &mut [(u64, u64)]) {
        let tables = self.rows.iter().zip(&self.indexes).zip(&self.captures);
        for (((rows, index), capture), counts) in tables.zip(counts) {
            let bytes = rows.memory_bytes() + index.memory_bytes() + capture.memory_bytes();
            *counts = (rows.count() as u64, bytes as u64);
        }
    }
}
