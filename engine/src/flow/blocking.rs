//! What the sources of a core are blocked by, for people.

use super::gauges::BlockedBy;
use super::holder::Holder;
use super::route::Router;

impl Router {
    /// What the sources are blocked by: an outlet rather than the lane that leads to it.
    #[cold]
    pub(super) fn blocked_by(&self) -> Option<BlockedBy> {
        let lane = || {
            let mut levels = self.outbox.iter().enumerate();
            levels
                .find_map(|(level, outbox)| Some(BlockedBy::Lane { to: outbox.front()?.0, level }))
        };
        let letters = || self.letters.full().then_some(BlockedBy::Letters);
        let holding = || Some(self.held_by(*self.holding.first()?));
        self.outputs.full_one().or_else(lane).or_else(letters).or_else(holding)
    }

    #[cold]
    fn held_by(&self, holder: Holder) -> BlockedBy {
        match holder {
            Holder::Sink(sink) => BlockedBy::Sink(sink),
            // What is under way has to leave first.
            Holder::Nodes(_) => {
                self.outputs.waiting_sink().map_or(BlockedBy::Nodes, BlockedBy::Sink)
            }
        }
    }
}
