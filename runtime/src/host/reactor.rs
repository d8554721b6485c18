//! What a core runs, as its host sees it.

use crate::clock::Nanos;
use crate::gaps::Gap;
use crate::poller::Poller;

/// What a core runs: a state machine, called once per turn.
pub trait Reactor {
    /// What is left of it at the end, for [`RunningCores::join`](super::RunningCores::join).
    type Report: Send + 'static;

    /// Does a bounded amount of work and says how it went. `now` is the time at the turn's start.
    /// Must not wait, and must ask the poller each time: what is not asked for keeps the core from
    /// parking. Parking itself is done by the host.
    fn turn(&mut self, now: Nanos, poller: &mut Poller) -> Turn;

    /// When something will be due even if nothing arrives. Called after an idle turn at `now`,
    /// before the core parks: never on a core that spins.
    fn due(&self, now: Nanos) -> Option<Nanos>;

    /// Called for each gap of the core, before the turn that follows.
    fn gap(&mut self, gap: Gap) {
        let _ = gap;
    }

    /// Called after [`Turn::Done`], on the same thread: it may become something else and go on, as
    /// it returns then. It may wait, and is not watched meanwhile.
    fn renew(&mut self) -> bool {
        false
    }

    /// Called once after the last [`Turn::Done`], on the same thread.
    fn finish(self) -> Self::Report;
}

/// How a turn went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Something was done; the next turn follows at once.
    Worked,
    /// Nothing was to be done.
    Idle,
    /// The reactor has ended, unless it [renews](Reactor::renew) itself.
    Done,
}
