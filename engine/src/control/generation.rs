//! One generation of a running application: everything that goes on from a checkpoint, and that a
//! rollback throws away.
//!
//! Owns the cores with their lanes and mailboxes, the storage thread and the threads of the edges.
//! Promises: no output is emptied and no core receives anything before all of it has started.

use std::mem::take;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use potoroo_runtime::{
    HostConfig, Housekeeping, Lanes, LinkedLanes, Poller, RunningCores, Waker, mesh_with_words,
};

use super::checkpoints::effects::Effects;
use super::checkpoints::follower::NodeStorage;
use super::checkpoints::output_storage::OutputStorage;
use super::checkpoints::part_storage::PartStorage;
use super::checkpoints::{CheckpointSetup, Checkpoints};
use super::config::Config;
use super::connecting::{Connected, Connecting};
use super::error::Error;
use super::process::Process;
use super::recovery::Recovery;
use super::seat::{Blueprint, CoreEnds, JoinedEnds, OfStorage};
use super::seats::Seats;
use super::skips::SkipNotes;
use super::threads::Threads;
use super::watch::Monitor;
use crate::checkpoint::coordinator::Coordinator;
use crate::checkpoint::{Delivered, LoadReceiver, load_channel};
use crate::cluster::channel::Channel;
use crate::cluster::membership::LeadSender;
use crate::cluster::nodes::RemoteNode;
use crate::connect::attach::Attach;
use crate::connect::edge_lease::EdgeLease;
use crate::connect::mail::{StorageReceiver, StorageSender, storage_channel};
use crate::connect::starting::SinkStates;
use crate::flow::Counts;
use crate::turn::{Command, CoreSeat, Mailbox, NewLink, NodeLease, Notice, mailbox};

/// Where the cores of this process sit in a generation, and what connects them with others.
pub(super) struct Seating {
    pub(super) seats: Seats,
    /// By core of this process; empty if it is alone.
    pub(super) links: LinksOfCores,
    pub(super) others: Others,
    /// Until when the cores may act; none for a process that is alone.
    pub(super) lease: Option<Arc<NodeLease>>,
    /// Whether the generation is still to begin.
    pub(super) is_wanted: Box<dyn Fn() -> bool>,
}

/// A connection to a core of another node.
pub(super) struct DialledLink {
    /// The seat of that core.
    pub(super) seat: usize,
    pub(super) channel: Channel,
}

/// The other nodes, as this one sees them.
pub(super) enum Others {
    /// They obey this one; a process that is alone has none.
    Nodes(Vec<Arc<RemoteNode>>),
    /// This one obeys the lead.
    Lead(LeadSender),
}

impl Seating {
    /// Of a process that is alone.
    pub(super) fn alone(config: &Config) -> Self {
        let others = Others::Nodes(Vec::new());
        let (seats, links, is_wanted) = (Seats::alone(config), Vec::new(), Box::new(|| true));
        Self { seats, links, others, lease: None, is_wanted }
    }
}

/// The links of the cores of this process, by core.
pub(super) type LinksOfCores = Vec<Vec<DialledLink>>;

/// A generation that has begun.
pub(super) struct Generation {
    pub(super) host: RunningCores<Counts>,
    pub(super) cores: Vec<Mailbox>,
    pub(super) notices: Receiver<Notice>,
    pub(super) letters_waiting: Arc<AtomicUsize>,
    pub(super) threads: Threads,
    pub(super) checkpoints: Option<Checkpoints>,
    pub(super) skips: SkipNotes,
    /// How often its cores were renewed, to go on with other nodes.
    pub(super) renewals: u32,
    /// The storage thread rests.
    pub(super) storage_rests: bool,
    /// By core, while they rest: what they are to go on with.
    pub(super) resting: Vec<Sender<(Arc<Blueprint>, JoinedEnds)>>,
}

