//! Clusters: nodes that decide who leads, who may act and what is committed, in virtual time.
//!
//! ```text
//!   turns, machine        one thread at a time, the order by the seed; clocks that run apart
//!   agreed, agreement     what is agreed, in etcd or a folder, and a session of it
//!   stored, store         HEAD and objects; slow, away, listed late
//!   connections, network  slow, cut in one direction or both, broken
//!   running, nodes        processes: started, killed, asked to end
//!   cores                 act while their lease stands
//!   steps                 where a process may be killed to the point
//!   troubles, mistakes    what goes wrong, and what is done wrongly on purpose
//!   checkers              what must never be, one file each
//! ```
//!
//! What runs is the engine's: the session with its two threads, the search for a lead, the node
//! that leads and those that follow, the gate before HEAD, recovery, and the thread that commits.
//! They wait and ask the clock as they always do; [`potoroo::system`] is where a simulator takes
//! that over. What stands here is what they have the operating system, sockets, etcd and a disk
//! for.
//!
//! Promises: the same seed gives the same turns. Must never do: decide what a node does.

// In reading order; the blank lines keep it.
mod turns;

mod machine;

mod agreed;
mod connections;
mod mistakes;
mod running;
mod steps;
mod stored;

mod checkers;
mod world;

mod agreement;
mod cores;
mod network;
mod nodes;
mod store;
mod troubles;

use std::time::Duration;

use potoroo::control::config::cpus_allowed;
use potoroo_runtime::Housekeeping;

pub use mistakes::Mistake;
pub use steps::Step;
use turns::NodeIndex;
use world::{World, lock};

/// What happened in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterRun {
    /// Depends on each turn of a thread.
    pub trace: u64,
    /// Turns of all threads.
    pub turns: u64,
    /// How long it took, in its own time.
    pub time: Duration,
    /// Generations in which a node acted.
    pub generations: u64,
    /// Checkpoints that were committed.
    pub commits: u64,
    /// By [`Step`]: processes that were killed right there.
    pub killed_at: [u64; Step::ALL.len()],
}

/// Time in which a cluster has to be one again after all troubles: several leases, those of a name
/// that is still taken and of connections that are broken, one after another.
const CALM_MAX: Duration = Duration::from_secs(120);

/// Checkpoints that it commits then.
const COMMITS: u64 = 2;

/// Runs a cluster that has the troubles of `seed`, in which a mistake may be made.
///
/// # Errors
/// What is wrong.
pub fn run(seed: u64, mistake: Option<Mistake>) -> Result<ClusterRun, String> {
    // Threads that take turns wait for each other: another CPU would only be woken for that.
    let mut others = cpus_allowed();
    others.pop();
    let _one_cpu = Housekeeping::begin(&others);
    let troubles = troubles::draw(seed);
    let world = World::new(seed, troubles.nodes, troubles.lease, mistake);
    troubles.plan(&world);
    world.run_until(troubles.calm);
    nodes::start_missing(&world);
    let before = world.checkers().liveness.commits();
    let all: Vec<NodeIndex> = (0..troubles.nodes).collect();
    let is_fine = || {
        let (checkers, now) = (world.checkers(), world.turns.now());
        let committed = checkers.liveness.commits() >= before + COMMITS;
        committed && checkers.liveness.is_one(now, &all)
    };
    let limit = troubles.calm + CALM_MAX;
    while !is_fine() && world.wrong().is_none() && world.turns.now() < limit {
        world.run_until(world.turns.now() + Duration::from_millis(200));
    }
    let (fine, nodes) = (is_fine(), nodes::text(&world));
    let ((trace, turns), time) = (world.turns.trace(), world.turns.now());
    world.turns.end_all();
    if let Some(wrong) = world.wrong() {
        return Err(wrong);
    }
    let liveness = &world.checkers().liveness;
    if !fine {
        return Err(format!(
            "after {time:?} it is no cluster again, {CALM_MAX:?} after all troubles: {}; {}",
            liveness.text(),
            nodes
        ));
    }
    let (generations, commits) = (liveness.generations(), liveness.commits());
    let killed_at = lock(&world.step_kills).done;
    Ok(ClusterRun { trace, turns, time, generations, commits, killed_at })
}
