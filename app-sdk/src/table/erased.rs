//! Rows without their types: what a host needs of a table.

use core::cell::RefCell;
use core::fmt::Debug;

use alloc::string::String;
use alloc::vec::Vec;

use super::record::Record;
use super::row::{AnyRow, FREE, Row};
use super::rows::Rows;
use super::shape::TableShape;
use super::slots::SlotIndex;
use crate::key::Key;
use crate::value::{self, Corrupt, Schema, State};

/// Tags of a table are below this.
pub const TAGS: u32 = FREE;

/// The rows of a table without their types, for hosts.
pub trait TableRows {
    /// Rows that hold a key.
    fn count(&self) -> usize;
    /// Bytes of one row.
    fn row_bytes(&self) -> usize;
    /// Bytes that the rows take in memory, without what they own elsewhere, such as text and lists.
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

    /// Slots below this were used at least once.
    fn slots(&self) -> u32;
    /// Rows that change from now on get `tag`; before that the host sees them: see
    /// [`Host::changing`](crate::host::Host::changing). It is 0 until this is called.
    ///
    /// # Panics
    /// `tag` is not below [`TAGS`].
    fn set_tag(&self, tag: u32);
    /// Shows the rows in `slots`, without free slots, until `show` returns `false`. Returns how
    /// many slots are done.
    ///
    /// # Panics
    /// A slot was never used.
    fn show_rows(&self, slots: &[u32], show: &mut dyn FnMut(&mut dyn AnyRow) -> bool) -> usize;
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
    }

    fn with_addresses(&self, use_them: &mut dyn FnMut(&[*const u8])) {
        use_them(&self.borrow().addresses);
    }

    fn each(&self, show: &mut dyn FnMut(&dyn Debug, &dyn Debug)) {
        let rows = self.borrow();
        for row in rows.blocks.iter().flatten().filter(|row| !row.is_free()) {
            show(&row.key, &row.state);
        }
    }

    fn shape(&self) -> TableShape {
        TableShape {
            key: K::TYPE,
            key_shape: K::SHAPE,
            state: <S as Schema>::TYPE,
            state_shape: self.borrow().stored.shape(),
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

    fn slots(&self) -> u32 {
        self.borrow().slots
    }

    fn set_tag(&self, tag: u32) {
        assert!(tag < TAGS, "one bit of a tag is for free slots");
        self.borrow_mut().tag = tag;
    }

    fn show_rows(&self, slots: &[u32], show: &mut dyn FnMut(&mut dyn AnyRow) -> bool) -> usize {
        let mut rows = self.borrow_mut();
        for (done, slot) in slots.iter().enumerate() {
            let row = rows.row_mut(*slot);
            if !row.is_free() && !show(row) {
                return done + 1;
            }
        }
        slots.len()
    }

    fn restore(&self, record: Record<'_>, index: &mut dyn SlotIndex) -> Result<(), Corrupt> {
        self.borrow_mut().restore(record, index)
    }

    fn forget(&self, record: Record<'_>, index: &mut dyn SlotIndex) -> Result<(), Corrupt> {
        self.borrow_mut().forget(record, index)
    }
}