impl Generation {
    /// Begins one that goes on from `recovery`, seated among the nodes of its cluster. It does
    /// nothing before what is returned with it has run.
    ///
    /// # Errors
    /// What was stored cannot be used, or something cannot be started.
    pub(super) fn begin(
        process: &Process,
        recovery: Option<Recovery>,
        Seating { seats, links, others, lease, is_wanted }: Seating,
    ) -> Result<(Self, Attach), Error> {
        let recovery = recovery.map(Arc::new);
        let facts = recovery.as_ref().map(|recovery| &recovery.facts);
        let skips = SkipNotes::new(&process.plan, &process.config, facts);
        let (notices_in, notices) = channel();
        let (storage, messages) = recovery.as_ref().map(|_| storage_channel()).unzip();
        let (restored_in, restored) = channel();
        let of_storage = recovery.as_ref().zip(storage.as_ref());
        let of_storage = of_storage.map(|(recovery, storage)| OfStorage {
            recovery: recovery.clone(),
            storage: storage.clone(),
        });
        let reports = (restored_in, notices_in.clone());
        let build = Blueprint::new(process, &seats, skips.skips(), of_storage, reports);
        let build = build.leased(lease.clone());
        let letters_waiting = build.letters_waiting.clone();
        let (to, from) = load_channel(seats.own);
        let (host, cores) = start(process, build, (&seats, links), from)?;
        let _housekeeping = Housekeeping::begin(&process.watch.cpus);
        if let Some(recovery) = &recovery {
            let go_on = || process.request.reason().is_none() && is_wanted();
            recovery.read(&seats, to, &go_on)?;
        }
        let host = wait_for_cores(host, &process.watch, &restored)?;
        let Process { plan, config, places, watch, .. } = process;
        let mut threads = Threads::new(plan, config, *places, storage.clone(), notices_in);
        threads.edges.set_lease(EdgeLease::new(lease.clone()));
        let edges_go_on = recovery.as_deref().filter(|_| seats.has_edges());
        let connecting = Connecting {
            plan,
            config,
            mailboxes: &cores,
            sink_owners: &seats.sink_owners(plan.sinks.len()),
            repeated: &watch.repeated,
            resume: edges_go_on.map(Recovery::resume),
        };
        let (mut threads, connected) = connecting.connect(&mut process.edges(), threads)?;
        let mut attach = take(&mut threads.edges.attach);
        let begin = |((recovery, storage), messages): ((&Arc<Recovery>, _), _)| {
            let gate = attach.gate();
            let ends = (storage, messages, gate);
            let among = (&seats, others, EdgeLease::new(lease));
            start_storage(process, recovery, (&cores, connected), among, ends)
        };
        let checkpoints = recovery.as_ref().zip(storage.clone()).zip(messages).map(begin);
        let checkpoints = checkpoints.transpose()?;
        if let Some(stored) = &process.stored {
            stored.present.set(storage);
        }
        let (renewals, storage_rests, resting) = (0, false, Vec::new());
        let generation = Self {
            host,
            cores,
            notices,
            letters_waiting,
            threads,
            checkpoints,
            skips,
            renewals,
            storage_rests,
            resting,
        };
        Ok((generation, attach))
    }

    /// Sends a command to all cores.
    pub(super) fn send(&self, command: impl Fn() -> Command) {
        self.cores.iter().for_each(|core| core.send(command()));
    }

    /// Has the cores end at once.
    pub(super) fn abandon(&self) {
        self.threads.edges.stop_accepting();
        self.send(|| Command::Abandon);
    }

    /// Waits for the end of its cores and then of all its threads, which is not long if it was
    /// `abandoned`. Returns what the cores have counted, and what went wrong in writers.
    ///
    /// # Errors
    /// A core has panicked.
    pub(super) fn join(self, abandoned: bool) -> Result<(Vec<Counts>, Vec<String>), Error> {
        // Cores that rest end now.
        drop(self.resting);
        let counts = self.host.join()?;
        let failures = self.threads.join(abandoned);
        if let Some(checkpoints) = self.checkpoints {
            checkpoints.join();
        }
        Ok((counts, failures))
    }
}

fn start(
    process: &Process,
    build: Blueprint,
    (seats, links): (&Seats, Vec<Vec<DialledLink>>),
    from: Vec<LoadReceiver>,
) -> Result<(RunningCores<Counts>, Vec<Mailbox>), Error> {
    let config = &process.config;
    let host_config = HostConfig {
        idle: config.idle,
        spin: Duration::from_micros(config.spin_us),
        heartbeat_limit: Duration::from_secs(config.heartbeat_seconds),
        // Each executor leaves a descriptor open when it ends, and gives a core nothing that a
        // plain thread does not: those of later generations run on plain ones.
        executors: process.watch.is_first_ground(),
        ..HostConfig::new(config.cores.clone())
    };
    let mut ends = lanes(process, seats, links)?.into_iter().zip(from);
    let build = Arc::new(build);
    let mut mailboxes = Vec::new();
    let make = |core: usize, wakers: &[Waker]| {
        let (mailbox, mail) = mailbox(wakers[core].clone());
        mailboxes.push(mailbox);
        let ((lanes, links), from) = ends.next().expect("one mesh end per core");
        let joined = JoinedEnds { lanes, links, wakers: wakers.to_vec(), from };
        let (build, ends) = (build.clone(), CoreEnds { mail, joined });
        move |_: &mut Poller| CoreSeat(build.seat(core, ends))
    };
    let host = potoroo_runtime::start(host_config, make)?;
    Ok((host, mailboxes))
}

