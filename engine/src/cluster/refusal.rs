//! Refusals: a peer is not what it has to be, and trying again does not help.

use std::io;

/// A peer that is refused, or refuses this node.
pub fn refusal(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Whether an error is such a [`refusal`].
pub fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}
