//! Tables: named keyed state.
//!
//! A table owns its rows, dense and in the order of creation. It does not own the way from a key
//! to a row: that is the host's ([`Host::find`](crate::host::Host::find)), so that the host can
//! prefetch it. Rows never move: a slot number stays valid until its row is removed.

use core::cell::RefCell;

use alloc::rc::Rc;

use crate::flow::Context;
use crate::host::TableId;
use crate::key::Key;
use crate::value::State;

mod chunks;
mod record;
mod shape;
mod slots;

mod changes;
mod snapshot;
mod stored;

mod capture;
mod entry;
mod rows;

mod erased;

pub use chunks::{CHUNK_BYTES, Spares};
pub use entry::Entry;
pub use erased::TableRows;
pub use record::Record;
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
