//! What a router has not sent: at a snapshot, after the lanes were marked, it is the core's own.
//!
//! All of it is copied at once: of each link up to the bytes of its lanes, when its peer takes
//! nothing, so some tens of microseconds per link that is full. Should that be too long, it can be
//! copied in slices, with nothing sent before it is copied.
//!
//! Cold: once per checkpoint.

use super::route::Router;
use crate::checkpoint::Epoch;

impl Router {
    /// Marks all lanes that leave, and wakes their receivers.
    #[cold]
    pub(super) fn mark_lanes(&mut self, epoch: Epoch, wake: &mut dyn FnMut(usize)) {
        let others = self.outbound.iter_mut().enumerate().filter(|(_, lanes)| !lanes.is_none());
        for (to, lanes) in others {
            lanes.mark(epoch.0);
            wake(to);
        }
    }

    /// Shows each frame that the core keeps to itself.
    #[cold]
    pub(super) fn each_kept(&self, mut show: impl FnMut(usize, &[u8])) {
        for (level, local) in self.local.iter().enumerate() {
            local.each(|frame| show(level, frame));
        }
    }

    /// Shows each frame that has found no room: in a link, whose lanes were marked just before, or
    /// in a lane. Those of one level to one core come in their order.
    #[cold]
    pub(super) fn each_waiting(&self, mut show: impl FnMut(usize, &[u8])) {
        for (level, outbox) in self.outbox.iter().enumerate() {
            for lanes in &self.outbound {
                lanes.each_unsent(level, |frame| show(level, frame));
            }
            outbox.each(|frame| show(level, frame));
        }
    }
}
