//! The open inlets of a core, as the driver sees them: the port of each, and how it is served.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use potoroo_runtime::Nanos;
use potoroo_sdk::host::SourceId;

use super::mail::NewInlet;
use super::ports::{Fill, InletPort};
use crate::flow::{ConnectionId, Core};

/// What a look at the port of an inlet found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Bytes or the end.
    Something,
    /// Nothing.
    Nothing,
    /// No room for anything: the port was not looked at.
    NoRoom,
}

/// An open inlet and its port.
pub(super) struct OpenInlet {
    pub(super) id: ConnectionId,
    pub(super) source: SourceId,
    pub(super) port: Box<dyn InletPort>,
    /// The position up to which the core has taken bytes is published here.
    taken: Option<Arc<AtomicU64>>,
    /// Its bytes are announced; otherwise it is filled in each turn.
    pub(super) announced: bool,
    /// Replies can go back through its port.
    pub(super) answers: bool,
    /// Fills in a row that found nothing.
    pub(super) idle_fills: u32,
    /// It is in the list of inlets that are filled in each turn.
    pub(super) active: bool,
    /// Nothing more is read; the core still has to take what was.
    pub(super) ended: bool,
    /// The core has taken everything, and it waits for late replies.
    pub(super) lingering: bool,
    /// It was published that the core is held back by it.
    pub(super) holding: bool,
}

impl OpenInlet {
    // cold: once per inlet
    pub(super) fn new(id: ConnectionId, announced: bool, new: NewInlet) -> Self {
        let NewInlet { source, mut port, taken, .. } = new;
        let answers = port.replies().is_some();
        Self {
            id,
            source,
            port,
            taken,
            announced,
            answers,
            idle_fills: 0,
            active: true,
            ended: false,
            lingering: false,
            holding: false,
        }
    }

    /// Reads from the port into the inlet.
    #[inline]
    pub(super) fn fill(&mut self, core: &mut Core, now: Nanos) -> Found {
        if self.taken.is_some() {
            self.publish_taken(core);
        }
        let room = core.inlet_room(self.id);
        if room.is_empty() {
            return Found::NoRoom;
        }
        match self.port.fill(room, now) {
            Fill::Bytes(bytes, read) => core.inlet_filled(self.id, bytes, read),
            Fill::Nothing => return Found::Nothing,
            Fill::Ended => {
                self.ended = true;
                core.inlet_end(self.id);
            }
        }
        Found::Something
    }

    /// Publishes how far the inlet was taken.
    pub(super) fn publish_taken(&self, core: &mut Core) {
        if let Some(taken) = &self.taken {
            taken.store(core.inlet_position(self.id), Ordering::Relaxed);
        }
    }

    /// Reads nothing more than what was handed over before.
    #[cold]
    pub(super) fn stop(&mut self) {
        if !self.port.stop() {
            self.ended = true;
        }
    }
}
