//! Rows without their types: what a host needs of a table.

use core::cell::RefCell;
use core::fmt::Debug;

use alloc::string::String;
use alloc::vec::Vec;

use super::changes::FREE;
use super::chunks::Spares;
use super::record::Record;
use super::rows::{Row, Rows};
use super::shape::TableShape;
use super::slots::SlotIndex;
use crate::key::Key;
use crate::value::{self, Corrupt, Schema, State};

/// The rows of a table without their types, for hosts.
pub trait TableRows {
    /// Rows that hold a key.
    fn count(&self) -> usize;
    /// Bytes of one row.
    fn row_bytes(&self) -> usize;
    /// Bytes that the rows take in memory. What they own elsewhere, such as text and lists, is
    /// estimated as the bytes that it took in the last snapshots; without these it is unknown.
    fn memory_bytes(&self) -> usize;
    /// Where the rows lie: to prefetch them, never to read them. Row `s` begins
    /// `s % BLOCK_ROWS * row_bytes` bytes behind the address at `s / BLOCK_ROWS`.
    fn with_addresses(&self, use_them: &mut dyn FnMut(&[*const u8]));
    /// Shows each key and state, in no particular order.
    fn each(&self, show: &mut dyn FnMut(&dyn Debug, &dyn Debug));
    /// Names and shapes of key and state.
    fn shape(&self) -> TableShape;
    /// Former shapes of its states that it can read.
    fn older_shapes(&self) -> Vec<u64>;
    /// The states in the records that follow have this shape.
    ///
    /// # Errors
    /// It is neither the present one nor a former one that can be read.
    fn expect(&self, state_shape: u64) -> Result<(), Corrupt>;
    /// Key and state of a record as JSON; `null` for the state of a key that was removed.
    ///
    /// # Errors
    /// The record is not one of this table.
    fn json(&self, record: Record<'_>) -> Result<(String, String), Corrupt>;

    /// Checks that a row has a key and a state of this table.
    ///
    /// # Errors
    /// It has not.
    fn check(&self, record: Record<'_>) -> Result<(), Corrupt>;

    /// The hash of an archived key.
    ///
    /// # Errors
    /// The bytes are no key of this table.
    fn hash(&self, key: &[u8]) -> Result<u64, Corrupt>;

    /// From now on snapshots are taken, the first one after `epoch`: removed keys are remembered.
    /// Buffers for saved rows come from `spares`.
    fn enable_snapshots(&self, epoch: u32, spares: &Spares);
    /// Whether the next snapshot must be full: more keys were removed than could be remembered.
    fn needs_full_snapshot(&self) -> bool;
    /// Takes a snapshot: [`removed`](Self::removed), then [`write_rows`](Self::write_rows) of all
    /// slots that [`changed`](Self::changed) returns, and [`saved`](Self::saved) write the table as
    /// it is now: a delta of the rows that changed after the snapshot `since`, or all rows for 0.
    ///
    /// # Panics
    /// `epoch` is not greater than that of the snapshot before, or a full snapshot is needed.
    fn snapshot(&self, epoch: u32, since: u32);
    /// Appends a [`Record`] for each key of the next chunk of those that were removed between the
    /// two snapshots. Returns whether there was one.
    fn removed(&self, out: &mut Vec<u8>) -> bool;
    /// Fills `slots` with the next ones whose rows may belong to the snapshot. Returns how many,
    /// and whether there are more.
    fn changed(&self, slots: &mut [u32]) -> (usize, bool);
    /// Appends a [`Record`] for each row of the snapshot in `slots`, until `out` is a full chunk.
    /// What changed meanwhile is not among them: it was saved. Returns how many slots are done.
    fn write_rows(&self, slots: &[u32], out: &mut Vec<u8>) -> usize;
    /// A key, as JSON, whose row cannot be stored, since key or state take more than
    /// [`ARCHIVE_BYTES_MAX`](value::ARCHIVE_BYTES_MAX): the snapshot is not
    /// complete.
    fn too_long(&self) -> Option<String>;
    /// Takes a chunk of the [`Record`]s that were saved; with `all`,
    /// when no rows are left, also the last one.
    fn saved(&self, all: bool) -> Option<Vec<u8>>;
    /// The snapshot is complete or aborted: nothing is saved for it any more.
    fn end_snapshot(&self);
    /// The epoch is committed: keys that were removed before it are forgotten.
    fn commit(&self, epoch: u32);
    /// Restores a row, in the slot that `index` finds for its key, or in a new one that is entered
    /// there.
    ///
    /// # Errors
    /// The record is not one of this table.
    fn restore(&self, record: Record<'_>, index: &mut dyn SlotIndex) -> Result<(), Corrupt>;
    /// Removes the row of a removed key, if there is one.
    ///
    /// # Errors
    /// The record is not one of this table.
    fn forget(&self, record: Record<'_>, index: &mut dyn SlotIndex) -> Result<(), Corrupt>;
}

impl<K: Key, S: State> TableRows for RefCell<Rows<K, S>> {
    fn count(&self) -> usize {
        let rows = self.borrow();
        rows.slots as usize - rows.free.len()
    }

    fn row_bytes(&self) -> usize {
        size_of::<Row<K, S>>()
    }

    fn memory_bytes(&self) -> usize {
        let rows = self.borrow();
        rows.slots as usize * size_of::<Row<K, S>>()
            + rows.blocks.capacity() * (size_of::<Vec<Row<K, S>>>() + size_of::<*const u8>())
            + rows.free.capacity() * size_of::<u32>()
            + rows.changes.memory_bytes()
            + rows.snapshot.memory_bytes()
    }

    fn with_addresses(&self, use_them: &mut dyn FnMut(&[*const u8])) {
        use_them(&self.borrow().addresses);
    }

    fn each(&self, show: &mut dyn FnMut(&dyn Debug, &dyn Debug)) {
        let rows = self.borrow();
        for row in rows.blocks.iter().flatten().filter(|row| row.tag & FREE == 0) {
            show(&row.key, &row.state);
        }
    }

    fn shape(&self) -> TableShape {
        TableShape {
            key: K::TYPE,
            key_shape: K::SHAPE,
            state: <S as Schema>::TYPE,
            state_shape: <S as Schema>::SHAPE,
        }
    }

    fn older_shapes(&self) -> Vec<u64> {
        self.borrow().stored.older_shapes()
    }

    fn expect(&self, state_shape: u64) -> Result<(), Corrupt> {
        self.borrow_mut().stored.expect(state_shape)
    }

    // cold: for a request of the tool, not while events run
    fn json(&self, record: Record<'_>) -> Result<(String, String), Corrupt> {
        let (mut key, mut state) = (String::new(), String::new());
        value::read::<K>(record.key)?.json(&mut key);
        match record.state.is_empty() {
            true => state.push_str("null"),
            false => self.borrow().stored.read(record.state)?.json(&mut state),
        }
        Ok((key, state))
    }

    // cold: for a request of the tool
    fn check(&self, record: Record<'_>) -> Result<(), Corrupt> {
        value::read::<K>(record.key)?;
        self.borrow().stored.read(record.state).map(drop)
    }

    // cold: for a request of the tool
    fn hash(&self, key: &[u8]) -> Result<u64, Corrupt> {
        value::read::<K>(key).map(|key| key.hash())
    }

    fn enable_snapshots(&self, epoch: u32, spares: &Spares) {
        self.borrow_mut().enable_snapshots(epoch, spares.clone());
    }

    fn needs_full_snapshot(&self) -> bool {
        self.borrow().needs_full_snapshot()
    }

    fn snapshot(&self, epoch: u32, since: u32) {
        self.borrow_mut().snapshot(epoch, since);
    }

    fn removed(&self, out: &mut Vec<u8>) -> bool {
        self.borrow_mut().removed(out)
    }

    fn changed(&self, slots: &mut [u32]) -> (usize, bool) {
        self.borrow_mut().changes.take(slots)
    }

    fn write_rows(&self, slots: &[u32], out: &mut Vec<u8>) -> usize {
        self.borrow_mut().write_rows(slots, out)
    }

    fn too_long(&self) -> Option<String> {
        self.borrow().too_long().map(String::from)
    }

    fn saved(&self, all: bool) -> Option<Vec<u8>> {
        self.borrow_mut().saved(all)
    }

    fn end_snapshot(&self) {
        self.borrow_mut().end_snapshot();
    }

    fn commit(&self, epoch: u32) {
        self.borrow_mut().commit(epoch);
    }

    fn restore(&self, record: Record<'_>, index: &mut dyn SlotIndex) -> Result<(), Corrupt> {
        self.borrow_mut().restore(record, index)
    }

    fn forget(&self, record: Record<'_>, index: &mut dyn SlotIndex) -> Result<(), Corrupt> {
        self.borrow_mut().forget(record, index)
    }
}
