//! What a process is in its cluster, whichever node leads.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64;

use super::super::config::{ClusterPlace, Config};
use super::super::descriptors;
use super::super::error::Error;
use super::super::memory;
use super::super::process::Process;
use super::super::seats::{Seats, state_cores};
use super::expiry::ExpiryClock;
use super::figures::FigureClock;
use super::suspension::Suspension;
use crate::checkpoint::coordinator::CoordinatorInput;
use crate::checkpoint::store::{Location, draw};
use crate::cluster::agreement::{Agreed, Agreement, Changed, Disagreement, EntryChange, Expected};
use crate::cluster::encryption::Encryption;
use crate::cluster::greeting::LinkListener;
use crate::cluster::lease::{ListedEntries, NodeSession, outlived};
use crate::cluster::nodes::NodeListener;
use crate::cluster::record::{LEAD, NODES, NamedProcess, SECRET};
use crate::cluster::shares::Weight;
use crate::cluster::ways::Ways;
use crate::cluster::wire::{ClusterFacts, NodeHello, PROTOCOL, ToLead};
use crate::connect::mail::{PresentStorage, StorageMessage};
use crate::system;

/// What a process is in its cluster, whichever node leads.
pub(in crate::control) struct Member {
    pub(super) place: ClusterPlace,
    /// Ends before the agreement, which then ends the session.
    pub(super) session: NodeSession,
    pub(super) agreement: Arc<dyn Agreement>,
    pub(super) ways: Arc<dyn Ways>,
    pub(super) links: LinkListener,
    /// What nodes show each other.
    pub(super) secret: u128,
    pub(super) hello: NodeHello,
    listen: SocketAddr,
    /// Nodes that it takes when it leads, itself included.
    pub(super) nodes_max: usize,
    pub(super) figures: FigureClock,
    expiry: ExpiryClock,
    advertise: Option<SocketAddr>,
    pub(super) suspension: Suspension,
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
    pub(super) fn open(
        place: ClusterPlace,
        process: &Process,
        ways: Arc<dyn Ways>,
    ) -> Result<Self, Error> {
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
        let lease = config.lease();
        let agreed = |error: Disagreement| refused(error.to_string());
        let agreement = ways.agree().map_err(agreed)?;
        let session = NodeSession::start(agreement.clone(), lease).map_err(agreed)?;
        let node = config.node.as_ref().expect("a complete configuration has one").to_string();
        claim_name(&*agreement, &node, (&place, lease), session.pause())?;
        let (listen, advertise) = (config.listen, config.advertise);
        let drawn = format!("{:016x}{:016x}", draw(), draw());
        let secret = secret(&*agreement, drawn).map_err(|error| refused(error.to_string()))?;
        let links = ways.listen_for_links(SocketAddr::new(listen.ip(), 0), secret);
        let links = links.map_err(|error| refused(format!("no port for links: {error}")))?;
        let mut expiry = ExpiryClock::default();
        expiry.look(links.encryption());
        let stored = stored.as_ref().expect("a complete configuration of a cluster has state");
        let facts = ClusterFacts {
            application: plan.name.clone(),
            fingerprint: plan.fingerprint,
            partitions: config.partitions,
            lane_bytes: config.lane_bytes,
            state: whole(&stored.place),
            edges: edges(config),
        };
        let hello = hello(config, (node, secret, links.address()), facts);
        Ok(Self {
            place,
            session,
            agreement,
            ways,
            links,
            secret,
            hello,
            listen,
            advertise,
            nodes_max: config.nodes_max,
            figures: FigureClock::new(),
            expiry,
            suspension: Suspension::default(),
            began: system::now(),
        })
    }

    pub(super) fn refused(&self, error: &Disagreement) -> Error {
        Error::Cluster { place: self.place.clone(), reason: error.to_string() }
    }

    /// How it speaks with other nodes.
    pub(super) fn encryption(&self) -> &Encryption {
        self.links.encryption()
    }

