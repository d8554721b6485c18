//! Tables: named keyed state.
//!
//! A table owns its rows, dense and in the order of creation. It does not own the way from a key
//! to a row: that is the host's ([`Host::find`](crate::host::Host::find)), so that the host can
//! prefetch it. Rows never move: a slot number stays valid until its row is removed.

use core::cell::RefCell;
use core::fmt::Debug;
use core::ops::{Deref, DerefMut};

use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::flow::Context;
use crate::host::{NO_SLOT, TableId};
use crate::key::Key;
use crate::value::State;

/// Rows are allocated so many at a time: the list of chunks stays short, so that growing it costs
/// no turn anything, at ten million rows, too. Large allocations take memory page by page as they
/// are used, so a table of few rows takes little.
pub const CHUNK_ROWS: usize = 4096;

/// The epoch of a row that holds nothing.
const EPOCH_FREE: u32 = u32::MAX;

/// A named table from `K` to `S`; see [`Application::table`](crate::Application::table).
pub struct Table<K, S> {
    pub(crate) id: TableId,
    pub(crate) rows: Rc<RefCell<Rows<K, S>>>,
}

impl<K, S> Clone for Table<K, S> {
    fn clone(&self) -> Self {
        Self { id: self.id, rows: self.rows.clone() }
    }
}

/// Ties a table to the key type of a stream; implemented by [`Table`] only.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a table with the key type `{K}` of this stream",
    note = "give the table the stream's key type, or `key_by` the table's"
)]
pub trait HasState<K> {
    /// What the table keeps for each key.
    type State: State;
    #[doc(hidden)]
    fn table(&self) -> Table<K, Self::State>;
}

impl<K: Key, S: State> HasState<K> for Table<K, S> {
    type State = S;
    fn table(&self) -> Table<K, S> {
        self.clone()
    }
}

impl<K: Key, S: State> Table<K, S> {
    /// Runs `handler` on the state of `key`, which is created when there is none.
    #[inline(always)]
    pub(crate) fn change<R>(
        &self,
        key: &K,
        context: &mut Context<'_>,
        handler: impl FnOnce(&mut S) -> R,
    ) -> R {
        let mut rows = self.rows.borrow_mut();
        // The guess may be for another table of the stage, or out of date: the key decides.
        let epoch = rows.epoch;
        if let Some(row) = rows.try_row_mut(context.slot)
            && row.holds(key)
        {
            row.epoch = epoch;
            return handler(&mut row.state);
        }
        drop(rows);
        let slot = self.locate(key, context);
        handler(self.rows.borrow_mut().change(slot))
    }

    /// The row of `key`, created when there is none.
    #[inline(never)]
    pub(crate) fn locate(&self, key: &K, context: &mut Context<'_>) -> u32 {
        let rows = self.rows.borrow();
        let mut candidate = context.host.find(self.id, context.hash, None);
        while let Some(slot) = candidate {
            if rows.row(slot).holds(key) {
                return slot;
            }
            candidate = context.host.find(self.id, context.hash, Some(slot));
        }
        drop(rows);
        self.locate_new(key, context)
    }

    #[cold]
    #[inline(never)]
    fn locate_new(&self, key: &K, context: &mut Context<'_>) -> u32 {
        let slot = self.rows.borrow_mut().insert(key.clone());
        context.host.bind(self.id, context.hash, slot);
        slot
    }

    /// Removes the row that holds `key`.
    #[cold]
    #[inline(never)]
    pub(crate) fn remove(&self, slot: u32, context: &mut Context<'_>) {
        context.host.unbind(self.id, context.hash, slot);
        self.rows.borrow_mut().free(slot);
    }
}

/// A row as a handler of `update_with` sees it: the state, its key, and the choice to remove it.
///
/// Dereferences to the state.
pub struct Entry<'a, K, S> {
    key: &'a K,
    state: &'a mut S,
    removed: bool,
}

impl<'a, K, S> Entry<'a, K, S> {
    /// The key of this row.
    pub fn key(&self) -> &K {
        self.key
    }

    /// Removes the row when the handler returns. The next event of the key finds a new state.
    pub fn remove(&mut self) {
        self.removed = true;
    }
}

impl<K, S> Deref for Entry<'_, K, S> {
    type Target = S;
    fn deref(&self) -> &S {
        self.state
    }
}

impl<K, S> DerefMut for Entry<'_, K, S> {
    fn deref_mut(&mut self) -> &mut S {
        self.state
    }
}

/// One row; 16 bytes and the state for a key of 8 bytes.
struct Row<K, S> {
    key: K,
    /// The checkpoint epoch in which the row last changed; [`EPOCH_FREE`] for a free row.
    epoch: u32,
    state: S,
}

impl<K: Key, S> Row<K, S> {
    #[inline(always)]
    fn holds(&self, key: &K) -> bool {
        self.key == *key && self.epoch != EPOCH_FREE
    }
}

