//! A machine, as one simulated process sees it: its clocks run apart from those of the others.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use potoroo::system::{SimulatedSystem, simulate};
use potoroo_runtime::Nanos;
use potoroo_sdk::random::Random;

use super::turns::{ProcessId, Turns};

/// What a process asks its operating system for.
pub struct Machine {
    own: Weak<Self>,
    turns: Arc<Turns>,
    process: ProcessId,
    clock: MachineClock,
    random: Arc<Mutex<Random>>,
}

/// The clocks of a machine.
#[derive(Clone, Copy, Debug)]
pub struct MachineClock {
    /// The beginning of the world, by no clock of it.
    pub began: Instant,
    /// Seconds of its clock in one of the world.
    pub rate: f64,
    /// Of its clock at the beginning of the world.
    pub start: Duration,
    /// Those by which a lease ends do not go on: a mistake.
    pub stands_still: bool,
}

/// No pause is longer.
const PAUSE_MAX: Duration = Duration::from_secs(100_000);

impl Machine {
    /// That of a process.
    pub fn new(
        (turns, process): (Arc<Turns>, ProcessId),
        clock: MachineClock,
        random: Arc<Mutex<Random>>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|own| Self { own: own.clone(), turns, process, clock, random })
    }

    fn local(&self) -> Duration {
        self.clock.start + self.turns.now().mul_f64(self.clock.rate)
    }

    fn of_leases(&self) -> Duration {
        if self.clock.stands_still { self.clock.start } else { self.local() }
    }

    fn pass(&self, pause: Duration, wakes: bool) {
        self.turns.pass(pause.min(PAUSE_MAX).mul_f64(1.0 / self.clock.rate), wakes);
    }
}

impl SimulatedSystem for Machine {
    fn now(&self) -> Instant {
        self.clock.began + self.local()
    }

    fn boottime(&self) -> Duration {
        self.of_leases()
    }

    fn machine_time(&self) -> Nanos {
        Nanos(self.of_leases().as_nanos() as u64)
    }

    fn draw(&self) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).u64()
    }

    fn pause(&self, pause: Duration) {
        self.pass(pause, false);
    }

    fn wait(&self, limit: Duration) {
        self.pass(limit, true);
    }

    fn wake(&self) {
        self.turns.wake(self.process);
    }

    fn start(&self, _: &str, run: Box<dyn FnOnce() + Send>) -> Box<dyn FnOnce() + Send> {
        let (turns, machine) = (self.turns.clone(), self.own.upgrade());
        let thread = turns.start(self.process, move || {
            simulate(machine.map(|machine| machine as Arc<dyn SimulatedSystem>));
            run();
        });
        Box::new(move || turns.join(thread))
    }
}
