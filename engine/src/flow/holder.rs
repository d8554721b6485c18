//! What holds the sources of a core back.

use potoroo_sdk::host::SinkId;

/// What holds the sources of a core back besides full buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// Output of this sink waits elsewhere.
    Sink(SinkId),
    /// Nodes come or go; the number of the hold.
    Nodes(u64),
}

impl Holder {
    /// The number of a hold for nodes.
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Self::Sink(_) => None,
            Self::Nodes(number) => Some(*number),
        }
    }
}
