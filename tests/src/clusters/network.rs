//! The network between nodes: connections of control messages that are slow, stand still, or break,
//! in one direction or both, and ports on which a process listens.
//!
//! What does not come through is sent again until the other machine was silent for too long; then
//! both ends learn that the connection has broken, each for itself.

use std::collections::VecDeque;
use std::fmt::{self, Debug, Formatter};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use potoroo::cluster::agreement::{Agreement, Disagreement};
use potoroo::cluster::channel::Outgoing;
use potoroo::cluster::greeting::LinkListener;
use potoroo::cluster::membership::{LeadSender, NO_LEAD, Obey};
use potoroo::cluster::nodes::{Direct, NodeListener, NodeNews, RemoteNode};
use potoroo::cluster::ways::Ways;
use potoroo::cluster::wire::{ClusterFacts, NodeHello, ToLead, ToNode};

use super::agreement::SimulatedAgreement;
use super::connections::{Packet, Port, Wire};
use super::mistakes::Mistake;
use super::turns::{NodeIndex, ProcessId};
use super::world::{World, lock};

/// Directions of a wire.
const TO_LEAD: usize = 0;
const TO_NODE: usize = 1;

/// How long a message takes, mostly and at most.
const LATENCY: Duration = Duration::from_millis(1);
const LATENCY_MAX: Duration = Duration::from_millis(200);

/// How long a node waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// The connections that are open, as text.
pub fn text(world: &World) -> String {
    let network = lock(&world.network);
    let open = network.wires.iter().filter(|wire| wire.is_open);
    let open = open.map(|wire| {
        let waiting = wire.under_way.iter().map(VecDeque::len).sum::<usize>();
        let known = if wire.remote.is_some() { "" } else { ", which does not know it" };
        format!("{} to {}{known}, {waiting} under way", wire.node, wire.lead)
    });
    open.collect::<Vec<_>>().join(", ")
}

/// What is cut is cut in this direction only.
pub fn cut(world: &Arc<World>, from: NodeIndex, to: NodeIndex, until: Duration) {
    let silent: Vec<(usize, Duration)> = {
        let mut network = lock(&world.network);
        network.cut.insert((from, to), until);
        let of = |process| world.node_of(process);
        let wires = network.wires.iter().enumerate();
        let wires = wires.filter(|(_, wire)| {
            let ends = (of(wire.node), of(wire.lead));
            wire.is_open && (ends == (from, to) || ends == (to, from))
        });
        wires.map(|(at, wire)| (at, wire.silence)).collect()
    };
    for (wire, silence) in silent {
        world.after(silence, move |world| {
            let now = world.turns.now();
            let is_cut = lock(&world.network).cut_until(from, to, now).is_some();
            if is_cut {
                break_wire(world, wire, "nothing came for too long", true);
            }
        });
    }
}

/// Whether something comes from one process to another one now.
pub fn reaches(world: &World, from: ProcessId, to: ProcessId) -> bool {
    let (from, to) = (world.node_of(from), world.node_of(to));
    lock(&world.network).cut_until(from, to, world.turns.now()).is_none()
}

/// A process is dead: the others learn it, at once or when they miss it.
pub fn forget(world: &Arc<World>, process: ProcessId, at_once: bool) {
    let broken: Vec<(usize, Duration)> = {
        let mut network = lock(&world.network);
        network.ports.retain(|_, port| port.process != process);
        let wires = network.wires.iter().enumerate();
        let of = wires
            .filter(|(_, wire)| wire.is_open && (wire.node == process || wire.lead == process));
        of.map(|(at, wire)| (at, wire.silence)).collect()
    };
    for (wire, silence) in broken {
        let after = if at_once { world.some(LATENCY) } else { silence };
        world.after(after, move |world| break_wire(world, wire, "its process is gone", true));
    }
}

fn transmit(world: &Arc<World>, at: usize, direction: usize, packet: Packet) -> io::Result<()> {
    let due = {
        let most = if world.chance(0.02) { LATENCY_MAX } else { LATENCY };
        let latency = world.some(most);
        let mut network = lock(&world.network);
        let wire = &mut network.wires[at];
        if !wire.is_open {
            return Err(ErrorKind::BrokenPipe.into());
        }
        wire.under_way[direction].push_back(packet);
        wire.last[direction] = wire.last[direction].max(world.turns.now() + latency);
        wire.last[direction]
    };
    world.at(due, move |world| deliver(world, at, direction));
    Ok(())
}

