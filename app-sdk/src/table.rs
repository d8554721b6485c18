//! Tables: named keyed state.
//!
//! A table owns its rows, dense and in the order of creation. It does not own the way from a key
//! to a row: that is the host's ([`Host::find`](crate::host::Host::find)), so that the host can
//! prefetch it. Rows never move: a slot number stays valid until its row is removed.

use core::cell::RefCell;
use core::fmt::Debug;
use core::ops::{Deref, DerefMut};

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::flow::Context;
use crate::host::{NO_SLOT, TableId};
use crate::key::Key;
use crate::value::{self, Corrupt, Schema, State};

mod changes;
mod cut;
mod pieces;
mod record;
mod shape;
mod stored;

pub use cut::Places;
pub use pieces::{PIECE_BYTES, Spares};
pub use record::Record;
pub use shape::TableShape;

use changes::{Changes, FREE};
use cut::Cut;
use stored::StatesStored;

/// Rows are allocated so many at a time: the list of chunks stays short, so that growing it costs
/// no turn anything, at ten million rows, too. Large allocations take memory page by page as they
/// are used, so a table of few rows takes little.
pub const CHUNK_ROWS: usize = 4096;

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
    /// Goes on from checkpoints in which the states of this table were still an `Old`. One
    /// conversion for each former shape: all lead to the present one.
    ///
    /// The old type keeps its name and its fields, in a module of its own:
    ///
    /// ```
    /// use potoroo_sdk::prelude::*;
    ///
    /// mod v1 {
    ///     use potoroo_sdk::prelude::*;
    ///     #[state]
    ///     pub struct Position {
    ///         pub quantity: i64,
    ///     }
    /// }
    ///
    /// #[state]
    /// struct Position {
    ///     quantity: i64,
    ///     limit: u64,
    /// }
    ///
    /// let app = Application::new("positions");
    /// let positions = app
    ///     .table::<Symbol, Position>("positions")
    ///     .migrating(|old: v1::Position| Position { quantity: old.quantity, limit: 1000 });
    /// ```
    #[must_use]
    pub fn migrating<Old: State>(self, convert: impl Fn(Old) -> S + Send + Sync + 'static) -> Self {
        self.rows.borrow_mut().stored.migrate(convert);
        self
    }

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
        let now = rows.changes.now();
        if let Some(row) = rows.try_row_mut(context.slot)
            && row.holds(key)
        {
            if row.tag != now {
                return handler(&mut rows.change_first(context.slot).state);
            }
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
    /// What happened to it last; see [`Changes`].
    tag: u32,
    state: S,
}

