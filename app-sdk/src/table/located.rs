//! Located rows: the way from a key to its row.
//!
//! The host finds slots; the key decides. Must never do: keep a slot longer than a batch.

use core::cell::RefCell;

use alloc::rc::Rc;

use super::hinted::HintedRow;
use super::rows::Rows;
use crate::flow::Batch;
use crate::host::{Hint, Host, TableId};
use crate::key::Key;
use crate::time::EventTime;
use crate::value::{Event, State};

/// A table as operators have it: its number and its rows.
pub(crate) struct TableRef<K, S> {
    pub(crate) id: TableId,
    pub(crate) rows: Rc<RefCell<Rows<K, S>>>,
}

impl<K, S> Clone for TableRef<K, S> {
    fn clone(&self) -> Self {
        Self { id: self.id, rows: self.rows.clone() }
    }
}

impl<K: Key, S: State> TableRef<K, S> {
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
            _ => match self.look_up(rows, key, batch.hashes[place], host) {
                Some(slot) => slot,
                None => self.create(rows, key, batch.hashes[place], host),
            },
        }
    }

    /// The slot of the key at `place` of a batch, if it has a row.
    #[inline]
    pub(crate) fn find<E: Event>(
        &self,
        rows: &Rows<K, S>,
        batch: &Batch<'_, E, K>,
        place: usize,
        host: &mut dyn Host,
    ) -> Option<u32> {
        let (key, guess) = (&batch.keys[place], batch.slots[place]);
        match rows.try_row(guess) {
            Some(row) if row.holds(key) => Some(guess),
            _ => self.look_up(rows, key, batch.hashes[place], host),
        }
    }

    /// Creates the row of the key at `place` of a batch, which has none.
    pub(crate) fn create_at<E: Event>(
        &self,
        rows: &mut Rows<K, S>,
        batch: &Batch<'_, E, K>,
        place: usize,
        host: &mut dyn Host,
    ) -> u32 {
        self.create(rows, &batch.keys[place], batch.hashes[place], host)
    }

    #[inline(never)]
    fn look_up(&self, rows: &Rows<K, S>, key: &K, hash: u64, host: &mut dyn Host) -> Option<u32> {
        let mut candidate = host.find(self.id, hash, None);
        while let Some(slot) = candidate {
            if rows.row(slot).holds(key) {
                break;
            }
            candidate = host.find(self.id, hash, Some(slot));
        }
        candidate
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

impl<K: Key, S: State + HintedRow> TableRef<K, S> {
    /// Hints at the row in `slot`, which is due at `due`, at the end of time never, unless it was
    /// hinted at up to then.
    #[inline]
    pub(crate) fn hint(&self, row: &mut S, (slot, due): (u32, EventTime), host: &mut dyn Host) {
        if let Some(due) = row.hinted().at(due) {
            host.hint(self.id, Hint { due, slot });
        }
    }

    /// As [`FireStage::hint_all`](crate::host::FireStage::hint_all): `due` says when a row is due.
    // cold: after a recovery
    pub(crate) fn hint_all(&self, host: &mut dyn Host, due: impl Fn(&mut S) -> EventTime) {
        let mut rows = self.rows.borrow_mut();
        for slot in 0..rows.slots() {
            if let Some(row) = rows.try_state(slot) {
                let due = due(row);
                self.hint(row, (slot, due), host);
            }
        }
    }
}
