//! A node of a cluster in a simulator: what decides who leads, who may act and what is committed is
//! all there, with its threads. In the place of its cores, of its connections and of the operating
//! system stands what the simulator has.
//!
//! The order of what is done is that of the supervisor; nodes come and go as if they were lost.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use potoroo_runtime::{Poller, Waker};
use potoroo_sdk::prelude::{Application, LineText};

use super::super::config::{ClusterPlace, Config, NodeName, cpus_allowed};
use super::super::connecting::Connected;
use super::super::console;
use super::super::error::Error;
use super::super::generation::{LinksOfCores, Others, Seating, start_storage};
use super::super::open_store::OpenStore;
use super::super::process::{Process, complete};
use super::super::recovery::Recovery;
use super::super::seats::Seats;
use super::super::stop_request::StopRequest;
use super::ground::NodeGround;
use super::member::Member;
use super::{ClusterRole, FollowerNews, find};
use crate::checkpoint::PartitionSet;
use crate::checkpoint::store::{Head, Store};
use crate::cluster::greeting::LinkListener;
use crate::cluster::ways::Ways;
use crate::cluster::wire::NewGeneration;
use crate::connect::attach::Attach;
use crate::connect::edge_lease::EdgeLease;
use crate::connect::mail::{StorageSender, storage_channel};
use crate::connect::permits::Places;
use crate::control::checkpoints::{Checkpoints, LastStage};
use crate::system;
use crate::turn::{Mail, Mailbox, NodeLease, mailbox};

/// How a node is started.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// Its name.
    pub name: NodeName,
    /// Where it takes nodes when it leads.
    pub listen: SocketAddr,
    /// How long its lease lasts.
    pub lease: Duration,
    /// Time between two checkpoints.
    pub checkpoint: Duration,
}

/// What a core of a generation has. Each node has one.
pub struct NewCores {
    /// HEAD of the generation.
    pub head: Head,
    /// The node has the edges.
    pub leads: bool,
    /// The partitions that the core owns.
    pub covers: PartitionSet,
    /// Until when it may act.
    pub lease: Arc<NodeLease>,
    /// What it is to do.
    pub mail: Mail,
    /// Where its parts go.
    pub storage: StorageSender,
}

/// What a simulator has in the place of the cores of a node.
pub trait SimulatedCores {
    /// A core of one generation.
    type Begun;

