//! One core of a running application: the flow and its ports, as the runtime turns them.

use potoroo_runtime::{Gap, Nanos, Poller, Reactor, Turn, Waker};

use crate::connect::driver::{Driver, Progress};
use crate::flow::{Core, Counts};

/// A core with its ports.
pub(super) struct CoreReactor {
    pub(super) core: Core,
    pub(super) driver: Driver,
    pub(super) wakers: Vec<Waker>,
    /// Whether a sibling can be parked at all.
    pub(super) wake: bool,
}

impl Reactor for CoreReactor {
    type Report = Counts;

    #[inline]
    fn turn(&mut self, now: Nanos, poller: &mut Poller) -> Turn {
        let Self { core, driver, wakers, wake } = self;
        let brought = driver.bring(core, now, poller);
        let mut wake = |to: usize| {
            if *wake {
                wakers[to].wake_if_parked();
            }
        };
        driver.attend(core, &mut wake);
        let work = core.turn(now, wake);
        match driver.carry(core, poller, work) {
            Progress::Ended => Turn::Done,
            Progress::Some => Turn::Worked,
            Progress::None if work > 0 || brought == Progress::Some => Turn::Worked,
            Progress::None => Turn::Idle,
        }
    }

    fn due(&self, now: Nanos) -> Option<Nanos> {
        self.core.next_due(now)
    }

    fn gap(&mut self, gap: Gap) {
        self.core.tell_gap(gap);
    }

    fn finish(mut self) -> Counts {
        self.core.counts()
    }
}
