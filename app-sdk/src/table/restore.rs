//! Restore: rows from their records.

use super::record::Record;
use super::rows::Rows;
use super::slots::SlotIndex;
use crate::key::Key;
use crate::value::{self, Corrupt, State};

impl<K: Key, S: State> Rows<K, S> {
    pub(super) fn restore(
        &mut self,
        record: Record<'_>,
        index: &mut dyn SlotIndex,
    ) -> Result<(), Corrupt> {
        let key = self.key_of(record)?;
        let state = self.stored.read(record.state)?;
        match self.slot_of(&key, record.hash, index) {
            Some(slot) => self.row_mut(slot).state = state,
            None => {
                let (slot, _) = self.insert_with(key, state);
                index.bind(record.hash, slot);
            }
        }
        Ok(())
    }

    pub(super) fn forget(
        &mut self,
        record: Record<'_>,
        index: &mut dyn SlotIndex,
    ) -> Result<(), Corrupt> {
        let key = self.key_of(record)?;
        if let Some(slot) = self.slot_of(&key, record.hash, index) {
            index.unbind(record.hash, slot);
            self.free(slot);
        }
        Ok(())
    }

    fn key_of(&self, record: Record<'_>) -> Result<K, Corrupt> {
        let key: K = value::read(record.key)?;
        if key.hash() == record.hash { Ok(key) } else { Err(Corrupt) }
    }

    fn slot_of(&self, key: &K, hash: u64, index: &mut dyn SlotIndex) -> Option<u32> {
        let mut candidate = index.find(hash, None);
        while let Some(slot) = candidate {
            if self.row(slot).holds(key) {
                return Some(slot);
            }
            candidate = index.find(hash, Some(slot));
        }
        None
    }
}
