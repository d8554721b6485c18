//! Starts an application: checks it, opens its edges, builds its cores.

use std::mem::take;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use potoroo_runtime::{
    Clock, HostConfig, Housekeeping, Idle, Lanes, Poller, RunningCores, SharedGaps, Waker, mesh,
};
use potoroo_sdk::Application;
use potoroo_sdk::host::{SinkId, SourceId};
use potoroo_sdk::plan::Plan;

use super::admin::{self, AdminHandle, Operator};
use super::bill::Bill;
use super::checkpoints::effects::Effects;
use super::checkpoints::part_storage::PartStorage;
use super::checkpoints::{CheckpointProgress, CheckpointSetup, Checkpoints};
use super::config::{Config, Outline};
use super::connecting::{Connected, Connecting};
use super::console;
use super::descriptors;
use super::edges::Edges;
use super::error::Error;
use super::inspect::{Inspected, again};
use super::memory;
use super::recovery::Recovery;
use super::skips::SkipNotes;
use super::stop_request::StopRequest;
use super::supervise::{Supervised, Supervisor};
use super::thread_limit;
use super::threads::Threads;
use super::watch::Monitor;
use super::witness::Witness;
use crate::checkpoint::coordinator::Coordinator;
use crate::checkpoint::{Delivered, PositionUnit};
use crate::connect::address::{GeneratorAddress, SinkAddress};
use crate::connect::attach::Attach;
use crate::connect::mail::{StorageReceiver, StorageSender, storage_channel};
use crate::connect::opening::Channels;
use crate::connect::permits::Places;
use crate::connect::starting::SinkStates;
use crate::flow::{Core, CoreConfig, Counts, PartitionMap, SharedCounts, Skips};
use crate::turn::{
    CoreReactor, CoreSeat, Driver, Handout, Mail, Mailbox, Notice, StorageShared, mailbox,
};

/// A description of an application that can be asked for on every core.
pub(super) type Describe = Arc<dyn Fn() -> Application + Send + Sync>;

/// An application that has started.
pub(super) struct Launched {
    pub(super) supervisor: Supervisor,
    pub(super) channels: Channels,
    pub(super) watch: Arc<Monitor>,
    pub(super) listening: Vec<(String, std::net::SocketAddr)>,
    pub(super) admin: Option<AdminHandle>,
    /// What is left to do when nothing can fail any more.
    pub(super) attach: Attach,
}

/// Checks `config` against the plan and fills in what was left open.
pub(super) fn complete(plan: &Plan, config: Config) -> Result<Config, Error> {
    let sources: Vec<(&str, bool)> = plan
        .sources
        .iter()
        .map(|source| (source.name.as_str(), plan.generators.contains(&source.name)))
        .collect();
    let sinks: Vec<&str> = plan.sinks.iter().filter_map(|sink| sink.name.as_deref()).collect();
    let facts = Outline { application: &plan.name, sources: &sources, sinks: &sinks };
    let ready = config.complete(&facts)?;
    if let Some(notice) = ready.notice {
        console::note(notice);
    }
    Ok(ready.config)
}