    /// Whether other nodes accept the certificate of this one.
    ///
    /// # Errors
    /// It has expired.
    pub(super) fn check_certificate(&self) -> Result<(), Error> {
        let refused = |reason| Error::Cluster { place: self.place.clone(), reason };
        self.encryption().check_own().map_err(refused)
    }

    /// Warns of its end.
    pub(super) fn look_at_certificate(&mut self) {
        self.expiry.look(self.links.encryption());
    }

    /// Has the agreement name this node, if what was `listed` does not, and has this node show what
    /// the others show: entries may be removed while nodes run. Returns why that cannot be yet.
    ///
    /// # Errors
    /// Another process has taken the name.
    pub(super) fn be_agreed(&mut self, listed: &ListedEntries) -> Result<Option<String>, Error> {
        let key = format!("{NODES}{}", self.name());
        let is_named =
            listed.entries.get(&key).is_some_and(|named| named.session == Some(listed.session));
        let taken =
            if is_named { Ok(None) } else { self.agreement.claim(&key, &self.hello.process) };
        let again = |error: Disagreement| Ok(Some(error.to_string()));
        match taken {
            Ok(None) => self.suspension.taken = None,
            Ok(Some(_)) => {
                self.note_taken()?;
                return Ok(Some(format!("another process is its node `{}`", self.name())));
            }
            Err(error) => return again(error),
        }
        let found = match listed.entries.get(SECRET) {
            Some(found) => read_secret(&found.value),
            None => match secret(&*self.agreement, self.hello.secret.clone()) {
                Ok(found) => found,
                Err(error) => return again(error),
            },
        };
        match found == self.secret {
            true => Ok(None),
            false => Ok(self.show(found).err().map(|error| format!("no port for links: {error}"))),
        }
    }

    /// Shows others this `secret` from now on, and takes links of those who know it.
    fn show(&mut self, secret: u128) -> io::Result<()> {
        let at = SocketAddr::new(self.listen.ip(), 0);
        self.links = self.ways.listen_for_links(at, secret)?;
        let advertise = self.advertise.map(|it| SocketAddr::new(it.ip(), 0));
        self.hello.links = advertised(self.links.address(), advertise);
        (self.secret, self.hello.secret) = (secret, format!("{secret:032x}"));
        Ok(())
    }

    /// Has `key` be `value`, unless another node leads.
    ///
    /// # Errors
    /// The agreement cannot be used.
    pub(super) fn set_as_lead(&self, key: &str, value: String) -> Result<(), Disagreement> {
        let new = Some(Agreed { value, session: None });
        let change = EntryChange { key, expected: Expected::Anything, new, held: Some(LEAD) };
        self.agreement.change(&change).map(drop)
    }

    /// Where nodes reach `port` of the one that leads.
    pub(super) fn address_of(&self, port: &NodeListener) -> SocketAddr {
        advertised(port.address(), self.advertise)
    }

    /// Leads from now on, unless another one was faster. Where the lead before still has the port,
    /// one that `succeeds` it takes another one.
    ///
    /// # Errors
    /// The port cannot be opened, or the agreement not be used.
    pub(super) fn claim_lead(
        &self,
        process: &Process,
        succeeds: bool,
    ) -> Result<Option<NodeListener>, ClaimError> {
        let refused = |reason: String| Error::Cluster { place: self.place.clone(), reason };
        let storage = process.stored.as_ref().map(|stored| stored.present.clone());
        let storage = storage.expect("a complete configuration of a cluster has state");
        let open = |address| {
            let (storage, silence) = (storage.clone(), self.session.asked());
            let direct = move |message: &ToLead| for_storage(message, &storage);
            let shown = (self.hello.facts.clone(), self.hello.secret.clone());
            self.ways.listen_for_nodes(address, shown, silence, Arc::new(direct))
        };
        let is_taken = |error: &io::Error| error.kind() == ErrorKind::AddrInUse;
        let (waited, any) = (system::since(self.began), SocketAddr::new(self.listen.ip(), 0));
        let stands_still = succeeds && waited > DYING && self.advertise.is_none();
        let port = match open(self.listen) {
            Err(error) if is_taken(&error) && stands_still => open(any),
            // The lead that is about to end, or one that is about to begin, has it.
            Err(error) if is_taken(&error) && waited < BUSY => return Ok(None),
            port => port,
        };
        let port = port.map_err(|error| refused(format!("--listen {}: {error}", self.listen)))?;
        let address = self.address_of(&port).to_string();
        let taken = self.agreement.claim(LEAD, &address)?;
        if taken.is_none() {
            // What was read before does not have it.
            self.session.refresh()?;
        }
        Ok(taken.is_none().then_some(port))
    }