impl<K: Key, S> Row<K, S> {
    #[inline(always)]
    fn holds(&self, key: &K) -> bool {
        self.key == *key && self.tag & FREE == 0
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
    changes: Changes,
    cut: Cut,
    stored: StatesStored<S>,
    create: Rc<dyn Fn(&K) -> S>,
}

impl<K: Key, S: State> Rows<K, S> {
    pub(crate) fn new(create: Rc<dyn Fn(&K) -> S>) -> Self {
        Self {
            chunks: Vec::new(),
            addresses: Vec::new(),
            slots: 0,
            free: Vec::new(),
            changes: Changes::new(),
            cut: Cut::default(),
            stored: StatesStored::new(),
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

    /// Runs `handler` on the row in `slot`; returns its result and whether to remove the row.
    pub(crate) fn change_entry<R>(
        &mut self,
        slot: u32,
        handler: impl FnOnce(&mut Entry<'_, K, S>) -> R,
    ) -> (R, bool) {
        let row = self.changing(slot);
        let mut entry = Entry { key: &row.key, state: &mut row.state, removed: false };
        let result = handler(&mut entry);
        (result, entry.removed)
    }

    fn insert(&mut self, key: K) -> u32 {
        self.insert_with(key, |create, key| create(key))
    }

    fn insert_with(&mut self, key: K, state: impl FnOnce(&dyn Fn(&K) -> S, &K) -> S) -> u32 {
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
        if (slot as usize).is_multiple_of(CHUNK_ROWS) {
            let chunk = Vec::<Row<K, S>>::with_capacity(CHUNK_ROWS);
            self.addresses.push(chunk.as_ptr().cast());
            self.chunks.push(chunk);
        }
        self.chunks[slot as usize / CHUNK_ROWS].push(row);
        self.changes.list(slot);
        self.slots += 1;
        slot
    }

    fn free(&mut self, slot: u32) {
        self.leave(slot);
        // A fresh state releases what the old one held; the slot itself waits for its next key.
        let fresh = (self.create)(&self.row(slot).key);
        let row = self.row_mut(slot);
        assert_eq!(row.tag & FREE, 0, "a row is removed once");
        row.state = fresh;
        row.tag |= FREE;
        self.free.push(slot);
    }
}

/// The rows of a table without their types, for hosts.
pub trait TableRows {
    /// Rows that hold a key.
    fn count(&self) -> usize;
    /// Bytes of one row.
    fn row_bytes(&self) -> usize;
    /// Bytes that the rows take in memory. What they own elsewhere, such as text and lists, is
    /// estimated as the bytes that it took in the last cuts; without cuts it is not known.
    fn memory_bytes(&self) -> usize;
    /// Where the rows lie: to prefetch them, never to read them. Row `s` begins
    /// `s % CHUNK_ROWS * row_bytes` bytes behind the address at `s / CHUNK_ROWS`.
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

    /// From now on cuts are taken, the first one behind `epoch`: keys that leave are remembered.
    /// Buffers for what is saved come from `spares`.
    fn keep(&self, epoch: u32, spares: &Spares);
    /// Whether the next cut must be a whole one: more keys left than could be remembered.
    fn needs_whole_cut(&self) -> bool;
    /// Cuts: [`removed`](Self::removed), then [`hand_out`](Self::hand_out) of all slots that
    /// [`changed`](Self::changed) tells, and [`saved`](Self::saved) hand out the table as it is
    /// now, of the rows only those that changed behind the cut `since`; 0 for all.
    ///
    /// # Panics
    /// `epoch` is not greater than that of the cut before, or a whole cut is needed.
    fn cut(&self, epoch: u32, since: u32);
    /// Appends a [`Record`] for each of some further keys that left between the two. Returns
    /// whether there were any.
    fn removed(&self, out: &mut Vec<u8>) -> bool;
    /// Tells further slots whose rows may belong to the cut, as many as there is room for. Returns
    /// how many, and whether there are more.
    fn changed(&self, slots: &mut [u32]) -> (usize, bool);
    /// Appends a [`Record`] for each row of the cut in `slots`, until `out` has [`PIECE_BYTES`].
    /// What changed meanwhile is not among them: it was saved. Returns how many slots are done.
    fn hand_out(&self, slots: &[u32], out: &mut Vec<u8>) -> usize;
    /// A key, as JSON, whose row cannot be stored, since key or state take more than
    /// [`ARCHIVE_BYTES_MAX`](value::ARCHIVE_BYTES_MAX): the cut is not whole.
    fn too_long(&self) -> Option<String>;
    /// Takes a piece of the [`Record`]s that were saved, about [`PIECE_BYTES`] long; with `all`,
    /// when no rows are left, also the last one.
    fn saved(&self, all: bool) -> Option<Vec<u8>>;
    /// The cut is complete or given up: nothing is saved for it any more.
    fn end_cut(&self);
    /// The cut at `epoch` is safe: what left before it is forgotten.
    fn safe(&self, epoch: u32);
    /// Puts a row in place, of which `places` tells or is told the slot.
    ///
    /// # Errors
    /// The record is not one of this table.
    fn restore(&self, record: Record<'_>, places: &mut dyn Places) -> Result<(), Corrupt>;
    /// Takes the row of a removed key away, if there is one.
    ///
    /// # Errors
    /// The record is not one of this table.
    fn forget(&self, record: Record<'_>, places: &mut dyn Places) -> Result<(), Corrupt>;
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
            + rows.changes.memory_bytes()
            + rows.cut.memory_bytes()
    }

    fn with_addresses(&self, use_them: &mut dyn FnMut(&[*const u8])) {
        use_them(&self.borrow().addresses);
    }

    fn each(&self, show: &mut dyn FnMut(&dyn Debug, &dyn Debug)) {
        let rows = self.borrow();
        for row in rows.chunks.iter().flatten().filter(|row| row.tag & FREE == 0) {
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

    fn json(&self, record: Record<'_>) -> Result<(String, String), Corrupt> {
        let (mut key, mut state) = (String::new(), String::new());
        value::read::<K>(record.key)?.json(&mut key);
        match record.state.is_empty() {
            true => state.push_str("null"),
            false => self.borrow().stored.read(record.state)?.json(&mut state),
        }
        Ok((key, state))
    }

    fn keep(&self, epoch: u32, spares: &Spares) {
        self.borrow_mut().keep(epoch, spares.clone());
    }

    fn needs_whole_cut(&self) -> bool {
        self.borrow().needs_whole_cut()
    }

    fn cut(&self, epoch: u32, since: u32) {
        self.borrow_mut().cut(epoch, since);
    }

    fn removed(&self, out: &mut Vec<u8>) -> bool {
        self.borrow_mut().removed(out)
    }

    fn changed(&self, slots: &mut [u32]) -> (usize, bool) {
        self.borrow_mut().changes.take(slots)
    }

    fn hand_out(&self, slots: &[u32], out: &mut Vec<u8>) -> usize {
        self.borrow_mut().hand_out(slots, out)
    }

    fn too_long(&self) -> Option<String> {
        self.borrow().too_long().map(String::from)
    }

    fn saved(&self, all: bool) -> Option<Vec<u8>> {
        self.borrow_mut().saved(all)
    }

    fn end_cut(&self) {
        self.borrow_mut().end_cut();
    }

    fn safe(&self, epoch: u32) {
        self.borrow_mut().safe(epoch);
    }

    fn restore(&self, record: Record<'_>, places: &mut dyn Places) -> Result<(), Corrupt> {
        self.borrow_mut().restore(record, places)
    }

    fn forget(&self, record: Record<'_>, places: &mut dyn Places) -> Result<(), Corrupt> {
        self.borrow_mut().forget(record, places)
    }
}
