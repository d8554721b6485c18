//! The world: what is left when a process is gone.

use std::collections::BTreeMap;

use potoroo::checkpoint::Transaction;
use potoroo::checkpoint::store::Memory;
use potoroo_sdk::random::Random;

/// Input, checkpoints and output.
#[derive(Debug, Default)]
pub struct World {
    /// The file of each source.
    pub inputs: Vec<Vec<u8>>,
    /// Where checkpoints are kept.
    pub store: Memory,
    /// The file of each sink by name.
    pub outputs: BTreeMap<String, Output>,
    /// Rows of each table when the last life had ended, as text, in order.
    pub tables: BTreeMap<String, Vec<String>>,
}

/// A file that readers see committed output in only, with what was prepared beside it.
#[derive(Debug, Default)]
pub struct Output {
    /// What readers see.
    pub visible: Vec<u8>,
    spools: BTreeMap<String, Vec<u8>>,
}

impl Output {
    /// Keeps `bytes` durably under `spool`.
    pub(super) fn prepare(&mut self, spool: &str, bytes: Vec<u8>) {
        assert!(self.spools.insert(spool.to_owned(), bytes).is_none(), "spools are never reused");
    }

    /// Makes a transaction visible as far as it is not yet. With `torn`, the process is killed
    /// while it writes.
    pub(super) fn commit(
        &mut self,
        transaction: &Transaction,
        torn: Option<&mut Random>,
    ) -> Result<(), String> {
        let end = transaction.offset + transaction.bytes;
        if self.visible.len() as u64 >= end {
            return Ok(());
        }
        let Some(spool) = self.spools.get(&transaction.spool) else {
            return Err(format!("{} is gone", transaction.spool));
        };
        if (self.visible.len() as u64) < transaction.offset {
            return Err(format!("a gap before {}", transaction.spool));
        }
        self.visible.truncate(transaction.offset as usize);
        let written = torn.map_or(spool.len(), |torn| torn.below(spool.len() as u64 + 1) as usize);
        self.visible.extend_from_slice(&spool[..written]);
        Ok(())
    }

    /// A process has begun: `transactions` were committed, all else that is prepared was not.
    pub(super) fn recover(&mut self, transactions: &[&Transaction]) -> Result<(), String> {
        for transaction in transactions {
            self.commit(transaction, None)?;
        }
        self.spools.clear();
        Ok(())
    }
}
