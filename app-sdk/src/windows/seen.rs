//! Seen: windows as handlers see them.

use crate::time::EventTime;

/// A window as a handler of [`Windows::closed`](super::Windows::closed) sees it, beside its state.
#[derive(Clone, Copy, Debug)]
pub struct Window<'w, K> {
    key: &'w K,
    start: EventTime,
    end: EventTime,
    firing: Firing,
}

/// Why a window is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firing {
    /// It has changed and is still open: see [`Windows::early`](super::Windows::early).
    Early,
    /// It has closed: nothing comes into it any more.
    Closed,
    /// An event was too late for it, and is shown in one of its own: see
    /// [`Late::Fire`](super::Late::Fire).
    Late,
}

impl<'w, K> Window<'w, K> {
    pub(crate) fn new(key: &'w K, (start, end): (EventTime, EventTime), firing: Firing) -> Self {
        Self { key, start, end, firing }
    }

    /// The key whose events it has.
    pub fn key(&self) -> &K {
        self.key
    }

    /// The first moment that belongs to it.
    pub fn start(&self) -> EventTime {
        self.start
    }

    /// The first moment after it.
    pub fn end(&self) -> EventTime {
        self.end
    }

    /// Why it is shown.
    pub fn firing(&self) -> Firing {
        self.firing
    }
}