/// The lanes of all cores on these `seats`, with their links.
pub(super) fn lanes(
    process: &Process,
    seats: &Seats,
    links: Vec<Vec<DialledLink>>,
) -> Result<Vec<(Lanes, Vec<NewLink>)>, Error> {
    let (levels, words) = (process.plan.levels() + 1, process.plan.watermark_levels());
    let lanes = mesh_with_words(seats.own, levels, &words, process.config.lane_bytes).into_iter();
    let lanes = lanes.map(|lanes| lanes.among(seats.first, seats.total));
    // A process that is alone has none.
    let links = links.into_iter().chain(std::iter::repeat_with(Vec::new));
    let shape = (levels, &words[..]);
    lanes.zip(links).map(|(lanes, links)| link(lanes, links, shape, process)).collect()
}

/// Makes the links of a core: their lanes stand among its own.
fn link(
    mut lanes: Lanes,
    links: Vec<DialledLink>,
    (levels, words): (usize, &[usize]),
    process: &Process,
) -> Result<(Lanes, Vec<NewLink>), Error> {
    let mut made = Vec::new();
    for DialledLink { seat, channel } in links {
        let LinkedLanes { outbound, inbound, receiver } =
            LinkedLanes::with_words(levels, words, process.config.lane_bytes);
        lanes.link(seat, outbound, inbound);
        let port = channel.into_port().map_err(|source| Error::Link { seat, source })?;
        // The clocks of all processes of a machine agree.
        let counts = process.watch.link_counts(seat);
        made.push(NewLink { seat, port, receiver, ahead_ns: 0, counts });
    }
    Ok((lanes, made))
}

/// Until all have their shares of what was stored. Says what they run on.
fn wait_for_cores(
    host: RunningCores<Counts>,
    watch: &Monitor,
    restored: &Receiver<Result<(), Error>>,
) -> Result<RunningCores<Counts>, Error> {
    watch.set_ground(host.ground());
    let restored: Vec<()> = restored.iter().collect::<Result<_, Error>>()?;
    if restored.len() < watch.cpus.len() {
        let panicked = host.join().expect_err("a core that reports nothing has panicked");
        return Err(panicked.into());
    }
    Ok(host)
}

/// Starts the storage thread.
pub(super) fn start_storage(
    process: &Process,
    recovery: &Recovery,
    (cores, connected): (&[Mailbox], Connected),
    (seats, others, lease): (&Seats, Others, EdgeLease),
    (storage, messages, gate): (StorageSender, StorageReceiver, Receiver<()>),
) -> Result<Checkpoints, Error> {
    let Process { plan, config, stored, .. } = process;
    let stored = stored.as_ref().expect("only what is stored is recovered");
    let (store, facts) = (stored.store.clone(), recovery.facts.clone());
    let head = recovery.recovered.head.clone();
    let sources = plan.sources.iter().map(|source| source.name.clone()).collect();
    let sinks = plan.sinks.iter().map(|sink| sink.name.is_some()).collect();
    let Connected { sinks: SinkStates { visible, committed }, sources: upstreams } = connected;
    let parts = PartStorage::new(store.clone(), facts.clone(), head.generation, sources, seats.own)
        .seated(seats.first, seats.total)
        .with_upstreams(upstreams);
    let nodes = match others {
        Others::Nodes(nodes) => nodes,
        Others::Lead(lead) => {
            let node = NodeStorage { parts, shared: stored.shared.clone(), lead };
            return Checkpoints::follow(node, (storage, messages), gate);
        }
    };
    let outputs = OutputStorage::new(head.generation);
    let mut coordinator = Coordinator::new(facts, head, seats.total, sinks);
    coordinator.take_over(recovery.positions(), &committed);
    for Delivered { sink, transaction } in recovery.delivered() {
        coordinator.deliver(sink, *transaction);
    }
    let cores = cores.to_vec();
    let setup = CheckpointSetup {
        effects: Effects { store, parts, outputs, coordinator, cores, visible },
        interval: Duration::from_millis(config.checkpoint_ms),
        retained: config.checkpoints_kept,
        shared: stored.shared.clone(),
        nodes,
        lease,
    };
    Checkpoints::start(setup, (storage, messages), stored.progress.clone(), gate)
}
