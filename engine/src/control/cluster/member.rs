//! What a process is in its cluster, whichever node leads.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64;

use super::super::config::{ClusterPlace, Config};
use super::super::descriptors;
use super::super::error::Error;
use super::super::memory;
use super::super::process::Process;
use super::super::seats::{Seats, state_cores};
use super::figures::FigureClock;
use crate::checkpoint::coordinator::CoordinatorInput;
use crate::checkpoint::store::{Location, draw};
use crate::cluster::agreement::{Agreed, Agreement, Disagreement};
use crate::cluster::greeting::LinkListener;
use crate::cluster::nodes::NodeListener;
use crate::cluster::record::{LEAD, NODES, SECRET};
use crate::cluster::shares::Weight;
use crate::cluster::wire::{ClusterFacts, NodeHello, PROTOCOL, ToLead};
use crate::connect::mail::{PresentStorage, StorageMessage};

/// What a process is in its cluster, whichever node leads.
pub(in crate::control) struct Member {
    pub(super) place: ClusterPlace,
    pub(super) agreement: Agreement,
    pub(super) links: LinkListener,
    /// What nodes show each other.
    pub(super) secret: u128,
    pub(super) hello: NodeHello,
    listen: SocketAddr,
    /// Nodes that it takes when it leads, itself included.
    pub(super) nodes_max: usize,
    pub(super) figures: FigureClock,
    /// When it last had no lead.
    pub(super) began: Instant,
}

/// Pause between two tries to reach who leads, and to get a name.
pub(super) const AGAIN: Duration = Duration::from_millis(20);

/// How long the port for nodes may be another one's.
const BUSY: Duration = Duration::from_secs(10);

/// How long a process that was killed may take to be gone.
pub(super) const DYING: Duration = Duration::from_secs(1);

impl Member {
    pub(super) fn open(place: ClusterPlace, process: &Process) -> Result<Self, Error> {
        let Process { plan, config, stored, .. } = process;
        let refused = |reason: String| Error::Cluster { place: place.clone(), reason };
        let sources = config.sources.iter().map(|(name, address)| (name, address.to_string()));
        let sinks = config.sinks.iter().map(|(name, address)| (name, address.to_string()));
        if let Some((name, _)) = sources.chain(sinks).find(|(_, text)| text == "channel:") {
            return Err(refused(format!(
                "`{name}` has the address `channel:`, which ends with its process: give it another \
                 one"
            )));
        }
        let agreement = Agreement::open(place.folder(), draw());
        let agreement = agreement.map_err(|error| refused(error.to_string()))?;
        let node = config.node.as_ref().expect("a complete configuration has one").to_string();
        let claim = || {
            let taken = agreement.claim(&format!("{NODES}{node}"), std::process::id().to_string());
            taken.map_err(|error| refused(error.to_string()))
        };
        let (mut taken, begun) = (claim()?, Instant::now());
        // A process that was killed a moment ago is about to be gone.
        while taken.is_some() && begun.elapsed() < DYING {
            std::thread::sleep(AGAIN);
            taken = claim()?;
        }
        if let Some(taken) = taken {
            return Err(refused(format!(
                "process {} is its node `{node}`: give each process a name with --node, or end \
                 that one",
                taken.value
            )));
        }
        let listen = config.listen;
        let secret = secret(&agreement).map_err(|error| refused(error.to_string()))?;
        let links = LinkListener::open(SocketAddr::new(listen.ip(), 0), secret);
        let links = links.map_err(|error| refused(format!("no port for links: {error}")))?;
        let stored = stored.as_ref().expect("a complete configuration of a cluster has state");
        let hello = NodeHello {
            protocol: PROTOCOL,
            secret: format!("{secret:032x}"),
            node,
            cores: config.cores.len(),
            weight: config.weight.unwrap_or(Weight::of_cores(state_cores(config).len())),
            state_cores: state_cores(config),
            links: links.address(),
            facts: ClusterFacts {
                application: plan.name.clone(),
                fingerprint: plan.fingerprint,
                partitions: config.partitions,
                lane_bytes: config.lane_bytes,
                state: whole(&stored.place),
                edges: edges(config),
            },
        };
        let (nodes_max, began) = (config.nodes_max, Instant::now());
        let figures = FigureClock::new();
        Ok(Self { place, agreement, links, secret, hello, listen, nodes_max, figures, began })
    }

    fn refused(&self, error: &Disagreement) -> Error {
        Error::Cluster { place: self.place.clone(), reason: error.to_string() }
    }

