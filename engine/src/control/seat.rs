//! The seat of a core: all that one is built from, on its own thread.

use std::iter::repeat_n;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::Sender;

use potoroo_runtime::{Clock, Idle, Lanes, Waker};
use potoroo_sdk::host::{Generate, SinkId, SourceId};
use potoroo_sdk::plan::{Plan, PlannedSource};

use super::config::Config;
use super::edges::Edges;
use super::error::Error;
use super::process::{Describe, Process, describe_again};
use super::recovery::Recovery;
use super::seats::Seats;
use super::witness::Witness;
use crate::checkpoint::{LoadReceiver, PositionUnit};
use crate::connect::address::{GeneratorAddress, SinkAddress};
use crate::connect::mail::StorageSender;
use crate::connect::potoroo::streams::Streams;
use crate::flow::{Core, CoreConfig, CoreEdges, SharedCounts, Skips};
use crate::turn::{
    CoreReactor, Driver, Handout, Mail, NewLink, NodeLease, Notice, Renewed, StorageShared,
};

/// What every core of a generation is built from.
pub(super) struct Blueprint {
    describe: Describe,
    fingerprint: u64,
    generators: Vec<(SourceId, GeneratorAddress)>,
    seats: Seats,
    sinks: usize,
    keep_letters: bool,
    config: Config,
    skips: Skips,
    of_storage: Option<OfStorage>,
    /// By core.
    shared: Vec<Arc<StorageShared>>,
    /// Each core sends once that it has restored its share, or why not.
    restored: Sender<Result<(), Error>>,
    tallies: Vec<Arc<SharedCounts>>,
    notices: Sender<Notice>,
    /// That of its node; none if the process is alone.
    lease: Option<Arc<NodeLease>>,
    pub(super) letters_waiting: Arc<AtomicUsize>,
}

/// Where cores go on, and where their parts go.
pub(super) struct OfStorage {
    pub(super) recovery: Arc<Recovery>,
    pub(super) storage: StorageSender,
}

/// What connects a core with all else.
pub(super) struct CoreEnds {
    pub(super) mail: Mail,
    pub(super) joined: JoinedEnds,
}

/// What connects a core with the others in a generation.
pub(super) struct JoinedEnds {
    pub(super) lanes: Lanes,
    pub(super) links: Vec<NewLink>,
    /// Of its siblings.
    pub(super) wakers: Vec<Waker>,
    /// What it gets of the checkpoint.
    pub(super) from: LoadReceiver,
}

