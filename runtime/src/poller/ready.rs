//! What a descriptor is watched for, and what became of it.

/// What became of a watched descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// What the descriptor was watched under.
    pub token: u64,
    /// Reading will give something: bytes, the end, or the failure.
    pub readable: bool,
    /// Writing will give something: room or the failure. Only after
    /// [`Poller::watch_writable`](super::Poller::watch_writable).
    pub writable: bool,
    /// The peer has gone or the connection is broken; bytes may still be there to read.
    pub closed: bool,
}

/// What a descriptor is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Interest {
    /// Until further notice.
    Read,
    /// Once.
    Write,
}
