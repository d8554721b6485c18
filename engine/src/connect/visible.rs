//! Where the committed output of a transactional sink becomes visible.

use std::io;
use std::sync::Arc;

use super::potoroo::deliver::Delivery;
use super::spool::Target;
use crate::checkpoint::Transaction;

/// One of these places.
pub enum Visible {
    /// In a file.
    File(Target),
    /// At a client.
    Client(Arc<Delivery>),
}

impl Visible {
    /// Name of the sink.
    pub fn sink(&self) -> &str {
        match self {
            Self::File(target) => &target.sink,
            Self::Client(delivery) => delivery.sink(),
        }
    }

    /// How far committed output has come, as far as that can be told.
    pub fn farthest(&self) -> (u128, u64) {
        match self {
            Self::File(_) => (0, 0),
            Self::Client(delivery) => delivery.farthest(),
        }
    }

    /// The last transaction that a client has; 0 for none, and for files.
    pub fn delivered(&self) -> u128 {
        match self {
            Self::File(_) => 0,
            Self::Client(delivery) => delivery.delivered(),
        }
    }

    /// A checkpoint may take so many bytes: they are kept free where output waits.
    pub fn keep_free(&self, checkpoint_bytes: u64) {
        if let Self::Client(delivery) = self {
            delivery.hold().keep_free(checkpoint_bytes);
        }
    }

    /// Makes a committed transaction visible; returns whether it is, durably.
    ///
    /// # Errors
    /// It cannot be now, or (`InvalidData`) never.
    pub fn show(&self, transaction: &Transaction) -> io::Result<bool> {
        match self {
            Self::File(target) => target.show(transaction).map(|()| true),
            Self::Client(delivery) => delivery.show(transaction),
        }
    }
}