    /// Where the node listens that leads; `None` if none does.
    ///
    /// # Errors
    /// The agreement cannot be read.
    pub(super) fn lead_address(&self) -> Result<Option<Option<SocketAddr>>, Error> {
        let entries = self.agreement.list().map_err(|error| self.refused(&error))?;
        Ok(entries.get(LEAD).map(|lead| lead.value.parse().ok()))
    }

    /// Leads from now on, unless another one was faster.
    /// # Errors
    /// The port cannot be opened, or the agreement not be used.
    pub(super) fn claim_lead(&self, process: &Process) -> Result<Option<NodeListener>, Error> {
        let refused = |reason: String| Error::Cluster { place: self.place.clone(), reason };
        let storage = process.stored.as_ref().map(|stored| stored.present.clone());
        let storage = storage.expect("a complete configuration of a cluster has state");
        let direct = move |message: &ToLead| for_storage(message, &storage);
        let shown = (self.hello.facts.clone(), self.hello.secret.clone());
        let port = NodeListener::open(self.listen, shown, direct);
        let port = match port {
            // The lead that is about to end, or one that is about to begin, has it.
            Err(error) if error.kind() == ErrorKind::AddrInUse && self.began.elapsed() < BUSY => {
                return Ok(None);
            }
            port => port.map_err(|error| refused(format!("--listen {}: {error}", self.listen)))?,
        };
        let claimed = self.agreement.claim(LEAD, port.address().to_string());
        let taken = claimed.map_err(|error| self.refused(&error))?;
        Ok(taken.is_none().then_some(port))
    }

    pub(super) fn name(&self) -> &str {
        &self.hello.node
    }
}

/// What nodes show each other: the first one draws it.
fn secret(agreement: &Agreement) -> Result<u128, Disagreement> {
    let drawn = Agreed { value: format!("{:016x}{:016x}", draw(), draw()), session: None };
    let found = agreement.swap(SECRET, None, Some(drawn.clone()))?;
    // What a person has changed there no other node can show.
    Ok(u128::from_str_radix(&found.unwrap_or(drawn).value, 16).unwrap_or_default())
}

/// A place as all processes of the machine name it, wherever they run.
fn whole(place: &Location) -> String {
    let folder = place.folder().and_then(|folder| folder.canonicalize().ok());
    folder.map_or_else(|| place.to_string(), |folder| folder.display().to_string())
}

/// Digest of all addresses: a node that leads later opens its own.
fn edges(config: &Config) -> u64 {
    let sources = config.sources.iter().map(|(name, address)| format!("{name}={address}"));
    let sinks = config.sinks.iter().map(|(name, address)| format!("{name}={address}"));
    let all: Vec<String> = sources.chain(["→".to_owned()]).chain(sinks).collect();
    xxh3_64(all.join("\n").as_bytes())
}

/// # Errors
/// The links of a process on these seats take more memory than there is.
pub(super) fn check_links(process: &Process, seats: &Seats) -> Result<(), Error> {
    let Process { plan, config, .. } = process;
    let links = seats.own * (seats.total - seats.own);
    let bytes = links * 2 * (plan.levels() + 1) * config.lane_bytes;
    let refused = |reason: String| {
        let place = config.cluster.clone().expect("links are of a cluster");
        Err(Error::Cluster { place, reason })
    };
    if let Some(left) = descriptors::left().filter(|left| links > *left) {
        return refused(format!(
            "its {links} links with cores of other nodes need a descriptor each, and the limit of \
             open files leaves {left}: raise it (`ulimit -n`, LimitNOFILE=), or use fewer cores \
             (--cores)"
        ));
    }
    match memory::available() {
        Some(available) if bytes > available.bytes => refused(format!(
            "its {links} links with cores of other nodes would take {} MiB, and {} has {} MiB \
             left: use fewer cores (--cores) or smaller lanes (--lane-bytes)",
            bytes >> 20,
            available.limit,
            available.bytes >> 20,
        )),
        _ => Ok(()),
    }
}

/// Passes on what the storage thread of the lead is to know; returns whether it was that.
fn for_storage(message: &ToLead, storage: &PresentStorage) -> bool {
    let (generation, input) = match message.clone() {
        ToLead::Part { generation, entry, sources } => {
            (generation, CoordinatorInput::Part { entry, sources })
        }
        ToLead::PartFailed { generation, epoch, reason } => {
            (generation, CoordinatorInput::Failed { epoch, reason })
        }
        _ => return false,
    };
    storage.send(StorageMessage::Remote { generation, input });
    true
}
