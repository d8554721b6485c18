//! World: what all simulated processes share, and what may go wrong in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use potoroo::system::simulate;
use potoroo_sdk::random::Random;

use super::agreed::Agreed;
use super::checkers::Checkers;
use super::connections::Network;
use super::machine::{Machine, MachineClock};
use super::mistakes::Mistake;
use super::running::Nodes;
use super::steps::{Step, StepKills};
use super::stored::SharedStore;
use super::turns::{NodeIndex, ProcessId, Turns};
use crate::seeds::{Concern, random};

/// Something that happens at a time.
type Event = Box<dyn FnOnce(&Arc<World>) + Send>;

/// Kills a process.
pub type Kill = Box<dyn FnOnce(&Arc<World>, ProcessId) + Send>;

/// A process of a node.
pub struct NodeProcess {
    /// Of the node.
    pub node: NodeIndex,
    /// What it runs on.
    pub machine: Arc<Machine>,
}

/// What all simulated processes share.
pub struct World {
    /// Whose turn it is.
    pub turns: Arc<Turns>,
    /// By no clock of the world.
    pub began: Instant,
    /// How long leases last.
    pub lease: Duration,
    mistake: Option<Mistake>,
    random: Arc<Mutex<Random>>,
    events: Mutex<BTreeMap<(Duration, u64), Event>>,
    processes: Mutex<BTreeMap<ProcessId, NodeProcess>>,
    /// The agreement.
    pub agreed: Mutex<Agreed>,
    /// The storage.
    pub store: Mutex<SharedStore>,
    /// The connections.
    pub network: Mutex<Network>,
    /// The processes.
    pub nodes: Mutex<Nodes>,
    /// Who is killed where.
    pub step_kills: Mutex<StepKills<Kill>>,
    checkers: Mutex<Checkers>,
    prints: bool,
}

impl World {
    /// A world of `nodes` nodes.
    pub fn new(seed: u64, nodes: usize, lease: Duration, mistake: Option<Mistake>) -> Arc<Self> {
        Arc::new(Self {
            turns: Arc::new(Turns::new(random(seed, Concern::Schedule))),
            began: Instant::now(),
            lease,
            mistake,
            random: Arc::new(Mutex::new(random(seed, Concern::Network))),
            events: Mutex::default(),
            processes: Mutex::default(),
            agreed: Mutex::default(),
            store: Mutex::default(),
            network: Mutex::new(Network::new()),
            nodes: Mutex::new(Nodes::new(nodes)),
            step_kills: Mutex::default(),
            checkers: Mutex::default(),
            prints: std::env::var_os("POTOROO_LOG").is_some(),
        })
    }

    /// Whether this mistake is made.
    pub fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    /// Prints what happens, where the log of the engine is printed, too.
    pub fn print(&self, text: impl FnOnce() -> String) {
        if self.prints {
            eprintln!("{:?}: {}", self.turns.now(), text());
        }
    }

    /// The next random numbers.
    pub fn random(&self) -> MutexGuard<'_, Random> {
        lock(&self.random)
    }

    /// Up to `most`.
    pub fn some(&self, most: Duration) -> Duration {
        most.mul_f64(self.random().f64())
    }

    /// Whether something happens that has this probability.
    pub fn chance(&self, probability: f64) -> bool {
        self.random().chance(probability)
    }

    /// What judges.
    pub fn checkers(&self) -> MutexGuard<'_, Checkers> {
        lock(&self.checkers)
    }

    /// A new process of `node`.
    pub fn process(self: &Arc<Self>, node: NodeIndex) -> ProcessId {
        let process = self.turns.process();
        let (rate, start) = {
            let mut random = self.random();
            // Two clocks differ by less than the margin of a lease.
            let apart = if self.makes(Mistake::ClocksFarApart) { 0.1 } else { 0.006 };
            (1.0 + apart * (random.f64() - 0.5), Duration::from_secs(1_000 + random.below(100_000)))
        };
        let clock = MachineClock {
            began: self.began,
            rate,
            start,
            stands_still: self.makes(Mistake::LeaseIgnored),
        };
        let machine = Machine::new((self.turns.clone(), process), clock, self.random.clone());
        lock(&self.processes).insert(process, NodeProcess { node, machine });
        process
    }

    /// What `process` runs on.
    pub fn machine(&self, process: ProcessId) -> Arc<Machine> {
        lock(&self.processes)[&process].machine.clone()
    }

    /// The node of `process`.
    pub fn node_of(&self, process: ProcessId) -> NodeIndex {
        lock(&self.processes)[&process].node
    }

    /// Has something happen `after` this time.
    pub fn after(&self, after: Duration, event: impl FnOnce(&Arc<Self>) + Send + 'static) {
        self.at(self.turns.now() + after, event);
    }

    /// Has something happen then.
    pub fn at(&self, at: Duration, event: impl FnOnce(&Arc<Self>) + Send + 'static) {
        let mut events = lock(&self.events);
        let number = events.keys().filter(|(due, _)| *due == at).map(|(_, number)| number + 1);
        let key = (at, number.max().unwrap_or(0));
        events.insert(key, Box::new(event));
        drop(events);
        self.turns.wake_world(at);
    }

    /// Lets everything happen until then, or until something is wrong.
    pub fn run_until(self: &Arc<Self>, until: Duration) {
        loop {
            let due = lock(&self.events).first_key_value().map(|((due, _), _)| *due);
            let now = self.turns.now();
            match due {
                Some(due) if due <= now => {
                    let (_, event) = lock(&self.events).pop_first().expect("it was seen");
                    event(self);
                }
                _ if now >= until || self.wrong().is_some() => return,
                due => self.turns.pass_until(due.map_or(until, |due| due.min(until)), true),
            }
        }
    }

    /// What is wrong, once something is.
    pub fn wrong(&self) -> Option<String> {
        let wrong = self.checkers().wrong();
        wrong.or_else(|| self.turns.panicked().map(|text| format!("a thread panicked: {text}")))
    }

    /// A process comes to a step, or has `done` it. If it is to be killed there, it ends here.
    pub fn pass_step(self: &Arc<Self>, process: ProcessId, step: Step, done: bool) {
        let kill = lock(&self.step_kills).take(self.turns.now(), (step, done));
        if let Some(kill) = kill {
            self.print(|| format!("process {process} is killed at {step:?}, done: {done}"));
            kill(self, process);
            self.turns.pass(Duration::ZERO, false);
        }
    }

    /// Does what threads of `process` would, on the thread of the world.
    pub fn as_process(&self, process: ProcessId, act: impl FnOnce()) {
        if !self.turns.is_dead(process) {
            simulate(Some(self.machine(process)));
            act();
            simulate(None);
            self.turns.wake(process);
        }
    }
}

/// The value of a lock that only the thread takes whose turn it is.
pub fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