/// Starts what `describe` describes with a complete `config`.
pub(super) fn launch(
    describe: Describe,
    plan: &Plan,
    mut config: Config,
    request: &StopRequest,
) -> Result<Launched, Error> {
    let places = check_limits(plan, &mut config)?;
    let (stored, messages, mut edges) = open(plan, &config)?;
    let origins = stored.as_ref().map(|stored| &stored.recovery.facts);
    let skips = SkipNotes::new(plan, &config, origins);
    let (listening, channels) = (take(&mut edges.listening), take(&mut edges.channels));
    let (notices_in, notices) = channel();
    let (tallies, gaps) = tallies(plan, config.cores.len());
    let progress = stored.as_ref().map(|stored: &Checkpointing| stored.progress.clone());
    let watch = Arc::new(Monitor::new(plan, &config, tallies.clone(), gaps, progress));
    let (described, (restored_in, restored)) = (describe.clone(), channel());
    let build = Build {
        describe,
        fingerprint: plan.fingerprint,
        generators: generators(&edges),
        map: partition_map(&config),
        sink_owners: (0..plan.sinks.len()).map(|sink| sink % config.cores.len()).collect(),
        keep_letters: edges.letters.is_some(),
        config: config.clone(),
        skips: skips.skips().clone(),
        stored: stored.clone(),
        restored: restored_in,
        tallies,
        notices: notices_in.clone(),
        letters_waiting: Arc::new(AtomicUsize::new(0)),
        request: request.clone(),
    };
    let (letters_waiting, sink_owners) = (build.letters_waiting.clone(), build.sink_owners.clone());
    let (host, mailboxes) = start(plan, build)?;
    wait_for_cores(&host, &watch, &restored)?;
    let _housekeeping = Housekeeping::begin(&watch.cpus);
    let admin =
        serve_admin(&config, &watch, stored.as_ref().map(|stored| stored.operator(&described)))?;
    let storage = stored.as_ref().map(|it| it.storage.clone());
    let threads = Threads::new(plan, &config, places, storage, notices_in);
    let connecting = connecting(plan, &config, (&mailboxes, &sink_owners), &watch, stored.as_ref());
    let (mut threads, connected) = connecting.connect(edges, threads)?;
    let mut attach = take(&mut threads.edges.attach);
    let begin = |(stored, messages): (Checkpointing, StorageReceiver)| {
        stored.start(plan, &config, &mailboxes, connected, (messages, attach.gate()))
    };
    let checkpoints = stored.zip(messages).map(begin).transpose()?;
    let supervisor = Supervisor::new(Supervised {
        config,
        watch: watch.clone(),
        host,
        cores: mailboxes,
        notices,
        letters_waiting,
        threads,
        checkpoints,
        skips,
    });
    Ok(Launched { supervisor, channels, watch, listening, admin, attach })
}

fn connecting<'a>(
    plan: &'a Plan,
    config: &'a Config,
    (mailboxes, sink_owners): (&'a [Mailbox], &'a [usize]),
    watch: &'a Monitor,
    stored: Option<&'a Checkpointing>,
) -> Connecting<'a> {
    let (repeated, resume) = (&watch.repeated, stored.map(|stored| stored.recovery.resume()));
    Connecting { plan, config, mailboxes, sink_owners, repeated, resume }
}

/// Bounds connections by what there are descriptors for, and refuses what the host has no room for.
fn check_limits(plan: &Plan, config: &mut Config) -> Result<Places, Error> {
    let places = descriptors::share(plan, config)?;
    config.connections_max = places.connections;
    check_memory(plan, config)?;
    thread_limit::check(plan, config)?;
    Ok(places)
}

/// Until all have their shares of what was stored. Says what they run on.
fn wait_for_cores(
    host: &RunningCores<Counts>,
    watch: &Monitor,
    restored: &Receiver<Result<(), Error>>,
) -> Result<(), Error> {
    let ground = watch.ground.get_or_init(|| host.ground().clone());
    ground.notices().iter().for_each(|notice| tracing::warn!("host: {notice}"));
    // A core that panics while it restores sends nothing: the panic is reported at its join.
    restored.iter().collect()
}

fn serve_admin(
    config: &Config,
    watch: &Arc<Monitor>,
    operator: Option<Operator>,
) -> Result<Option<AdminHandle>, Error> {
    let watched = watch.clone();
    let serve = |port| admin::serve(port, Arc::new(move || watched.status()), operator);
    Ok(config.admin.map(serve).transpose()?)
}

/// What cores, connectors and the storage thread share if checkpoints are enabled.
#[derive(Clone)]
struct Checkpointing {
    recovery: Arc<Recovery>,
    storage: StorageSender,
    /// By core.
    shared: Vec<Arc<StorageShared>>,
    progress: Arc<CheckpointProgress>,
}