    /// Connects the node with those of a generation, while that is wanted.
    ///
    /// # Errors
    /// With which node it cannot, and why.
    fn connect(
        &self,
        new: &NewGeneration,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<(), (String, io::Error)>;

    /// A core of a generation is there.
    fn begin(&self, cores: NewCores) -> Self::Begun;

    /// The core gets its edges: everything has begun.
    fn attach(&self, begun: &Self::Begun);

    /// The core ends at once.
    fn end(begun: Self::Begun);
}

/// Asks a node to end.
#[derive(Clone, Default)]
pub struct StopNode(StopRequest);

impl StopNode {
    /// Asks it.
    pub fn ask(&self) {
        self.0.stop();
    }
}

/// Runs a node until it ends: it was asked to, or all others ended.
///
/// # Errors
/// It cannot go on.
pub fn run_node<C: SimulatedCores>(
    settings: &NodeSettings,
    store: Arc<dyn Store>,
    ways: Arc<dyn Ways>,
    cores: &C,
    stop: &StopNode,
) -> Result<(), Error> {
    console::set_notes(false);
    let mut process = process(settings, store, stop.0.clone())?;
    let place = process.config.cluster.clone().expect("it is configured");
    let mut role = find(Member::open(place, &process, ways)?, &process, false)?;
    let ground = SimulatedGround(cores);
    let mut begun = role.begin(&mut process, &ground, None);
    loop {
        let (running, attach) = match begun {
            // It was asked to end, or all have ended.
            Err(Error::Stopped | Error::Ended) => return Ok(()),
            begun => begun?,
        };
        let attached = role.pass_gate(&process).map(|()| {
            attach.run().expect("there is no output to empty");
            cores.attach(&running.0);
        });
        let next = attached.and_then(|()| watch(&mut role, &process, &running.2));
        match &mut role {
            ClusterRole::Lead(lead) => lead.pause(),
            ClusterRole::Follower(follower) => follower.release(),
            ClusterRole::Alone => {}
        }
        SimulatedGround::<C>::end(running)?;
        begun = match next? {
            Next::End => return Ok(()),
            Next::OtherNodes => {
                role.lead().expect("it has nodes").begin(&mut process, &ground, None)
            }
            Next::OfLead(news) => role.begin(&mut process, &ground, Some(news)),
        };
    }
}

/// What comes after a generation.
enum Next {
    OtherNodes,
    OfLead(FollowerNews),
    End,
}

/// Watches over a generation until the next one is to begin, or this node can commit nothing more.
fn watch(
    role: &mut ClusterRole,
    process: &Process,
    checkpoints: &Checkpoints,
) -> Result<Next, Error> {
    let mut lost = false;
    loop {
        let ends = process.request.reason().is_some();
        match role {
            ClusterRole::Alone => unreachable!("it is one of a cluster"),
            ClusterRole::Follower(follower) => match follower.look(process)? {
                Some(FollowerNews::Ended) => return Ok(Next::End),
                Some(news) => return Ok(Next::OfLead(news)),
                None => {}
            },
            ClusterRole::Lead(lead) => {
                if lead.may_act(process)? {
                    lost |= lead.look(process).is_err();
                    lead.check()?;
                    if checkpoints.last() == LastStage::Failed {
                        return Ok(Next::End);
                    }
                    // Nothing is to be lost by that in a simulation.
                    if lost || lead.is_to_change() {
                        return Ok(if ends { Next::End } else { Next::OtherNodes });
                    }
                }
                if ends {
                    return Ok(Next::End);
                }
            }
        }
        system::look_again_after(LOOK);
    }
}

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(1);

fn process(
    settings: &NodeSettings,
    store: Arc<dyn Store>,
    request: StopRequest,
) -> Result<Process, Error> {
    let describe = Arc::new(|| {
        let app = Application::new("simulated");
        let lines = app.table::<u64, u64>("lines");
        app.generator("numbers", |seed| move |index| Some((seed + index).to_string()));
        app.source("numbers", LineText::new())
            .map(|line: &str| line.len() as u64)
            .key_by(|length| length)
            .update(&lines, |lines, _| *lines += 1);
        app
    });
    let plan = describe().plan()?;
    let state = "simulated/state".parse().expect("it is a folder");
    let config = Config {
        sources: [("numbers".to_owned(), "gen:numbers".parse().expect("it is an address"))].into(),
        cluster: Some(ClusterPlace::Folder("simulated".into())),
        node: Some(settings.name.clone()),
        state: Some(state),
        listen: settings.listen,
        lease_ms: Some(settings.lease.as_millis() as u64),
        checkpoint_ms: settings.checkpoint.as_millis() as u64,
        cores: cpus_allowed().into_iter().take(1).collect(),
        partitions: PARTITIONS,
        ..Config::default()
    };
    let config = complete(&plan, config)?;
    let place = config.state.clone().expect("it is configured");
    let places = Places { connections: 0, strangers: 0, clients: 0 };
    let stored = OpenStore::of(store, place, 1);
    Ok(Process::with(describe, (plan, config), (Some(stored), places), request))
}

/// Of all nodes: few, since nothing is kept in them.
const PARTITIONS: usize = 64;

/// What begins the cores of a simulator.
struct SimulatedGround<'a, C>(&'a C);

impl<C: SimulatedCores> NodeGround for SimulatedGround<'_, C> {
    type Begun = (C::Begun, Mailbox, Checkpoints);

    fn connect(
        &self,
        new: &NewGeneration,
        _: &Seats,
        (_, _, is_wanted): (&LinkListener, u128, &dyn Fn() -> bool),
    ) -> Result<LinksOfCores, (String, io::Error)> {
        self.0.connect(new, is_wanted).map(|()| Vec::new())
    }

    fn begin(
        &self,
        process: &Process,
        recovery: Option<Recovery>,
        Seating { seats, others, lease, .. }: Seating,
    ) -> Result<(Self::Begun, Attach), Error> {
        let recovery = recovery.expect("a cluster has state");
        let lease = lease.expect("a node has one");
        let leads = matches!(others, Others::Nodes(_));
        let (mailbox, mail) = mailbox(waker());
        let (storage, messages) = storage_channel();
        let mut attach = Attach::default();
        let ends = (storage.clone(), messages, attach.gate());
        let among = (&seats, others, EdgeLease::new(Some(lease.clone())));
        let of_node = (&[mailbox.clone()][..], Connected::default());
        let checkpoints = start_storage(process, &recovery, of_node, among, ends)?;
        let stored = process.stored.as_ref().expect("a cluster has state");
        stored.present.set(Some(storage.clone()));
        let covers = seats.map().of_core(seats.first);
        let head = recovery.recovered.head.clone();
        let cores = self.0.begin(NewCores { head, leads, covers, lease, mail, storage });
        Ok(((cores, mailbox, checkpoints), attach))
    }

    fn cores((_, mailbox, _): &Self::Begun) -> Vec<Mailbox> {
        vec![mailbox.clone()]
    }

    fn end((cores, _, checkpoints): Self::Begun) -> Result<(), Error> {
        C::end(cores);
        checkpoints.join();
        Ok(())
    }
}

/// Of no core: none parks.
fn waker() -> Waker {
    static WAKER: OnceLock<Waker> = OnceLock::new();
    WAKER.get_or_init(|| Poller::new().expect("this host has one").waker()).clone()
}
