//! Rows: keys and states of one table, dense and in the order of creation.
//!
//! Owns the rows and their slots. Promises that the host sees a row before it changes, once for
//! each tag of the table: see [`Host::changing`]. So a host can copy what it has not stored yet,
//! and further changes cost one compare. Must never know why a host does that.

use alloc::rc::Rc;
use alloc::vec::Vec;

use super::entry::Entry;
use super::row::{FREE, Row};
use super::stored::StatesStored;
use crate::host::{Host, NO_SLOT, TableId};
use crate::key::Key;
use crate::value::State;

/// Rows are allocated in blocks of this many: 2441 blocks hold ten million rows, so growing their
/// list delays no turn. A large allocation takes memory page by page as it is used, so a table of
/// one row takes one page.
pub const BLOCK_ROWS: usize = 4096;

/// All rows of one table.
pub(crate) struct Rows<K, S> {
    pub(super) blocks: Vec<Vec<Row<K, S>>>,
    /// Where each block begins; blocks never move.
    pub(super) addresses: Vec<*const u8>,
    /// Slots below this were used at least once.
    pub(super) slots: u32,
    pub(super) free: Vec<u32>,
    /// What rows get that change now; less than [`FREE`].
    pub(super) tag: u32,
    pub(super) stored: StatesStored<S>,
    create: Rc<dyn Fn(&K) -> S>,
    /// Makes a state as it is created, but for its memory, which it keeps for the next row.
    clear: Option<fn(&mut S)>,
}

impl<K: Key, S: State> Rows<K, S> {
    // cold: once per table
    pub(crate) fn new(create: Rc<dyn Fn(&K) -> S>) -> Self {
        Self {
            blocks: Vec::new(),
            addresses: Vec::new(),
            slots: 0,
            free: Vec::new(),
            tag: 0,
            stored: StatesStored::new(),
            create,
            clear: None,
        }
    }

    /// The same rows, of which there are none yet. Those that are removed are cleared by `clear`,
    /// so that rows that come and go take no memory each time.
    // cold: while the application is described
    pub(crate) fn cleared_by(mut self, clear: fn(&mut S)) -> Self {
        self.clear = Some(clear);
        self
    }

    /// The same rows, whose stored states are not those of others of their type that have another
    /// `identity`.
    // cold: while the application is described
    pub(crate) fn varying(mut self, identity: &str) -> Self {
        self.stored.vary(identity);
        self
    }

    /// Rows of states that have those of `plain` within, of which there are none yet.
    // cold: while the application is described
    pub(super) fn within<P: State>(plain: &Rows<K, P>, wrap: fn(P) -> S) -> Self {
        let create = plain.create.clone();
        let mut rows = Self::new(Rc::new(move |key| wrap(create(key))));
        rows.stored = plain.stored.within(wrap);
        rows
    }

    /// States may be stored as an `Old`, from which `convert` makes them.
    // cold: while the application is described
    pub(crate) fn migrate<Old: State>(&mut self, convert: impl Fn(Old) -> S + 'static) {
        self.stored.migrate(convert);
    }

    /// Slots below this were used at least once.
    pub(crate) fn slots(&self) -> u32 {
        self.slots
    }

    /// The state in `slot`, if there is a row: for what is not stored of it. Everything else goes
    /// through [`changing`](Self::changing).
    #[inline]
    pub(crate) fn try_state(&mut self, slot: u32) -> Option<&mut S> {
        let block = self.blocks.get_mut(slot as usize / BLOCK_ROWS)?;
        let row = block.get_mut(slot as usize % BLOCK_ROWS)?;
        (!row.is_free()).then_some(&mut row.state)
    }

    /// The state in `slot`, which has a row.
    #[inline(always)]
    pub(crate) fn state(&self, slot: u32) -> &S {
        &self.row(slot).state
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

    /// The state in `slot` if it belongs to `key` and has the tag of now: the case of nearly every
    /// update.
    #[inline(always)]
    pub(crate) fn current(&mut self, slot: u32, key: &K) -> Option<&mut S> {
        let tag = self.tag;
        let block = self.blocks.get_mut(slot as usize / BLOCK_ROWS)?;
        let row = block.get_mut(slot as usize % BLOCK_ROWS)?;
        // The tag of a free slot is another one.
        (row.tag == tag && row.key == *key).then_some(&mut row.state)
    }

    /// The row in `slot` of `table`, which is this one: it is going to change.
    #[inline]
    pub(crate) fn changing(
        &mut self,
        table: TableId,
        slot: u32,
        host: &mut dyn Host,
    ) -> &mut Row<K, S> {
        debug_assert!(!self.row(slot).is_free());
        if self.row(slot).tag != self.tag {
            return self.change_first(table, slot, host);
        }
        self.row_mut(slot)
    }

    /// The row in `slot` has an older tag and is going to change.
    #[cold]
    #[inline(never)]
    fn change_first(&mut self, table: TableId, slot: u32, host: &mut dyn Host) -> &mut Row<K, S> {
        let tag = self.tag;
        let row = self.row_mut(slot);
        host.changing(table, slot, Some(row));
        row.tag = tag;
        row
    }

    /// Runs `handler` on the row in `slot` of `table`; returns whether to remove the row.
    #[inline]
    pub(crate) fn change_entry(
        &mut self,
        (table, slot): (TableId, u32),
        host: &mut dyn Host,
        handler: impl FnOnce(&mut Entry<'_, K, S>),
    ) -> bool {
        let row = self.changing(table, slot, host);
        let mut entry = Entry::new(&row.key, &mut row.state);
        handler(&mut entry);
        entry.is_removed()
    }

    /// Adds a row. Returns its slot, and whether nothing has changed there since the table has its
    /// tag.
    pub(super) fn insert(&mut self, key: K) -> (u32, bool) {
        if self.clear.is_some()
            && let Some(slot) = self.free.pop()
        {
            let tag = self.tag;
            let row = self.row_mut(slot);
            row.key = key;
            let before = core::mem::replace(&mut row.tag, tag);
            return (slot, before & !FREE != tag);
        }
        let state = (self.create)(&key);
        self.insert_with(key, state)
    }

    pub(super) fn insert_with(&mut self, key: K, state: S) -> (u32, bool) {
        let row = Row { key, tag: self.tag, state };
        if let Some(slot) = self.free.pop() {
            let before = core::mem::replace(self.row_mut(slot), row);
            return (slot, before.tag & !FREE != self.tag);
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
        self.slots += 1;
        (slot, true)
    }

    pub(super) fn free(&mut self, slot: u32) {
        assert!(!self.row(slot).is_free(), "a row is removed once");
        // What the state held is released; the slot itself waits for its next key.
        match self.clear {
            Some(clear) => clear(&mut self.row_mut(slot).state),
            None => self.row_mut(slot).state = (self.create)(&self.row(slot).key),
        }
        let row = self.row_mut(slot);
        row.tag |= FREE;
        self.free.push(slot);
    }
}