/// The next packet comes, unless something holds it up.
fn deliver(world: &Arc<World>, at: usize, direction: usize) {
    let now = world.turns.now();
    let (packet, target) = {
        let mut network = lock(&world.network);
        let wire = &network.wires[at];
        let ends = [wire.lead, wire.node];
        let (target, source) = (ends[direction], ends[1 - direction]);
        let (from, to) = (world.node_of(source), world.node_of(target));
        let held = network.cut_until(from, to, now).max(world.turns.stopped_until(target));
        let wire = &mut network.wires[at];
        if !wire.is_open {
            return;
        }
        if let Some(until) = held {
            drop(network);
            let again = until + Duration::from_micros(1);
            return world.at(again, move |world| deliver(world, at, direction));
        }
        (wire.under_way[direction].pop_front(), target)
    };
    let Some(packet) = packet else { return };
    world.print(|| format!("process {target} reads {:.60}", format!("{packet:?}")));
    world.as_process(target, || match packet {
        Packet::ToLead(message) => hear_node(world, at, *message),
        Packet::ToNode(message) => hear_lead(world, at, *message),
    });
}

/// As the lead's port does.
fn hear_node(world: &Arc<World>, at: usize, message: ToLead) {
    let known = {
        let network = lock(&world.network);
        let wire = &network.wires[at];
        let port = network.ports.get(&wire.port).filter(|port| port.process == wire.lead);
        let port = port.map(|port| (port.secret.clone(), port.news.clone(), port.direct.clone()));
        (port, wire.remote.clone())
    };
    let is_read = match (known, message) {
        ((_, Some((remote, news, direct))), message) => {
            direct(&message) || news.send(NodeNews::Said(remote, message)).is_ok()
        }
        ((Some((secret, news, direct)), None), ToLead::Hello(hello)) if hello.secret == secret => {
            let way = Box::new(WayOut { world: world.clone(), wire: at });
            let remote = Arc::new(RemoteNode::new(hello, way));
            let known = Some((remote.clone(), news.clone(), direct));
            lock(&world.network).wires[at].remote = known;
            news.send(NodeNews::Joined(remote)).is_ok()
        }
        // A stranger gets no answer, and neither does one that comes too late.
        _ => false,
    };
    if !is_read {
        break_wire(world, at, "no lead reads it", false);
    }
}

/// As the reader of a node does.
fn hear_lead(world: &Arc<World>, at: usize, message: ToNode) {
    let (said, (obey, wanted)) = {
        let network = lock(&world.network);
        let wire = &network.wires[at];
        (wire.said.clone(), wire.obeys.clone())
    };
    if let ToNode::Begin(new) = &message {
        wanted.store(new.head.generation, Ordering::Relaxed);
        if world.makes(Mistake::ReadyAtOnce) {
            let ready = ToLead::Ready { generation: new.head.generation };
            let _ = transmit(world, at, TO_LEAD, Packet::ToLead(Box::new(ready)));
        }
    }
    match (message, said) {
        (ToNode::Order(order), _) => obey(order),
        (message, Some(said)) => drop(said.send(message)),
        (_, None) => {}
    }
}

/// Both ends learn that a wire has broken, each when it can.
fn break_wire(world: &Arc<World>, at: usize, why: &'static str, by_network: bool) {
    let (node, lead, is_cut) = {
        let mut network = lock(&world.network);
        let wire = &mut network.wires[at];
        if !std::mem::replace(&mut wire.is_open, false) {
            return;
        }
        let (node, lead) = (wire.node, wire.lead);
        let (a, b, now) = (world.node_of(node), world.node_of(lead), world.turns.now());
        let is_cut = network.cut_until(a, b, now).or(network.cut_until(b, a, now));
        (node, lead, is_cut)
    };
    world.print(|| format!("the connection of {node} with {lead} breaks: {why}"));
    let silence = lock(&world.network).wires[at].silence;
    let late = if is_cut.is_some() && !by_network { silence } else { LATENCY };
    let (to_node, to_lead) = (world.some(late), world.some(late));
    learn(world, node, to_node, move |world| {
        let mut network = lock(&world.network);
        let wire = &mut network.wires[at];
        wire.obeys.1.store(NO_LEAD, Ordering::Relaxed);
        wire.said = None;
    });
    learn(world, lead, to_lead, move |world| {
        let remote = lock(&world.network).wires[at].remote.clone();
        if let Some((remote, news, _)) = remote {
            remote.end();
            let _ = news.send(NodeNews::Lost(remote, why.to_owned()));
        }
    });
}

