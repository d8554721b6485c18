//! A seat: one core with its driver and ports, parked when it found nothing to do.

use std::sync::Arc;

use potoroo::flow::{Core, Tally};
use potoroo::turn::{Command, Driver, Mailbox, Turned};
use potoroo_runtime::Nanos;

use super::ports::Announcer;
use crate::seeds::in_turn;

/// Steps of all cores after which a timer ends the parking of one.
pub(super) const PARK_TICKS_MAX: u64 = 300;

/// One core with its ports and what is known of it.
pub(super) struct Seat {
    pub(super) core: Core,
    pub(super) driver: Driver,
    pub(super) announcer: Announcer,
    pub(super) mailbox: Mailbox,
    pub(super) tally: Arc<Tally>,
    /// The step in which it found nothing to do, if nobody has woken it since.
    pub(super) parked: Option<u64>,
    /// When it wants a turn although nobody wakes it.
    pub(super) due: Option<Nanos>,
    /// Chosen once in so many times when it could be.
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
