//! What can go wrong between a client and an engine.

use std::fmt;
use std::io;

use crate::Malformed;

/// What went wrong between a client and an engine.
#[derive(Debug)]
pub enum Error {
    /// The connection cannot be made, or broke.
    Io(io::Error),
    /// The other side sent something else than the protocol.
    Malformed(Malformed),
    /// The other side sent a frame that does not belong there.
    Unexpected(&'static str),
    /// The other side refused, for this reason.
    Refused(String),
    /// The client was used wrongly; nothing was sent.
    Misused(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Unexpected(name) => write!(f, "{name} does not belong here"),
            Self::Refused(reason) => write!(f, "refused: {reason}"),
            Self::Misused(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Malformed(malformed) => Some(malformed),
            Self::Unexpected(_) | Self::Refused(_) | Self::Misused(_) => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}