/// Takes over the folder of checkpoints, if there is to be one.
fn open_checkpoints(
    plan: &Plan,
    config: &Config,
) -> Result<Option<(Checkpointing, StorageReceiver)>, Error> {
    let Some(path) = &config.state else { return Ok(None) };
    let recovery = Arc::new(Recovery::open(plan, config, path)?);
    let (storage, messages) = storage_channel();
    let shared = config.cores.iter().map(|_| Arc::default()).collect();
    Ok(Some((Checkpointing { recovery, storage, shared, progress: Arc::default() }, messages)))
}

impl Checkpointing {
    /// For operators: requests a checkpoint, and reads those that are retained.
    fn operator(&self, describe: &Describe) -> Operator {
        let (store, describe) = (self.recovery.store.clone(), describe.clone());
        let inspect = move |table: &str, key: &str| {
            let plan = describe().plan().expect("the plan was checked before");
            again(|| Inspected::open(&*store, &plan, table, None)?.get(key))
                .map_err(|error| error.to_string())
        };
        Operator { storage: self.storage.clone(), inspect: Arc::new(inspect) }
    }

    /// Starts the storage thread.
    fn start(
        self,
        plan: &Plan,
        config: &Config,
        mailboxes: &[Mailbox],
        connected: Connected,
        (messages, gate): (StorageReceiver, Receiver<()>),
    ) -> Result<Checkpoints, Error> {
        let (store, facts) = (self.recovery.store.clone(), self.recovery.facts.clone());
        let head = self.recovery.recovered.head.clone();
        let sources = plan.sources.iter().map(|source| source.name.clone()).collect();
        let sinks = plan.sinks.iter().map(|sink| sink.name.is_some()).collect();
        let cores = mailboxes.len();
        let Connected { sinks: SinkStates { visible, committed, epoch }, sources: upstreams } =
            connected;
        let parts = PartStorage::new(store.clone(), facts.clone(), head.generation, sources, cores);
        let mut coordinator = Coordinator::new(facts, head, cores, sinks);
        coordinator.take_over(self.recovery.positions(), &committed);
        for Delivered { sink, transaction } in self.recovery.delivered() {
            coordinator.deliver(sink, *transaction);
        }
        let parts = parts.with_upstreams(upstreams);
        let (committed, cores) = (epoch, mailboxes.to_vec());
        let effects = Effects { store, parts, coordinator, committed, cores, visible };
        let setup = CheckpointSetup {
            effects,
            interval: Duration::from_millis(config.checkpoint_ms),
            retained: config.checkpoints_kept,
            shared: self.shared,
        };
        Checkpoints::start(setup, (self.storage, messages), self.progress, gate)
    }
}

/// Opens everything outside the process. Its threads stay off the CPUs of cores.
fn open(
    plan: &Plan,
    config: &Config,
) -> Result<(Option<Checkpointing>, Option<StorageReceiver>, Edges), Error> {
    let _housekeeping = Housekeeping::begin(&config.cores);
    let (stored, messages) = open_checkpoints(plan, config)?.unzip();
    let edges = open_edges(plan, config, stored.as_ref())?;
    Ok((stored, messages, edges))
}

/// Opens all edges. Refuses a source whose address is of another kind than that from which it
/// would go on.
fn open_edges(
    plan: &Plan,
    config: &Config,
    stored: Option<&Checkpointing>,
) -> Result<Edges, Error> {
    let edges = Edges::open(plan, config)?;
    let Some(Checkpointing { recovery, .. }) = stored else { return Ok(edges) };
    for (source, edge) in plan.sources.iter().zip(&edges.sources) {
        if let Some(unit) = edge.unit() {
            recovery.position(&source.name, unit)?;
        }
    }
    Ok(edges)
}