/// A process learns something, when it does not stand still any more.
fn learn(
    world: &Arc<World>,
    process: ProcessId,
    after: Duration,
    act: impl FnOnce(&Arc<World>) + Send + 'static,
) {
    world.after(after, move |world| match world.turns.stopped_until(process) {
        Some(until) => {
            let left = until + Duration::from_micros(1) - world.turns.now();
            learn(world, process, left, act);
        }
        None => world.as_process(process, || act(world)),
    });
}

/// The way of messages over a wire.
struct WayOut {
    world: Arc<World>,
    wire: usize,
}

impl Debug for WayOut {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "wire {}", self.wire)
    }
}

impl Outgoing<ToLead> for WayOut {
    fn send(&self, message: &ToLead) -> io::Result<()> {
        let packet = Packet::ToLead(Box::new(message.clone()));
        transmit(&self.world, self.wire, TO_LEAD, packet)
    }

    fn end(&self) {
        break_wire(&self.world, self.wire, "it has ended the connection", false);
    }
}

impl Outgoing<ToNode> for WayOut {
    fn send(&self, message: &ToNode) -> io::Result<()> {
        let packet = Packet::ToNode(Box::new(message.clone()));
        transmit(&self.world, self.wire, TO_NODE, packet)
    }

    fn end(&self) {
        break_wire(&self.world, self.wire, "it has ended the connection", false);
    }
}

/// The ways of one process.
pub struct SimulatedWays {
    /// In which it is.
    pub world: Arc<World>,
    /// It.
    pub process: ProcessId,
}

impl Ways for SimulatedWays {
    fn agree(&self) -> Result<Arc<dyn Agreement>, Disagreement> {
        Ok(SimulatedAgreement::open(self.world.clone(), self.process)?)
    }

    fn listen_for_links(&self, at: SocketAddr, _: u128) -> io::Result<LinkListener> {
        Ok(LinkListener::closed(at))
    }

    fn listen_for_nodes(
        &self,
        at: SocketAddr,
        (_, secret): (ClusterFacts, String),
        _: Duration,
        direct: Direct,
    ) -> io::Result<NodeListener> {
        let (world, process) = (self.world.clone(), self.process);
        let mut network = lock(&world.network);
        let mut address = at;
        if at.port() == 0 {
            network.next_port += 1;
            address.set_port(network.next_port);
        }
        if network.ports.contains_key(&address) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let (news, from) = channel();
        network.ports.insert(address, Port { process, secret, news, direct });
        drop(network);
        let end = move || {
            let mut network = lock(&world.network);
            if network.ports.get(&address).is_some_and(|port| port.process == process) {
                network.ports.remove(&address);
            }
        };
        Ok(NodeListener::new(address, from, Box::new(end)))
    }

    fn join(
        &self,
        (_, at): (&str, SocketAddr),
        hello: NodeHello,
        obeys: (Obey, Arc<AtomicU64>),
        silence: Duration,
    ) -> io::Result<(LeadSender, Receiver<ToNode>)> {
        let world = &self.world;
        world.turns.pass(world.some(LATENCY), false);
        let lead = lock(&world.network).ports.get(&at).map(|port| port.process);
        let Some(lead) = lead else { return Err(ErrorKind::ConnectionRefused.into()) };
        let both_ways = reaches(world, self.process, lead) && reaches(world, lead, self.process);
        if !both_ways {
            world.turns.pass(PATIENCE, false);
            return Err(ErrorKind::TimedOut.into());
        }
        let (said, from) = channel();
        let wire = {
            let mut network = lock(&world.network);
            network.wires.push(Wire {
                node: self.process,
                lead,
                is_open: true,
                silence,
                under_way: [VecDeque::new(), VecDeque::new()],
                last: [Duration::ZERO; 2],
                port: at,
                remote: None,
                said: Some(said),
                obeys,
            });
            network.wires.len() - 1
        };
        lock(&world.network).names.insert(hello.node.clone(), self.process);
        let way = Arc::new(WayOut { world: world.clone(), wire });
        let sender = LeadSender::new(way);
        sender.send(&ToLead::Hello(hello));
        Ok((sender, from))
    }
}