    pub(super) fn name(&self) -> &str {
        &self.hello.node
    }
}

/// What this process, which is `node` and takes links there, says of itself to those who know the
/// `secret`.
fn hello(
    config: &Config,
    (node, secret, links): (String, u128, SocketAddr),
    facts: ClusterFacts,
) -> NodeHello {
    let state_cores = state_cores(config);
    let of_links = config.advertise.map(|it| SocketAddr::new(it.ip(), 0));
    NodeHello {
        protocol: PROTOCOL,
        secret: format!("{secret:032x}"),
        node,
        process: NamedProcess::own(config.lease()).write(),
        cores: config.cores.len(),
        weight: config.weight.unwrap_or(Weight::of_cores(state_cores.len())),
        state_cores,
        links: advertised(links, of_links),
        facts,
    }
}

/// Has this process be `node`.
///
/// # Errors
/// Another process is, or it cannot be known.
fn claim_name(
    agreement: &dyn Agreement,
    node: &str,
    (place, lease): (&ClusterPlace, Duration),
    pause: Duration,
) -> Result<(), Error> {
    let refused = |reason: String| Error::Cluster { place: place.clone(), reason };
    let key = format!("{NODES}{node}");
    let own = NamedProcess::own(lease).write();
    let claim = || agreement.claim(&key, &own).map_err(|error| refused(error.to_string()));
    // A process that was killed a moment ago is about to be gone: the kernel says so of one of this
    // machine, and the end of its lease of another one.
    let dying = if place.folder().is_some() { DYING } else { outlived(lease) };
    let (mut taken, begun) = (claim()?, system::now());
    while taken.is_some() && system::since(begun) < dying {
        system::sleep(pause);
        taken = claim()?;
    }
    let Some(taken) = taken else { return Ok(()) };
    let process = NamedProcess::read(&taken.value);
    let process = process.map_or("another process".to_owned(), |process| process.to_string());
    Err(refused(format!(
        "{process} is its node `{node}`: give each process a name with --node, or end that one"
    )))
}

/// Why a node cannot lead.
pub(super) enum ClaimError {
    /// It may at the next try.
    Agreement(Disagreement),
    /// It never can.
    Refused(Box<Error>),
}

impl From<Disagreement> for ClaimError {
    fn from(error: Disagreement) -> Self {
        Self::Agreement(error)
    }
}

impl From<Error> for ClaimError {
    fn from(error: Error) -> Self {
        Self::Refused(Box::new(error))
    }
}

/// How others reach what listens at `address`.
fn advertised(address: SocketAddr, advertise: Option<SocketAddr>) -> SocketAddr {
    let Some(advertise) = advertise else { return address };
    let port = if advertise.port() == 0 { address.port() } else { advertise.port() };
    SocketAddr::new(advertise.ip(), port)
}

/// What nodes show each other: the `own` one of the first.
fn secret(agreement: &dyn Agreement, own: String) -> Result<u128, Disagreement> {
    let own = Agreed { value: own, session: None };
    let (expected, new) = (Expected::Nothing, Some(own.clone()));
    let secret = match agreement.change(&EntryChange { key: SECRET, expected, new, held: None })? {
        Changed::Differs(Some(found)) => found,
        _ => own,
    };
    Ok(read_secret(&secret.value))
}

/// What a person has changed there no other node can show.
fn read_secret(text: &str) -> u128 {
    u128::from_str_radix(text, 16).unwrap_or_default()
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
    let each = 2 * (plan.levels() + 1) * config.lane_bytes + config.link_buffer_bytes();
    let bytes = links * each;
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
