//! The way back: replies to the connections that asked.
//!
//! A connection whose inlet has ended lingers for replies that are still under way. One that does
//! not take its replies would in time hold back its core, and through the lanes everything: it has
//! a limit for that, after which it is closed and what waits for it is counted as lost.

use super::closing::Loss;
use super::driver::Driver;
use super::ports::Readiness;
use crate::flow::Core;

/// A connection that holds its core back for this time is published: an operator may be looking.
const HOLDING_NS: u64 = 10_000_000;

impl Driver {
    /// Writes the replies that wait, as far as their connections take them. Returns whether any
    /// went, or were lost with their connection: the core may have nothing left then, and turns
    /// once more to publish that.
    pub(super) fn carry_replies(&mut self, core: &mut Core, readiness: &mut dyn Readiness) -> bool {
        let mut carried = false;
        let mut lost = None;
        for at in 0..core.replying().len() {
            let slot = core.replying()[at];
            let Some(outlet) = core.reply(slot) else { continue };
            if outlet.waiting().is_empty() {
                continue;
            }
            let inlet = self.inlets[slot].as_mut();
            let Some((port, lingering)) =
                inlet.and_then(|inlet| Some((inlet.port.replies()?, inlet.lingering)))
            else {
                lost = Some((slot, Loss::Gone));
                continue;
            };
            match port.put(outlet.waiting()) {
                Ok(0) => port.watch_room(readiness, slot as u64),
                Ok(bytes) => {
                    outlet.written(bytes);
                    carried = true;
                }
                Err(_) => lost = Some((slot, Loss::Gone)),
            }
            // After the attempt: only now is it known whether the peer took something meanwhile.
            let held_ns = outlet.held_ns(self.now, lingering);
            if held_ns > self.reply_stall_ns {
                lost = Some((slot, Loss::Stalled));
            } else if held_ns > HOLDING_NS {
                self.report_holding(slot);
            }
        }
        if let Some((slot, loss)) = lost {
            self.lose_replies(slot, loss, core, readiness);
            carried = true;
        }
        carried
    }
}