/// All rows of one table.
pub(crate) struct Rows<K, S> {
    chunks: Vec<Vec<Row<K, S>>>,
    /// Where each chunk begins; chunks never move.
    addresses: Vec<*const u8>,
    /// Slots below this were used at least once.
    slots: u32,
    free: Vec<u32>,
    epoch: u32,
    create: Rc<dyn Fn(&K) -> S>,
}

impl<K: Key, S: State> Rows<K, S> {
    pub(crate) fn new(create: Rc<dyn Fn(&K) -> S>) -> Self {
        Self {
            chunks: Vec::new(),
            addresses: Vec::new(),
            slots: 0,
            free: Vec::new(),
            epoch: 0,
            create,
        }
    }

    #[inline(always)]
    fn row(&self, slot: u32) -> &Row<K, S> {
        &self.chunks[slot as usize / CHUNK_ROWS][slot as usize % CHUNK_ROWS]
    }

    #[inline(always)]
    fn try_row_mut(&mut self, slot: u32) -> Option<&mut Row<K, S>> {
        self.chunks.get_mut(slot as usize / CHUNK_ROWS)?.get_mut(slot as usize % CHUNK_ROWS)
    }

    #[inline(always)]
    fn row_mut(&mut self, slot: u32) -> &mut Row<K, S> {
        &mut self.chunks[slot as usize / CHUNK_ROWS][slot as usize % CHUNK_ROWS]
    }

    /// The state in `slot`, which is going to change.
    #[inline]
    pub(crate) fn change(&mut self, slot: u32) -> &mut S {
        let epoch = self.epoch;
        let row = self.row_mut(slot);
        debug_assert_ne!(row.epoch, EPOCH_FREE);
        row.epoch = epoch;
        &mut row.state
    }

    /// Runs `handler` on the row in `slot`; returns its result and whether to remove the row.
    pub(crate) fn change_entry<R>(
        &mut self,
        slot: u32,
        handler: impl FnOnce(&mut Entry<'_, K, S>) -> R,
    ) -> (R, bool) {
        let epoch = self.epoch;
        let row = self.row_mut(slot);
        debug_assert_ne!(row.epoch, EPOCH_FREE);
        row.epoch = epoch;
        let mut entry = Entry { key: &row.key, state: &mut row.state, removed: false };
        let result = handler(&mut entry);
        (result, entry.removed)
    }

    fn insert(&mut self, key: K) -> u32 {
        let row = Row { state: (self.create)(&key), key, epoch: self.epoch };
        if let Some(slot) = self.free.pop() {
            *self.row_mut(slot) = row;
            return slot;
        }
        let slot = self.slots;
        assert!(slot < NO_SLOT, "a table holds at most 2^32 - 1 rows");
        if (slot as usize).is_multiple_of(CHUNK_ROWS) {
            let chunk = Vec::<Row<K, S>>::with_capacity(CHUNK_ROWS);
            self.addresses.push(chunk.as_ptr().cast());
            self.chunks.push(chunk);
        }
        self.chunks[slot as usize / CHUNK_ROWS].push(row);
        self.slots += 1;
        slot
    }

    fn free(&mut self, slot: u32) {
        // A fresh state releases what the old one held; the slot itself waits for its next key.
        let fresh = (self.create)(&self.row(slot).key);
        let row = self.row_mut(slot);
        assert_ne!(row.epoch, EPOCH_FREE, "a row is removed once");
        row.state = fresh;
        row.epoch = EPOCH_FREE;
        self.free.push(slot);
    }
}

/// The rows of a table without their types, for hosts.
pub trait TableRows {
    /// Rows that hold a key.
    fn count(&self) -> usize;
    /// Bytes of one row.
    fn row_bytes(&self) -> usize;
    /// Bytes that the rows take in memory, without what states own elsewhere.
    fn memory_bytes(&self) -> usize;
    /// Where the rows lie: to prefetch them, never to read them. Row `s` begins
    /// `s % CHUNK_ROWS * row_bytes` bytes behind the address at `s / CHUNK_ROWS`.
    fn with_addresses(&self, use_them: &mut dyn FnMut(&[*const u8]));
    /// Shows each key and state, in no particular order.
    fn each(&self, show: &mut dyn FnMut(&dyn Debug, &dyn Debug));
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
            + rows.chunks.capacity() * (size_of::<Vec<Row<K, S>>>() + size_of::<*const u8>())
            + rows.free.capacity() * size_of::<u32>()
    }

    fn with_addresses(&self, use_them: &mut dyn FnMut(&[*const u8])) {
        use_them(&self.borrow().addresses);
    }

    fn each(&self, show: &mut dyn FnMut(&dyn Debug, &dyn Debug)) {
        let rows = self.borrow();
        for row in rows.chunks.iter().flatten().filter(|row| row.epoch != EPOCH_FREE) {
            show(&row.key, &row.state);
        }
    }
}
