//! One core of a running application with its ports, as the runtime turns it.

use potoroo_runtime::{Gap, Nanos, Poller, Reactor, Turn, Waker};

use super::driver::Driver;
use super::mail::Renewed;
use crate::flow::{Core, Counts};

/// A core's thread; without a core where that could not be built, and then it ends at once.
pub struct CoreSeat(pub Option<CoreReactor>);

/// A core with its ports.
pub struct CoreReactor {
    /// The core.
    pub core: Core,
    /// Its ports.
    pub driver: Driver,
    /// By seat: those of the cores of this node. What goes to others wakes them by itself.
    pub wakers: Vec<Option<Waker>>,
    /// Whether a sibling can be parked at all.
    pub wake: bool,
}

impl Reactor for CoreSeat {
    type Report = Counts;

    #[inline]
    fn turn(&mut self, now: Nanos, poller: &mut Poller) -> Turn {
        self.0.as_mut().map_or(Turn::Done, |core| core.turn(now, poller))
    }

    fn due(&self, now: Nanos) -> Option<Nanos> {
        self.0.as_ref()?.core.next_due(now)
    }

    fn gap(&mut self, gap: Gap) {
        if let Some(seated) = &self.0 {
            seated.core.tell_gap(gap);
        }
    }

    fn renew(&mut self) -> bool {
        let renew = self.0.as_mut().and_then(|seated| seated.driver.take_renewal());
        let Some((renew, seated)) = renew.and_then(|renew| Some((renew, self.0.take()?))) else {
            return false;
        };
        let CoreReactor { core, mut driver, wake, .. } = seated;
        self.0 = renew(core.into_edges()).map(|Renewed { core, links, wakers }| {
            links.into_iter().for_each(|link| driver.add_link(link));
            CoreReactor { core, driver, wakers, wake }
        });
        self.0.is_some()
    }

    fn finish(self) -> Counts {
        self.0.map(|mut seated| seated.core.counts()).unwrap_or_default()
    }
}

impl CoreReactor {
    #[inline]
    fn turn(&mut self, now: Nanos, poller: &mut Poller) -> Turn {
        let Self { core, driver, wakers, wake } = self;
        let turned = driver.turn(core, now, poller, |to| {
            if *wake && let Some(waker) = &wakers[to] {
                waker.wake_if_parked();
            }
        });
        match turned.is_idle() {
            _ if turned.ended => Turn::Done,
            true => Turn::Idle,
            false => Turn::Worked,
        }
    }
}