fn check_memory(plan: &Plan, config: &Config) -> Result<(), Error> {
    let bill = Bill::new(plan, config);
    match memory::available() {
        Some(available) if bill.bytes() > available.bytes => Err(Error::Memory {
            needed_mib: bill.bytes() >> 20,
            available_mib: available.bytes >> 20,
            limit: available.limit,
            bill: bill.to_string(),
        }),
        _ => Ok(()),
    }
}

fn partition_map(config: &Config) -> PartitionMap {
    let owns = |cpu: &usize| config.state_cores.as_ref().is_none_or(|owners| owners.contains(cpu));
    let cores = config.cores.iter().enumerate().filter(|(_, cpu)| owns(cpu));
    let owners: Vec<u16> = cores.map(|(core, _)| core as u16).collect();
    PartitionMap::spread(config.partitions as u32, &owners)
}

fn generators(edges: &Edges) -> Vec<(SourceId, GeneratorAddress)> {
    let sources = edges.sources.iter().enumerate();
    sources
        .filter_map(|(index, edge)| Some((SourceId(index as u8), edge.generator()?.clone())))
        .collect()
}

/// What every core is built from.
struct Build {
    describe: Describe,
    fingerprint: u64,
    generators: Vec<(SourceId, GeneratorAddress)>,
    map: PartitionMap,
    sink_owners: Vec<usize>,
    keep_letters: bool,
    config: Config,
    skips: Skips,
    stored: Option<Checkpointing>,
    /// Each core sends once that it has restored its share, or why not.
    restored: Sender<Result<(), Error>>,
    tallies: Vec<Arc<SharedCounts>>,
    notices: Sender<Notice>,
    letters_waiting: Arc<AtomicUsize>,
    request: StopRequest,
}

/// The counters of `cores` cores, and their logs of gaps.
fn tallies(plan: &Plan, cores: usize) -> (Vec<Arc<SharedCounts>>, Arc<[SharedGaps]>) {
    let gaps: Arc<[SharedGaps]> = (0..cores).map(|_| SharedGaps::new()).collect();
    let tally = |_| Arc::new(SharedCounts::new(plan).with_gaps(gaps.clone()));
    ((0..cores).map(tally).collect(), gaps)
}

fn start(plan: &Plan, build: Build) -> Result<(RunningCores<Counts>, Vec<Mailbox>), Error> {
    let config = &build.config;
    let host_config = HostConfig {
        idle: config.idle,
        spin: Duration::from_micros(config.spin_us),
        heartbeat_limit: Duration::from_secs(config.heartbeat_seconds),
        ..HostConfig::new(config.cores.clone())
    };
    let mut lanes = mesh(config.cores.len(), plan.levels() + 1, config.lane_bytes).into_iter();
    let build = Arc::new(build);
    let mut mailboxes = Vec::new();
    let make = |core: usize, wakers: &[Waker]| {
        let (mailbox, mail) = mailbox(wakers[core].clone());
        mailboxes.push(mailbox);
        let lanes = lanes.next().expect("one mesh end per core");
        let (build, wakers) = (build.clone(), wakers.to_vec());
        move |_: &mut Poller| CoreSeat(build.seat(core, (lanes, mail, wakers)))
    };
    let host = potoroo_runtime::start(host_config, make)?;
    Ok((host, mailboxes))
}

/// What connects a core with the others: its lanes, its commands, and the wakers of all.
type Ends = (Lanes, Mail, Vec<Waker>);

impl Build {
    /// Asks the application for its description once more.
    ///
    /// # Errors
    /// It is another one than before.
    fn plan(&self) -> Result<Plan, Error> {
        let mut plan = (self.describe)().plan()?;
        if plan.fingerprint != self.fingerprint {
            return Err(Error::Description);
        }
        if let Some(stored) = &self.stored {
            stored.recovery.give_origins(&mut plan);
        }
        Ok(plan)
    }

