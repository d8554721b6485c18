//! Clients: scripted connections that bring bytes and take replies.

use potoroo::flow::ConnectionId;
use potoroo_sdk::host::SourceId;

/// What one connection does.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Index of its source.
    pub source: u8,
    /// What it sends.
    pub bytes: Vec<u8>,
    /// It closes both directions after this number of sent bytes; `None`: it sends all and then
    /// waits for the last reply.
    pub cut: Option<usize>,
    /// After this number of bytes it reads no more replies, and stays connected.
    pub deaf_after: Option<usize>,
    /// It connects when this number of the clients before it have gone.
    pub after: usize,
}

impl Script {
    /// How many bytes it sends.
    pub fn bytes_sent(&self) -> usize {
        self.cut.unwrap_or(self.bytes.len()).min(self.bytes.len())
    }
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not there yet.
    Absent,
    /// Sending.
    Open,
    /// Everything is sent; the core still has to take it.
    Ended,
    /// The core has taken everything, or turned it away.
    Gone,
}

/// A connection.
pub(super) struct Client {
    pub(super) script: Script,
    /// The core that serves it.
    pub(super) core: usize,
    /// Its connection, when the core has opened it.
    pub(super) id: Option<ConnectionId>,
    pub(super) stage: Stage,
    /// Its port was found empty: what it sends next is announced, if it has a descriptor, or wakes
    /// the core as a pipe does.
    pub(super) empty: bool,
    /// It has a descriptor.
    pub(super) announced: bool,
    /// The step from which on it takes replies again, if the core waits for that.
    pub(super) room_at: Option<u64>,
    pub(super) sent: usize,
    pub(super) replies: Vec<u8>,
    /// It no longer reads.
    pub(super) deaf: bool,
    /// It was not read to its end.
    pub(super) stopped: bool,
}

impl Client {
    pub(super) fn new(script: Script, core: usize, announced: bool) -> Self {
        Self {
            script,
            core,
            id: None,
            stage: Stage::Absent,
            empty: false,
            announced,
            room_at: None,
            sent: 0,
            replies: Vec::new(),
            deaf: false,
            stopped: false,
        }
    }

    /// What it sends next.
    pub(super) fn rest(&self) -> &[u8] {
        &self.script.bytes[self.sent..self.script.bytes_sent()]
    }

    pub(super) fn source(&self) -> SourceId {
        SourceId(self.script.source)
    }

    /// Whether it has got all the replies that it wants.
    pub(super) fn is_sated(&self) -> bool {
        self.script.deaf_after.is_some_and(|bytes| self.replies.len() >= bytes)
    }
}
