//! Tables: named keyed state.
//!
//! A table owns its rows, dense and in the order of creation. It does not own the way from a key
//! to a row: that is the host's ([`Host::find`]), so that the host can
//! prefetch it. Rows never move: a slot number stays valid until its row is removed.
//!
//! Nor does it know which rows changed since when. A host that has to know sets a tag
//! ([`TableRows::set_tag`]), and sees each row once before it changes ([`Host::changing`]); it
//! stores rows as [`Record`]s and restores them.

use core::cell::RefCell;

use alloc::rc::Rc;

use crate::flow::Batch;
use crate::host::{Host, TableId};
use crate::key::Key;
use crate::value::{Event, State};

mod record;
mod row;
mod shape;
mod slots;
mod stored;

mod entry;
mod rows;

mod erased;
mod restore;

pub use entry::Entry;
pub use erased::{TAGS, TableRows};
pub use record::Record;
pub use row::AnyRow;
pub use rows::BLOCK_ROWS;
pub(crate) use rows::Rows;
pub use shape::TableShape;
pub use slots::SlotIndex;

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
    /// What the table has for each key.
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

    /// The slot of the key at `place` of a batch; its row is created when there is none.
    #[inline]
    pub(crate) fn locate<E: Event>(
        &self,
        rows: &mut Rows<K, S>,
        batch: &Batch<'_, E, K>,
        place: usize,
        host: &mut dyn Host,
    ) -> u32 {
        let (key, guess) = (&batch.keys[place], batch.slots[place]);
        // The guess may be for another table of the stage, or out of date: the key decides.
        match rows.try_row(guess) {
            Some(row) if row.holds(key) => guess,
            _ => self.look_up(rows, key, batch.hashes[place], host),
        }
    }

    #[inline(never)]
    fn look_up(&self, rows: &mut Rows<K, S>, key: &K, hash: u64, host: &mut dyn Host) -> u32 {
        let mut candidate = host.find(self.id, hash, None);
        while let Some(slot) = candidate {
            if rows.row(slot).holds(key) {
                return slot;
            }
            candidate = host.find(self.id, hash, Some(slot));
        }
        self.create(rows, key, hash, host)
    }

    #[cold]
    #[inline(never)]
    fn create(&self, rows: &mut Rows<K, S>, key: &K, hash: u64, host: &mut dyn Host) -> u32 {
        let (slot, first) = rows.insert(key.clone());
        if first {
            host.changing(self.id, slot, None);
        }
        host.bind(self.id, hash, slot);
        slot
    }

    /// The state in `slot`, which is going to change.
    #[inline]
    pub(crate) fn change<'a>(
        &self,
        rows: &'a mut Rows<K, S>,
        slot: u32,
        host: &mut dyn Host,
    ) -> &'a mut S {
        &mut rows.changing(self.id, slot, host).state
    }

    /// Removes the row in `slot`, whose key has `hash`.
    #[cold]
    #[inline(never)]
    pub(crate) fn remove(&self, rows: &mut Rows<K, S>, hash: u64, slot: u32, host: &mut dyn Host) {
        host.unbind(self.id, hash, slot, rows.row(slot));
        rows.free(slot);
    }
}
