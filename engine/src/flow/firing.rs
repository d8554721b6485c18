//! Fires what is due in the rows of a core: input of its level, as frames of lanes are.

use potoroo_sdk::host::{BATCH_EVENTS, Cause, Hint, Host, Inflow, Origin};

use super::gauges::Stage;
use super::look_ahead::prefetch_rows;
use super::turn::Core;

/// Most rows of one level that fire in one turn, unless one has more that is due than one thing.
const FIRINGS_PER_TURN: usize = 128;

/// Most hints that are moved about meanwhile: each takes some nanoseconds.
const MOVES_PER_TURN: usize = 1024;

impl Core {
    /// Fires what is due in tables of `level`, as long as there is room. Returns how much was done.
    pub(super) fn fire_level(&mut self, level: usize) -> usize {
        let (mut work, mut moves) = (0, MOVES_PER_TURN);
        for due in 0..self.router.watermarks.dues() {
            if self.router.watermarks.due_level(due) != level {
                continue;
            }
            while work < FIRINGS_PER_TURN && self.router.admits(level) {
                let before = moves;
                let done = self.fire_some(due, &mut moves);
                // What was only moved about may be due next.
                work += done.max(usize::from(moves < before));
                if done == 0 {
                    break;
                }
            }
        }
        work
    }

    /// Fires the next few rows of the table with this number among those with dues.
    fn fire_some(&mut self, due: usize, moves: &mut usize) -> usize {
        let until = self.router.watermarks.until(due);
        let mut hints = [Hint::NONE; BATCH_EVENTS];
        let taken = self.router.watermarks.wheel(due).take(until, &mut hints, moves).count;
        if taken == 0 {
            return 0;
        }
        let hints = &hints[..taken];
        let of = &self.plan.dues[due];
        let rows = &*self.plan.tables[usize::from(of.table.0)].rows;
        prefetch_rows(rows, hints.iter().map(|hint| hint.slot));
        let exchange = of.inflows.iter().find_map(|inflow| match inflow {
            Inflow::Exchange(id) => Some(*id),
            _ => None,
        });
        exchange.iter().for_each(|id| self.router.gauges.begin(Stage::Exchange(id.0)));
        let ingress = self.router.watermarks.entered();
        let cause = Cause { ingress, origin: Origin::default(), source: of.source };
        self.router.begin();
        let done = of.stage.fire(hints, until, &cause, &self.under_way, &mut self.router);
        self.under_way.end();
        // They come again when there is room.
        hints[done..].iter().for_each(|hint| self.router.hint(of.table, *hint));
        done
    }

    /// Whether something is due for which there is room.
    pub(super) fn has_dues(&self) -> bool {
        let watermarks = &self.router.watermarks;
        (0..watermarks.dues())
            .any(|due| self.router.admits(watermarks.due_level(due)) && watermarks.is_due(due))
    }
}
