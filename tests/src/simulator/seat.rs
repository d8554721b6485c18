//! A seat: one core with its driver and ports, parked when it found nothing to do.

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::Sender;
use std::sync::{Arc, LazyLock};

use potoroo::flow::{Core, CoreConfig, PartitionMap, SharedCounts};
use potoroo::turn::{Command, Driver, Mailbox, Notice, Turned, mailbox};
use potoroo_runtime::{Lanes, Nanos, Poller, Waker};
use potoroo_sdk::prelude::*;

use super::deployment::Deployment;
use super::ports::{Announcer, SharedNetwork};
use crate::seeds::in_turn;

/// Steps of all cores after which a timer ends the parking of one.
pub(super) const PARK_TICKS_MAX: u64 = 300;

/// One core with its ports and what is known of it.
pub(super) struct Seat {
    pub(super) core: Core,
    pub(super) driver: Driver,
    pub(super) announcer: Announcer,
    pub(super) mailbox: Mailbox,
    pub(super) tally: Arc<SharedCounts>,
    /// The step in which it found nothing to do, if it was not woken since.
    pub(super) parked: Option<u64>,
    /// When it needs a turn even if it is not woken.
    pub(super) due: Option<Nanos>,
    /// It is chosen once in this many times when it could be.
    pub(super) sloth: u64,
}

impl Seat {
    /// One turn at `now`. Appends the cores that it wakes to `woken`.
    pub(super) fn turn(&mut self, now: Nanos, woken: &mut Vec<usize>) -> Turned {
        let Self { core, driver, announcer, .. } = self;
        in_turn(|| driver.turn(core, now, announcer, |to| woken.push(to)))
    }

    /// Gives it a command, which wakes it.
    pub(super) fn command(&mut self, command: Command) {
        self.mailbox.send(command);
        self.parked = None;
    }

    /// Whether it turns of its own accord.
    pub(super) fn awake(&self, ticks: u64, now: Nanos) -> bool {
        let due = self.due.is_some_and(|due| due <= now);
        due || self.parked.is_none() || self.timed_out(ticks)
    }

    /// Whether the timer has ended its parking.
    pub(super) fn timed_out(&self, ticks: u64) -> bool {
        self.parked.is_some_and(|since| since + PARK_TICKS_MAX <= ticks)
    }
}

/// What all seats of a run have in common.
pub(super) struct Ground<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) describe: &'a dyn Fn() -> Application,
    pub(super) map: PartitionMap,
    pub(super) sink_owners: Vec<usize>,
    /// By source: the core that reads it, if that is one.
    pub(super) readers: Vec<Option<usize>>,
    pub(super) network: SharedNetwork,
    /// Batches of dead letters that wait for the control plane.
    pub(super) letters_waiting: Arc<AtomicUsize>,
}

/// No simulated core sleeps.
static WAKER: LazyLock<Waker> = LazyLock::new(|| Poller::new().expect("this host has one").waker());

impl Ground<'_> {
    /// The seat of `core`, with nothing connected.
    pub(super) fn seat(
        &self,
        core: usize,
        lanes: Lanes,
        notices: &Sender<Notice>,
        placing: &mut Random,
    ) -> Seat {
        let plan = (self.describe)().plan().expect("the application is sound");
        let (deployment, tally) = (self.deployment, Arc::new(SharedCounts::new(&plan)));
        let config = CoreConfig {
            core,
            lanes,
            map: self.map.clone(),
            sink_owners: self.sink_owners.clone(),
            inlet_bytes: deployment.inlet_bytes,
            outlet_bytes: deployment.outlet_bytes,
            local_bytes: deployment.lane_bytes,
            keep_letters: deployment.keep_letters,
            readers: self.readers.clone(),
            tally: tally.clone(),
        };
        let (mailbox, mail) = mailbox(WAKER.clone());
        let driver = Driver::new(
            mail,
            notices.clone(),
            self.letters_waiting.clone(),
            None,
            plan.sinks.len(),
            placing.chance(0.5),
            deployment.reply_stall_ns,
        );
        let announcer = Announcer { network: self.network.clone(), core };
        let sloth = if placing.chance(0.2) { 20 } else { 1 };
        let core = Core::new(plan, config);
        Seat { core, driver, announcer, mailbox, tally, parked: None, due: None, sloth }
    }
}
