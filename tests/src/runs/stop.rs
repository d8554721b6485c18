//! How a run ends before its input does.

use std::io::{self, ErrorKind};

use super::rollback::RolledBack;

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
