//! What passes between a starting core and the thread that starts it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use crate::poller::{self, PollerKind, Waker};

/// What a core's thread needs to go on once every poller exists.
pub(super) struct BuildOrder<B> {
    pub(super) build: B,
    pub(super) wakers: Arc<[Waker]>,
}

/// The starting core's connection to the thread that starts it.
pub(super) struct Port<B> {
    pub(super) waker: Sender<Result<CorePoller, StartRefusal>>,
    pub(super) build: Receiver<BuildOrder<B>>,
}

/// A core that has its poller: how to wake it, and how it asks the kernel.
pub(super) type CorePoller = (Waker, PollerKind);

/// Why a core cannot have what it needs.
pub(super) enum StartRefusal {
    Poller(poller::Error),
    /// The real-time priority that it must have.
    Priority(std::io::Error),
}
