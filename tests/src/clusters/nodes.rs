//! Nodes: their processes are started, killed and asked to end, and started again when they end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use potoroo::control::cluster::{NodeSettings, StopNode, run_node};
use potoroo::system::simulate;

use super::cores::Cores;
use super::network::{SimulatedWays, forget, text as text_of_wires};
use super::running::Nodes;
use super::store::SimulatedStore;
use super::turns::{NodeIndex, ProcessId};
use super::world::{World, lock};

/// Time between two checkpoints.
const CHECKPOINT: Duration = Duration::from_millis(700);

/// What ends by itself is started again after this time, as by a supervisor.
const AGAIN: Duration = Duration::from_millis(500);

/// The last ends that are shown.
const ENDS_SHOWN: usize = 6;

fn name(node: NodeIndex) -> String {
    ["a", "b", "c", "d", "e"][node].to_owned()
}

/// Starts a process of `node`, if it has none.
pub fn start(world: &Arc<World>, node: NodeIndex) {
    if lock(&world.nodes).running[node].is_some() {
        return;
    }
    let (process, stop) = (world.process(node), StopNode::default());
    lock(&world.nodes).running[node] = Some((process, stop.clone()));
    let of_thread = world.clone();
    world.turns.start(process, move || {
        simulate(Some(of_thread.machine(process)));
        let ended = run(&of_thread, node, process, &stop);
        of_thread.print(|| format!("process {process} of node {} ends: {ended}", name(node)));
        lock(&of_thread.nodes).ends.push(format!("{}: {ended}", name(node)));
        of_thread.after(Duration::ZERO, move |world| {
            world.turns.kill(process);
            if gone(world, node, process, true) {
                world.after(AGAIN, move |world| start(world, node));
            }
        });
    });
}

fn run(world: &Arc<World>, node: NodeIndex, process: ProcessId, stop: &StopNode) -> String {
    let settings = NodeSettings {
        name: name(node).parse().expect("it is short and plain"),
        listen: SocketAddr::from(([127, 0, 0, 1], 7000 + node as u16)),
        lease: world.lease,
        checkpoint: CHECKPOINT,
    };
    let store = Arc::new(SimulatedStore::new(world.clone(), process));
    let ways = Arc::new(SimulatedWays { world: world.clone(), process });
    let cores = Cores { world: world.clone(), process, name: name(node) };
    let ended = run_node(&settings, store, ways, &cores, stop);
    ended.map_or_else(|error| error.to_string(), |()| "it ended".to_owned())
}

/// This process of a node is gone. Returns whether it was the present one.
fn gone(world: &Arc<World>, node: NodeIndex, process: ProcessId, at_once: bool) -> bool {
    let running = lock(&world.nodes).running[node].take_if(|(running, _)| *running == process);
    if running.is_some() {
        forget(world, process, at_once);
    }
    running.is_some()
}

/// Kills the process of a node; the others learn it `at_once`, or when they miss it. It is started
/// `again` after that time.
pub fn kill(world: &Arc<World>, node: NodeIndex, at_once: bool, again: Duration) {
    let running = lock(&world.nodes).running[node].as_ref().map(|(process, _)| *process);
    if let Some(process) = running {
        world.turns.kill(process);
        gone(world, node, process, at_once);
        world.after(again, move |world| start(world, node));
    }
}

/// Has the process of a node stand still until then.
pub fn stop(world: &Arc<World>, node: NodeIndex, until: Duration) {
    let running = lock(&world.nodes).running[node].as_ref().map(|(process, _)| *process);
    running.into_iter().for_each(|process| world.turns.stop(process, until));
}

/// Asks the process of a node to end; it is started again when it has.
pub fn ask_to_end(world: &Arc<World>, node: NodeIndex) {
    if let Some((_, stop)) = &lock(&world.nodes).running[node] {
        stop.ask();
    }
}

/// Starts all that do not run.
pub fn start_missing(world: &Arc<World>) {
    let nodes = lock(&world.nodes).running.len();
    (0..nodes).for_each(|node| start(world, node));
}

/// How processes ended.
pub fn text(world: &World) -> String {
    let Nodes { running, ends } = &*lock(&world.nodes);
    let running: Vec<_> = running.iter().flatten().map(|(process, _)| *process).collect();
    let threads = world.turns.text();
    let ends = ends[ends.len().saturating_sub(ENDS_SHOWN)..].join("; ");
    let wires = text_of_wires(world);
    format!("processes {running:?}, connections {wires}, threads {threads}; {ends}")
}
