//! The way back: replies to the connections that asked, and the end of those connections.
//!
//! A connection whose inlet has ended lingers for replies that are still under way. One that does
//! not take its replies would in time hold back its core, and through the lanes everything: it has
//! a limit for that, after which it is closed and what waits for it is counted as lost.

use potoroo_runtime::Poller;

use super::driver::{Driver, LINGER_NS};
use super::links::{From, write};
use super::mail::Notice;
use super::sinks::watch_room;
use crate::flow::{ConnectionId, Core, Ending};

/// Why nobody gets the replies of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// It is broken, or a file or pipe, which have no way back.
    Gone,
    /// It did not take them for too long.
    Stalled,
}

/// A connection that holds its core back for so long is told of: somebody may be looking.
const HOLDING_NS: u64 = 10_000_000;

impl Driver {
    /// Writes the replies that wait, as far as their connections take them.
    pub(super) fn carry_replies(&mut self, core: &mut Core, poller: &mut Poller) -> bool {
        let mut carried = false;
        let mut lost = None;
        for at in 0..core.replying().len() {
            let slot = core.replying()[at];
            let Some(outlet) = core.reply(slot) else { continue };
            if outlet.waiting().is_empty() {
                continue;
            }
            let link = self.links[slot].as_mut();
            let Some((From::Connection { connection, .. }, lingering)) =
                link.map(|link| (&mut link.from, link.lingering))
            else {
                lost = Some((slot, Loss::Gone));
                continue;
            };
            match write(connection, outlet) {
                Ok(0) => watch_room(poller, connection, slot as u64),
                Ok(_) => carried = true,
                Err(_) => lost = Some((slot, Loss::Gone)),
            }
            // Behind the attempt: only now is it known whether the peer took something meanwhile.
            let held_ns = outlet.held_ns(self.now, lingering);
            if held_ns > self.reply_stall_ns {
                lost = Some((slot, Loss::Stalled));
            } else if held_ns > HOLDING_NS {
                self.tell_holding(slot);
            }
        }
        if let Some((slot, loss)) = lost {
            self.lose_replies(slot, loss, core, poller);
        }
        carried
    }

    /// Tells once who is behind a connection that holds its core back.
    #[cold]
    fn tell_holding(&mut self, slot: usize) {
        let Some(link) = self.links[slot].as_mut().filter(|link| !link.holding) else { return };
        link.holding = true;
        let _ = self.notices.send(Notice::Holding { id: link.id, peer: link.peer.clone() });
    }

    #[cold]
    fn lose_replies(&mut self, slot: usize, loss: Loss, core: &mut Core, poller: &mut Poller) {
        let replies = core.close_reply(slot);
        let Some(link) = self.links[slot].as_mut() else { return };
        let (source, peer) = (link.source, link.peer.clone());
        if link.lingering {
            // It only waited for these replies. Its place is free now, so no entry may be left
            // that would close whoever takes it.
            self.lingering.retain(|(lingering, _)| *lingering != slot);
            poller.unwatch(slot as u64);
            self.links[slot] = None;
        } else if link.is_connection() && !link.ended {
            link.ended = true;
            core.inlet_end(link.id);
        }
        if loss == Loss::Stalled {
            core.count_stalled(source);
            let _ = self.notices.send(Notice::Stalled { source, peer, replies });
        }
    }

    /// An inlet has ended. Its connection stays for replies that are still under way, also when
    /// its bytes could not be understood any further: earlier ones were good.
    #[cold]
    pub(super) fn retire(
        &mut self,
        id: ConnectionId,
        ending: Ending,
        core: &mut Core,
        poller: &mut Poller,
    ) {
        let slot = id.inlet();
        if let Some(link) = &self.links[slot] {
            link.tell_taken(core);
        }
        let fruitful = core.retire_inlet(id);
        let Some(link) = self.links[slot].as_mut() else { return };
        link.ended = true;
        let (source, peer) = (link.source, link.peer.clone());
        if link.is_connection() {
            poller.unwatch(slot as u64);
        }
        if link.is_connection() && fruitful && core.reply(slot).is_some() {
            link.lingering = true;
            self.lingering.push_back((slot, self.now.0 + LINGER_NS));
        } else {
            self.close(slot, core);
        }
        self.tell_closed(source, ending, peer);
    }

    /// Closes connections whose time for late replies is over.
    #[cold]
    pub(super) fn close_lingering(&mut self, core: &mut Core, poller: &mut Poller) {
        while let Some((slot, deadline)) = self.lingering.front().copied() {
            if self.now.0 < deadline {
                return;
            }
            self.lingering.pop_front();
            if core.reply(slot).is_some_and(|outlet| !outlet.waiting().is_empty()) {
                // Not without end: see `Outlet::held_ns`.
                self.lingering.push_back((slot, self.now.0 + LINGER_NS));
            } else {
                poller.unwatch(slot as u64);
                self.close(slot, core);
            }
        }
    }

    fn close(&mut self, slot: usize, core: &mut Core) {
        core.close_reply(slot);
        if let Some(link) = self.links[slot].take() {
            link.hang_up();
        }
    }
}