    /// Builds one core, on its own thread; nothing when it cannot, which is then reported.
    fn seat(&self, core: usize, ends: Ends) -> Option<CoreReactor> {
        match self.plan() {
            Ok(plan) => Some(self.core(plan, core, ends)),
            Err(error) => {
                // The start may have failed, and its receiver with it.
                let _ = self.restored.send(Err(error));
                None
            }
        }
    }

    fn core(&self, plan: Plan, core: usize, (lanes, mail, wakers): Ends) -> CoreReactor {
        let (config, sinks) = (&self.config, plan.sinks.len());
        let numbered = numbered(&plan, config);
        let shared = config.cores.iter().filter(|cpu| **cpu == config.cores[core]).count() > 1;
        let made =
            self.generators.iter().filter(|(id, _)| id.0 as usize % config.cores.len() == core);
        let made: Vec<_> = made
            .map(|(id, generator)| {
                let stage = &plan.sources[id.0 as usize].stage;
                let start = stage.generator(&generator.name, generator.seed);
                (*id, generator, start.unwrap_or_else(|mistake| panic!("{mistake}")))
            })
            .collect();
        let core_config = CoreConfig {
            core,
            lanes,
            map: self.map.clone(),
            sink_owners: self.sink_owners.clone(),
            inlet_bytes: config.inlet_bytes,
            outlet_bytes: config.outlet_bytes,
            local_bytes: config.lane_bytes,
            keep_letters: self.keep_letters,
            tally: self.tallies[core].clone(),
        };
        let names: Vec<String> = plan.sources.iter().map(|source| source.name.clone()).collect();
        let mut flow = Core::new(plan, core_config);
        let gauges = self.tallies[core].gauges.clone();
        Witness::new(core, (flow.plan(), config), flow.under_way(), gauges).testify();
        flow.skip(&self.skips);
        numbered.into_iter().for_each(|sink| flow.number_outputs(sink));
        let recovery = self.stored.as_ref().map(|stored| &stored.recovery);
        let recovered = recovery.map(|recovery| recovery.restore(&mut flow, config, &self.request));
        // The start may have failed, and its receiver with it.
        let _ = self.restored.send(recovered.unwrap_or(Ok(())));
        let position = |source: SourceId| {
            let name = &names[usize::from(source.0)];
            let position = recovery.map(|recovery| recovery.position(name, PositionUnit::Events));
            position.transpose().expect("it was checked before").unwrap_or_default().position
        };
        for (source, generator, generate) in made {
            let rate = generator.rate.map_or(0, |rate| rate.get());
            let count = generator.count.unwrap_or(u64::MAX);
            flow.add_generator(source, generate, rate, position(source), count);
        }
        self.generators.iter().for_each(|(source, _)| flow.drop_replies(*source));
        flow.set_open_sources(true);
        let hot = config.idle != Idle::Park && !shared;
        let letters = self.letters_waiting.clone();
        let stall_ns = config.reply_stall_ms * 1_000_000;
        let handout = self.stored.as_ref().map(|stored| {
            let (budget_ns, shared) = (config.checkpoint_budget_us * 1000, &stored.shared[core]);
            let clock = Clock::new();
            let parts = Box::new(stored.storage.clone());
            Handout::new(core, parts, budget_ns, shared.clone(), Box::new(move || clock.now()))
        });
        let notices = self.notices.clone();
        let driver = Driver::new(mail, notices, letters, handout, sinks, hot, stall_ns);
        CoreReactor { core: flow, driver, wakers, wake: config.idle != Idle::Spin }
    }
}

/// Sinks whose outputs have their origins in front.
fn numbered(plan: &Plan, config: &Config) -> Vec<SinkId> {
    let has_origins = |address: &SinkAddress| address.connector().has_origins();
    let is_numbered = |name: &String| config.sinks.get(name).is_some_and(has_origins);
    let sinks = plan.sinks.iter().enumerate();
    let numbered = sinks.filter(|(_, sink)| sink.name.as_ref().is_some_and(is_numbered));
    numbered.map(|(sink, _)| SinkId(sink as u16)).collect()
}