impl Blueprint {
    /// For the cores of `process` on these `seats`, which report to these two.
    pub(super) fn new(
        process: &Process,
        seats: &Seats,
        skips: &Skips,
        of_storage: Option<OfStorage>,
        (restored, notices): (Sender<Result<(), Error>>, Sender<Notice>),
    ) -> Self {
        let Process { describe, plan, config, stored, watch, .. } = process;
        let edges = process.edges();
        Self {
            describe: describe.clone(),
            fingerprint: plan.fingerprint,
            generators: generators(&edges),
            seats: seats.clone(),
            sinks: plan.sinks.len(),
            keep_letters: edges.letters.is_some(),
            config: config.clone(),
            skips: skips.clone(),
            of_storage,
            shared: stored.as_ref().map_or_else(Vec::new, |stored| stored.shared.clone()),
            restored,
            tallies: watch.tallies.clone(),
            notices,
            lease: None,
            letters_waiting: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// Whose cores act until the end of `lease`.
    pub(super) fn leased(self, lease: Option<Arc<NodeLease>>) -> Self {
        Self { lease, ..self }
    }

    /// # Errors
    /// The application describes itself otherwise than before.
    fn plan(&self) -> Result<Plan, Error> {
        let mut plan = describe_again(&self.describe, self.fingerprint)?;
        if let Some(of) = &self.of_storage {
            of.recovery.give_origins(&mut plan);
        }
        Ok(plan)
    }

    /// Builds one core, on its own thread; nothing when it cannot, which is then reported.
    pub(super) fn seat(&self, core: usize, ends: CoreEnds) -> Option<CoreReactor> {
        let JoinedEnds { lanes, links, wakers, from } = ends.joined;
        let mut flow = self.restored(core, lanes, from)?;
        self.await_streams(core, &mut flow);
        self.add_generators(core, &mut flow);
        // Other nodes have none.
        flow.set_open_sources(self.seats.has_edges());
        let mut driver = self.driver(core, ends.mail);
        links.into_iter().for_each(|link| driver.add_link(link));
        let wake = self.config.idle != Idle::Spin;
        Some(CoreReactor { core: flow, driver, wakers: self.by_seat(wakers), wake })
    }

    /// Builds one core with the `edges` of the one that had its seat, on their thread; nothing when
    /// it cannot, which is then reported.
    pub(super) fn renew(
        &self,
        core: usize,
        edges: CoreEdges,
        JoinedEnds { lanes, links, wakers, from }: JoinedEnds,
    ) -> Option<Renewed> {
        let mut flow = self.restored(core, lanes, from)?;
        flow.take_edges(edges);
        for (source, generator) in self.generators_of(core) {
            let generate = generate(flow.plan(), *source, generator);
            flow.renew_generator(*source, generate);
        }
        Some(Renewed { core: flow, links, wakers: self.by_seat(wakers) })
    }

    fn by_seat(&self, siblings: Vec<Waker>) -> Vec<Option<Waker>> {
        let Seats { first, own, total, .. } = self.seats;
        let none = |count| repeat_n(None, count);
        none(first).chain(siblings.into_iter().map(Some)).chain(none(total - first - own)).collect()
    }

    /// A core with all that it owns, which was reported; nothing when it cannot be, which was, too.
    fn restored(&self, core: usize, lanes: Lanes, from: LoadReceiver) -> Option<Core> {
        let flow = self.plan().and_then(|plan| self.try_restore(plan, core, lanes, from));
        let (flow, report) = match flow {
            Ok(Some(flow)) => (Some(flow), Ok(())),
            // Who reads the checkpoint says why.
            Ok(None) => return None,
            Err(error) => (None, Err(error)),
        };
        // The start may have failed, and its receiver with it.
        let _ = self.restored.send(report);
        flow
    }

    /// Nothing if not everything came of the checkpoint.
    ///
    /// # Errors
    /// What came does not fit.
    fn try_restore(
        &self,
        plan: Plan,
        core: usize,
        lanes: Lanes,
        from: LoadReceiver,
    ) -> Result<Option<Core>, Error> {
        let (config, sinks) = (&self.config, plan.sinks.len());
        let numbered = numbered(&plan, config);
        let core_config = CoreConfig {
            core: self.seats.first + core,
            lanes,
            map: self.seats.map(),
            sink_owners: self.seats.sink_owners(sinks),
            inlet_bytes: config.inlet_bytes,
            outlet_bytes: config.outlet_bytes,
            local_bytes: config.lane_bytes,
            keep_letters: self.keep_letters,
            readers: self.readers(&plan),
            tally: self.tallies[core].clone(),
        };
        let mut flow = Core::new(plan, core_config);
        let gauges = self.tallies[core].gauges.clone();
        Witness::new(core, (flow.plan(), config), flow.under_way(), gauges).testify();
        flow.skip(&self.skips);
        numbered.into_iter().for_each(|sink| flow.number_outputs(sink));
        match &self.of_storage {
            Some(of) if !of.recovery.restore(&mut flow, from, config)? => Ok(None),
            _ => Ok(Some(flow)),
        }
    }

    /// By source: the seat that reads it, if that is one.
    fn readers(&self, plan: &Plan) -> Vec<Option<usize>> {
        let reader = |(at, source): (usize, &PlannedSource)| {
            let address = self.config.sources.get(&source.name)?;
            address.connector().is_read_by_one().then(|| self.seats.reader(at))
        };
        plan.sources.iter().enumerate().map(reader).collect()
    }

    fn driver(&self, core: usize, mail: Mail) -> Driver {
        let config = &self.config;
        let shared = config.cores.iter().filter(|cpu| **cpu == config.cores[core]).count() > 1;
        let hot = config.idle != Idle::Park && !shared;
        let letters = self.letters_waiting.clone();
        let stall_ns = config.reply_stall_ms * 1_000_000;
        let handout = self.of_storage.as_ref().map(|of| {
            let (budget_ns, shared) = (config.checkpoint_budget_us * 1000, &self.shared[core]);
            let clock = Clock::new();
            let parts = Box::new(of.storage.clone());
            Handout::new(core, parts, budget_ns, shared.clone(), Box::new(move || clock.now()))
        });
        let notices = self.notices.clone();
        let mut driver = Driver::new(mail, notices, letters, handout, self.sinks, hot, stall_ns);
        self.lease.iter().for_each(|lease| driver.set_lease(lease.clone()));
        driver
    }

    /// Has a core hold time for the streams that go on at it: see [`Streams::open_recovered`].
    fn await_streams(&self, core: usize, flow: &mut Core) {
        let Some(of) = self.of_storage.as_ref().filter(|_| self.seats.has_edges()) else { return };
        let timed = flow.plan().sources.iter().enumerate().filter(|(_, it)| !it.times.is_empty());
        let awaited = timed.map(|(at, source)| {
            let streams = of.recovery.resume().streams(&source.name);
            (SourceId(at as u8), Streams::going_on(&streams, core, self.seats.own))
        });
        let awaited: Vec<(SourceId, usize)> = awaited.collect();
        awaited.into_iter().for_each(|(source, count)| flow.await_streams(source, count));
    }

    /// Gives a core its generators, which go on where they were.
    fn add_generators(&self, core: usize, flow: &mut Core) {
        for (id, generator) in self.generators_of(core) {
            let generate = generate(flow.plan(), *id, generator);
            let source = &flow.plan().sources[usize::from(id.0)];
            let resume = self.of_storage.as_ref().map(|of| of.recovery.resume());
            let start = resume.map(|it| it.position(&source.name, PositionUnit::Events));
            let start = start.unwrap_or_default();
            let rate = generator.rate.map_or(0, |rate| rate.get());
            let count = generator.count.unwrap_or(u64::MAX);
            flow.add_generator(*id, generate, rate, &start, count);
        }
        self.generators.iter().for_each(|(source, _)| flow.drop_replies(*source));
    }

    fn generators_of(&self, core: usize) -> impl Iterator<Item = &(SourceId, GeneratorAddress)> {
        let seat = self.seats.first + core;
        self.generators.iter().filter(move |(id, _)| self.seats.reader(usize::from(id.0)) == seat)
    }
}

/// The generator of a source of `plan`.
fn generate(plan: &Plan, id: SourceId, generator: &GeneratorAddress) -> Box<dyn Generate> {
    let stage = &plan.sources[usize::from(id.0)].stage;
    let made = stage.generator(&generator.name, generator.seed);
    made.unwrap_or_else(|mistake| panic!("{mistake}"))
}

/// Sinks whose outputs have their origins in front.
fn numbered(plan: &Plan, config: &Config) -> Vec<SinkId> {
    let has_origins = |address: &SinkAddress| address.connector().has_origins();
    let is_numbered = |name: &String| config.sinks.get(name).is_some_and(has_origins);
    let sinks = plan.sinks.iter().enumerate();
    let numbered = sinks.filter(|(_, sink)| sink.name.as_ref().is_some_and(is_numbered));
    numbered.map(|(sink, _)| SinkId(sink as u16)).collect()
}

fn generators(edges: &Edges) -> Vec<(SourceId, GeneratorAddress)> {
    let sources = edges.sources.iter().enumerate();
    sources
        .filter_map(|(index, edge)| Some((SourceId(index as u8), edge.generator()?.clone())))
        .collect()
}
