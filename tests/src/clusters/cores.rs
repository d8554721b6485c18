//! The core of a node: it acts while its lease stands, and gives its part to each checkpoint.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use potoroo::checkpoint::Epoch;
use potoroo::cluster::wire::NewGeneration;
use potoroo::control::cluster::{NewCores, SimulatedCores};
use potoroo::flow::{PartCost, PartEnd, PartStep};
use potoroo::system::{self, SideThread};
use potoroo::turn::{CheckpointCommand, Command, NodeLease, PartPort};

use super::network::reaches;
use super::steps::Step;
use super::turns::ProcessId;
use super::world::{World, lock};

/// What makes the cores of one process.
pub struct Cores {
    /// In which it is.
    pub world: Arc<World>,
    /// It.
    pub process: ProcessId,
    /// The name of its node.
    pub name: String,
}

/// A core of one generation.
pub struct RunningCore {
    flags: Arc<Flags>,
    thread: SideThread,
}

#[derive(Default)]
struct Flags {
    is_attached: AtomicBool,
    ended: AtomicBool,
}

impl SimulatedCores for Cores {
    type Begun = RunningCore;

    /// Nodes dial those after them, and wait for those before them.
    fn connect(
        &self,
        new: &NewGeneration,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<(), (String, io::Error)> {
        let (world, generation) = (&self.world, new.head.generation);
        let own = new.nodes.iter().position(|node| node.node == self.name).expect("it is in it");
        lock(&world.network).names.insert(self.name.clone(), self.process);
        if own == 0 {
            let nodes = new.nodes.iter().map(|node| node.node.clone()).collect();
            world.checkers().members.seated(generation, nodes);
        }
        for (at, node) in new.nodes.iter().enumerate() {
            let failed = |kind: ErrorKind| Err((node.node.clone(), kind.into()));
            if at > own {
                world.turns.pass(world.some(Duration::from_millis(2)), false);
                let other = lock(&world.network).names.get(&node.node).copied();
                let other = other.filter(|other| !world.turns.is_dead(*other));
                let Some(other) = other else { return failed(ErrorKind::ConnectionRefused) };
                if !reaches(world, self.process, other) || !reaches(world, other, self.process) {
                    world.turns.pass(Duration::from_secs(5), false);
                    return failed(ErrorKind::TimedOut);
                }
                let dialled = (generation, self.name.clone(), node.node.clone());
                lock(&world.network).dialled.push(dialled);
            }
            let wanted = (generation, node.node.clone(), self.name.clone());
            while at < own && !lock(&world.network).dialled.contains(&wanted) {
                if !is_wanted() {
                    return failed(ErrorKind::TimedOut);
                }
                world.turns.pass(LINK_LOOK, true);
            }
        }
        Ok(())
    }

    fn begin(&self, cores: NewCores) -> RunningCore {
        self.world.pass_step(self.process, Step::Begin, false);
        self.world.checkers().members.begun(cores.head.generation, &self.name);
        let (process, generation) = (self.process, cores.head.generation);
        self.world.print(|| format!("process {process} begins generation {generation}"));
        let flags: Arc<Flags> = Arc::default();
        let (world, process, of_thread) = (self.world.clone(), self.process, flags.clone());
        let thread = SideThread::start("core", move || run(&world, process, cores, &of_thread));
        self.world.pass_step(self.process, Step::Begin, true);
        RunningCore { flags, thread: thread.expect("a simulated thread starts") }
    }

    fn attach(&self, begun: &RunningCore) {
        begun.flags.is_attached.store(true, Ordering::Relaxed);
    }

    fn end(begun: RunningCore) {
        begun.flags.ended.store(true, Ordering::Relaxed);
        system::wake();
        begun.thread.join();
    }
}

fn run(world: &Arc<World>, process: ProcessId, mut cores: NewCores, flags: &Flags) {
    while !flags.ended.load(Ordering::Relaxed) {
        let command = cores.mail.take();
        // As a turn: the clock is read once, and what is done then counts as done at that time.
        if !cores.lease.is_over(system::machine_time()) && flags.is_attached.load(Ordering::Relaxed)
        {
            let generation = cores.head.generation;
            let over = lock(&world.agreed).is_over(process, world.turns.now());
            let now = world.turns.now();
            world.checkers().acted(now, (world.node_of(process), process), generation, cores.leads);
            world.checkers().check_lease(now, process, over);
        }
        match command {
            Some(Command::Checkpoint(CheckpointCommand::Begin(epoch))) => part(&mut cores, epoch),
            Some(Command::Checkpoint(CheckpointCommand::Commit(epoch))) => {
                let (now, generation) = (world.turns.now(), cores.head.generation);
                world.checkers().learned(now, process, generation, epoch);
            }
            Some(Command::Abandon) => return,
            Some(_) => {}
            None => world.turns.pass(until_look(&cores.lease), true),
        }
    }
}

/// How long a core does nothing, unless it gets a command: once more right before its lease ends,
/// when a mistake in that shows.
fn until_look(lease: &NodeLease) -> Duration {
    let now = system::machine_time();
    let (mut stands, mut over) = (Duration::ZERO, LOOK);
    if lease.is_over(now) || !lease.is_over(now + over) {
        return over;
    }
    while over - stands > Duration::from_micros(50) {
        let middle = (stands + over) / 2;
        if lease.is_over(now + middle) { over = middle } else { stands = middle }
    }
    // A thread is late by a moment.
    stands.mul_f64(0.98).max(Duration::from_micros(10))
}

/// How often it is looked whether a link was dialled.
const LINK_LOOK: Duration = Duration::from_millis(50);

/// A core looks this often whether it may act.
const LOOK: Duration = Duration::from_millis(100);

/// All that a core has is in no chunk.
fn part(cores: &mut NewCores, epoch: Epoch) {
    let since = Epoch::NONE;
    let (positions, frames_bytes, cost) = (Vec::new(), 0, PartCost::default());
    let covers = cores.covers.clone();
    let end = PartEnd { epoch, since, covers, positions, frames_bytes, cost };
    for step in [PartStep::Begin { epoch, since }, PartStep::End(end)] {
        cores.storage.try_part(0, step).expect("few of them wait");
    }
    system::wake();
}
