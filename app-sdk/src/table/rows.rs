//! Rows: keys and states of one table, dense and in the order of creation.

use alloc::rc::Rc;
use alloc::vec::Vec;

use super::changes::{Changes, FREE};
use super::entry::Entry;
use super::record::append_removed;
use super::snapshot::TableSnapshot;
use super::stored::StatesStored;
use crate::host::NO_SLOT;
use crate::key::Key;
use crate::value::State;

/// Rows are allocated in blocks of this many: 2441 blocks hold ten million rows, so growing their
/// list delays no turn. A large allocation takes memory page by page as it is used, so a table of
/// one row takes one page.
pub const BLOCK_ROWS: usize = 4096;

/// One row; 16 bytes and the state for a key of 8 bytes.
pub(super) struct Row<K, S> {
    pub(super) key: K,
    /// What happened to it last; see [`Changes`].
    pub(super) tag: u32,
    pub(super) state: S,
}

impl<K: Key, S> Row<K, S> {
    #[inline(always)]
    pub(super) fn holds(&self, key: &K) -> bool {
        self.key == *key && self.tag & FREE == 0
    }
}

/// All rows of one table.
pub(crate) struct Rows<K, S> {
    pub(super) blocks: Vec<Vec<Row<K, S>>>,
    /// Where each block begins; blocks never move.
    pub(super) addresses: Vec<*const u8>,
    /// Slots below this were used at least once.
    pub(super) slots: u32,
    pub(super) free: Vec<u32>,
    pub(super) changes: Changes,
    pub(super) snapshot: TableSnapshot,
    pub(super) stored: StatesStored<S>,
    create: Rc<dyn Fn(&K) -> S>,
}

impl<K: Key, S: State> Rows<K, S> {
    // cold: once per table
    pub(crate) fn new(create: Rc<dyn Fn(&K) -> S>) -> Self {
        Self {
            blocks: Vec::new(),
            addresses: Vec::new(),
            slots: 0,
            free: Vec::new(),
            changes: Changes::new(),
            snapshot: TableSnapshot::default(),
            stored: StatesStored::new(),
            create,
        }
    }

    #[inline(always)]
    pub(super) fn row(&self, slot: u32) -> &Row<K, S> {
        &self.blocks[slot as usize / BLOCK_ROWS][slot as usize % BLOCK_ROWS]
    }

    #[inline(always)]
    pub(super) fn try_row(&self, slot: u32) -> Option<&Row<K, S>> {
        self.blocks.get(slot as usize / BLOCK_ROWS)?.get(slot as usize % BLOCK_ROWS)
    }

    #[inline(always)]
    pub(super) fn row_mut(&mut self, slot: u32) -> &mut Row<K, S> {
        &mut self.blocks[slot as usize / BLOCK_ROWS][slot as usize % BLOCK_ROWS]
    }

    /// The state in `slot` if it belongs to `key` and has changed in this epoch already: the
    /// case of nearly every update.
    #[inline(always)]
    pub(crate) fn current(&mut self, slot: u32, key: &K) -> Option<&mut S> {
        let now = self.changes.now();
        let block = self.blocks.get_mut(slot as usize / BLOCK_ROWS)?;
        let row = block.get_mut(slot as usize % BLOCK_ROWS)?;
        // The tag of a free slot is another one.
        (row.tag == now && row.key == *key).then_some(&mut row.state)
    }

    /// The state in `slot`, which is going to change.
    #[inline]
    pub(crate) fn change(&mut self, slot: u32) -> &mut S {
        &mut self.changing(slot).state
    }

    #[inline]
    fn changing(&mut self, slot: u32) -> &mut Row<K, S> {
        debug_assert_eq!(self.row(slot).tag & FREE, 0);
        if self.row(slot).tag != self.changes.now() {
            return self.change_first(slot);
        }
        self.row_mut(slot)
    }

    /// The row in `slot` has an older tag and is going to change.
    #[cold]
    #[inline(never)]
    pub(super) fn change_first(&mut self, slot: u32) -> &mut Row<K, S> {
        let Self { blocks, changes, snapshot, .. } = self;
        let row = &mut blocks[slot as usize / BLOCK_ROWS][slot as usize % BLOCK_ROWS];
        if changes.is_due(row.tag) {
            snapshot.save(&row.key, &row.state);
        }
        changes.list(slot);
        row.tag = changes.now();
        row
    }

    /// Saves for snapshots what the row in `slot` leaves when it is freed.
    fn save_removed(&mut self, slot: u32) {
        let Self { blocks, changes, snapshot, .. } = self;
        let row = &blocks[slot as usize / BLOCK_ROWS][slot as usize % BLOCK_ROWS];
        if changes.is_due(row.tag) {
            snapshot.save(&row.key, &row.state);
        }
        if snapshot.is_enabled {
            let (bytes_max, mut removed) = (snapshot.archive_bytes_max, Ok(()));
            snapshot.remember(changes.epoch(), |records| {
                removed = append_removed(&row.key, bytes_max, records);
            });
            if removed.is_err() {
                snapshot.lost = Some(changes.epoch());
            }
        }
    }

    /// Runs `handler` on the row in `slot`; returns whether to remove the row.
    #[inline]
    pub(crate) fn change_entry(
        &mut self,
        slot: u32,
        handler: impl FnOnce(&mut Entry<'_, K, S>),
    ) -> bool {
        let row = self.changing(slot);
        let mut entry = Entry::new(&row.key, &mut row.state);
        handler(&mut entry);
        entry.is_removed()
    }

    pub(super) fn insert(&mut self, key: K) -> u32 {
        self.insert_with(key, |create, key| create(key))
    }

    pub(super) fn insert_with(
        &mut self,
        key: K,
        state: impl FnOnce(&dyn Fn(&K) -> S, &K) -> S,
    ) -> u32 {
        let row = Row { state: state(&*self.create, &key), key, tag: self.changes.now() };
        if let Some(slot) = self.free.pop() {
            let before = core::mem::replace(self.row_mut(slot), row);
            if before.tag & !FREE != self.changes.now() {
                self.changes.list(slot);
            }
            return slot;
        }
        let slot = self.slots;
        assert!(slot < NO_SLOT, "a table holds at most 2^32 - 1 rows");
        if (slot as usize).is_multiple_of(BLOCK_ROWS) {
            // cold: once per BLOCK_ROWS new rows
            let block = Vec::<Row<K, S>>::with_capacity(BLOCK_ROWS);
            self.addresses.push(block.as_ptr().cast());
            self.blocks.push(block);
        }
        self.blocks[slot as usize / BLOCK_ROWS].push(row);
        self.changes.list(slot);
        self.slots += 1;
        slot
    }

    pub(super) fn free(&mut self, slot: u32) {
        self.save_removed(slot);
        // A fresh state releases what the old one held; the slot itself waits for its next key.
        let fresh = (self.create)(&self.row(slot).key);
        let row = self.row_mut(slot);
        assert_eq!(row.tag & FREE, 0, "a row is removed once");
        row.state = fresh;
        row.tag |= FREE;
        self.free.push(slot);
    }
}
