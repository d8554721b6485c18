//! Why an edge cannot be used: a mistake of the operator, found before anything runs.

use std::io;

use potoroo_sdk::plan::Mistake;

/// Why a source or sink cannot be opened or started.
#[derive(Debug)]
pub enum EdgeRefusal {
    /// Cause and remedy, of the address that the edge has.
    Reason(String),
    /// Cause and remedy, of a part of that address, or of what belongs to it.
    At {
        /// What is refused.
        address: String,
        /// Cause and remedy.
        reason: String,
    },
    /// The generator that the address names cannot be used.
    Generator(Mistake),
    /// A thread cannot be started.
    Thread {
        /// What it is for.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

impl EdgeRefusal {
    /// For `map_err`: a thread for `what` cannot be started.
    pub fn thread(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Thread { what, source }
    }

    /// The same, of another address than that of the edge.
    #[must_use]
    pub fn at(self, address: impl ToString) -> Self {
        match self {
            Self::Reason(reason) => Self::At { address: address.to_string(), reason },
            other => other,
        }
    }
}

impl From<String> for EdgeRefusal {
    fn from(reason: String) -> Self {
        Self::Reason(reason)
    }
}
