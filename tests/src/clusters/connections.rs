//! What there is of connections, and which of them are cut.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::Sender;
use std::time::Duration;

use potoroo::cluster::membership::Obey;
use potoroo::cluster::nodes::{Direct, NodeNews, RemoteNode};
use potoroo::cluster::wire::{ToLead, ToNode};

use super::turns::{NodeIndex, ProcessId};

/// The connections of all nodes.
pub struct Network {
    /// From a node to another one: nothing comes through before.
    pub cut: BTreeMap<(NodeIndex, NodeIndex), Duration>,
    /// By address.
    pub ports: BTreeMap<SocketAddr, Port>,
    /// All that ever were.
    pub wires: Vec<Wire>,
    /// Links of a generation that were dialled: from one node to another one.
    pub dialled: Vec<(u64, String, String)>,
    /// By name: the process that listens for links of that node.
    pub names: BTreeMap<String, ProcessId>,
    /// The last one that was free.
    pub next_port: u16,
}

/// A port on which the lead takes nodes.
pub struct Port {
    /// That listens.
    pub process: ProcessId,
    /// What nodes have to show.
    pub secret: String,
    /// What it learns of them goes there.
    pub news: Sender<NodeNews>,
    /// What is not in the news.
    pub direct: Direct,
}

/// A connection of a node with the lead.
pub struct Wire {
    /// That follows.
    pub node: ProcessId,
    /// That leads.
    pub lead: ProcessId,
    /// It has not broken.
    pub is_open: bool,
    /// It breaks when nothing came for this time.
    pub silence: Duration,
    /// What was sent and has not come, to the lead and to the node.
    pub under_way: [VecDeque<Packet>; 2],
    /// When the last of it comes.
    pub last: [Duration; 2],
    /// Where the lead listened.
    pub port: SocketAddr,
    /// Of the lead, once it knows the node: where it learns what that says.
    pub remote: Option<(Arc<RemoteNode>, Sender<NodeNews>, Direct)>,
    /// Of the node.
    pub said: Option<Sender<ToNode>>,
    /// Of the node, too.
    pub obeys: (Obey, Arc<AtomicU64>),
}

/// What goes over it.
#[derive(Debug)]
pub enum Packet {
    /// From the node.
    ToLead(Box<ToLead>),
    /// From the lead.
    ToNode(Box<ToNode>),
}

impl Network {
    /// One without connections.
    pub fn new() -> Self {
        Self {
            cut: BTreeMap::new(),
            ports: BTreeMap::new(),
            wires: Vec::new(),
            dialled: Vec::new(),
            names: BTreeMap::new(),
            next_port: 20_000,
        }
    }

    /// Until when nothing comes from one node to another one, if it is cut.
    pub fn cut_until(&self, from: NodeIndex, to: NodeIndex, now: Duration) -> Option<Duration> {
        self.cut.get(&(from, to)).copied().filter(|until| *until > now)
    }
}
