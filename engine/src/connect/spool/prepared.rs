//! A transaction between the marker of its epoch and the commit.

use std::io;

use super::target::Target;
use crate::checkpoint::Transaction;
use crate::disk::DiskFile;

/// A transaction whose spool is written and not yet durable: that takes the disk a while, which the
/// spooler does not wait for.
#[derive(Debug)]
pub struct Prepared {
    pub(super) transaction: Transaction,
    pub(super) file: Box<dyn DiskFile>,
    pub(super) target: Target,
}

impl Prepared {
    /// Makes it durable with its name. Only then may it be reported as prepared.
    ///
    /// # Errors
    /// The disk fails: it is unclear what of it is there.
    pub fn make_durable(self) -> io::Result<Transaction> {
        self.file.sync()?;
        self.target.disk().sync(self.target.folder())?;
        Ok(self.transaction)
    }
}
