//! Where the committed output of a transactional sink becomes visible.

use std::io;

use crate::checkpoint::Transaction;

/// One of these places.
pub trait Visible: Send {
    /// Name of the sink.
    fn sink(&self) -> &str;

    /// How far committed output has come, as far as the sink knows.
    fn farthest(&self) -> (u128, u64) {
        (0, 0)
    }

    /// The last transaction that a client has; 0 for none, and for files.
    fn delivered(&self) -> u128 {
        0
    }

    /// Leaves room for a checkpoint on the disk where output waits.
    fn keep_free(&self, _checkpoint_bytes: u64) {}

    /// Makes a committed transaction visible; returns whether it is, durably.
    ///
    /// # Errors
    /// It cannot be now, or (`InvalidData`) never.
    fn show(&self, transaction: &Transaction) -> io::Result<bool>;
}
