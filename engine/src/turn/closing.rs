//! The end of inlets and of the connections to which they belong.
//!
//! Cold: once per connection.

use potoroo_sdk::host::SourceId;

use super::driver::Driver;
use super::mail::Notice;
use super::ports::Readiness;
use crate::flow::{ConnectionId, Core, Ending};

/// Why the replies of a connection are lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// It is broken, or a file or pipe, which have no way back.
    Gone,
    /// It did not take them for too long.
    Stalled,
}

/// How long a connection that the peer has closed for writing waits for replies that are still
/// under way: far longer than any event takes that is not held back.
const LINGER_NS: u64 = 1_000_000_000;

impl Driver {
    /// An inlet has ended. Its connection stays for replies that are still under way, also when
    /// its bytes could not be understood any further: earlier ones were good.
    #[cold]
    pub(super) fn retire(
        &mut self,
        id: ConnectionId,
        ending: Ending,
        core: &mut Core,
        readiness: &mut dyn Readiness,
    ) {
        let slot = id.inlet();
        if let Some(inlet) = &self.inlets[slot] {
            inlet.publish_taken(core);
        }
        let fruitful = core.retire_inlet(id);
        let Some(inlet) = self.inlets[slot].as_mut() else { return };
        inlet.ended = true;
        let (source, peer, answers) = (inlet.source, inlet.port.peer().to_owned(), inlet.answers);
        if inlet.announced {
            readiness.unwatch(slot as u64);
        }
        if answers && fruitful && core.reply(slot).is_some() {
            inlet.lingering = true;
            self.lingering.push_back((slot, self.now.0 + LINGER_NS));
        } else {
            self.close(slot, core);
        }
        self.report_closed(source, ending, &peer);
    }

    #[cold]
    pub(super) fn lose_replies(
        &mut self,
        slot: usize,
        loss: Loss,
        core: &mut Core,
        readiness: &mut dyn Readiness,
    ) {
        let replies = core.close_reply(slot);
        let Some(inlet) = self.inlets[slot].as_mut() else { return };
        let (source, peer) = (inlet.source, inlet.port.peer().to_owned());
        if inlet.lingering {
            // It only waited for these replies. Its slot is free now, so no entry may be left that
            // would close the next inlet there.
            self.lingering.retain(|(lingering, _)| *lingering != slot);
            readiness.unwatch(slot as u64);
            self.inlets[slot] = None;
        } else if inlet.answers && !inlet.ended {
            inlet.ended = true;
            core.inlet_end(inlet.id);
        }
        if loss == Loss::Stalled {
            core.count_stalled(source);
            let _ = self.notices.send(Notice::Stalled { source, peer, replies });
        }
    }

    /// Closes connections whose time for late replies is over.
    #[cold]
    pub(super) fn close_lingering(&mut self, core: &mut Core, readiness: &mut dyn Readiness) {
        while let Some((slot, deadline)) = self.lingering.front().copied() {
            if self.now.0 < deadline {
                return;
            }
            self.lingering.pop_front();
            if core.reply(slot).is_some_and(|outlet| !outlet.waiting().is_empty()) {
                // Not without end: see `Outlet::held_ns`.
                self.lingering.push_back((slot, self.now.0 + LINGER_NS));
            } else {
                readiness.unwatch(slot as u64);
                self.close(slot, core);
            }
        }
    }

    #[cold]
    fn close(&mut self, slot: usize, core: &mut Core) {
        core.close_reply(slot);
        if let Some(mut inlet) = self.inlets[slot].take() {
            inlet.port.close();
        }
    }

    /// Reports once which connection holds its core back.
    #[cold]
    pub(super) fn report_holding(&mut self, slot: usize) {
        let Some(inlet) = self.inlets[slot].as_mut().filter(|inlet| !inlet.holding) else { return };
        inlet.holding = true;
        let peer = inlet.port.peer().to_owned();
        let _ = self.notices.send(Notice::Holding { id: inlet.id, peer });
    }

    /// Reports the peer of a connection, if it is one of this core.
    #[cold]
    pub(super) fn name_peer(&self, id: ConnectionId) {
        let inlet = self.inlets.get(id.inlet()).and_then(Option::as_ref);
        if let Some(inlet) = inlet.filter(|inlet| inlet.id == id) {
            let peer = inlet.port.peer().to_owned();
            let _ = self.notices.send(Notice::Holding { id, peer });
        }
    }

    #[cold]
    pub(super) fn report_closed(&self, source: SourceId, ending: Ending, peer: &str) {
        let _ = self.notices.send(Notice::Closed { source, ending, peer: peer.to_owned() });
    }
}
