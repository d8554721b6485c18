//! How a run ends before its input does.

use std::io::{self, ErrorKind};

use super::rollback::RolledBack;

/// How a run is ended in the middle.
#[derive(Clone, Copy)]
pub(super) enum RunEnd {
    /// It is killed.
    Kill,
    /// HEAD goes back, as this draw has it.
    RollBack(u64),
    /// A link or node is lost, as this draw has it; with one node it is killed.
    LoseNode(u64),
}

/// Why a run does not go on.
pub(super) enum Stop {
    /// The disk, and with it the process.
    Died,
    /// Not the process, only this generation.
    RolledBack(Box<RolledBack>),
    /// What never may be.
    Wrong(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::Other => Self::Died,
            _ => Self::Wrong(error.to_string()),
        }
    }
}
