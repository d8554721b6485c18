//! The seat of a core: all that one is built from, on its own thread.

use std::iter::repeat_n;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::Sender;

use potoroo_runtime::{Clock, Idle, Lanes, Waker};
use potoroo_sdk::host::{SinkId, SourceId};
use potoroo_sdk::plan::Plan;

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
use crate::flow::{Core, CoreConfig, SharedCounts, Skips};
use crate::turn::{CoreReactor, Driver, Handout, Mail, NewLink, NodeLease, Notice, StorageShared};

/// What every core of a generation is built from.
pub(super) struct Blueprint {
    describe: Describe,
    fingerprint: u64,
    generators: Vec<(SourceId, GeneratorAddress)>,
    seats: Seats,
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

/// What connects a core with the others: its lanes, its links, its commands, the wakers of its
/// siblings, and what it gets of a checkpoint.
pub(super) type CoreEnds = (Lanes, Vec<NewLink>, Mail, Vec<Waker>, LoadReceiver);

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
        let seated = self.plan().and_then(|plan| self.core(plan, core, ends));
        seated.unwrap_or_else(|error| {
            // The start may have failed, and its receiver with it.
            let _ = self.restored.send(Err(error));
            None
        })
    }

    /// Nothing if not everything came of the checkpoint: who reads it says why.
    ///
    /// # Errors
    /// What came does not fit.
    fn core(
        &self,
        plan: Plan,
        core: usize,
        (lanes, links, mail, wakers, from): CoreEnds,
    ) -> Result<Option<CoreReactor>, Error> {
        let (config, sinks) = (&self.config, plan.sinks.len());
        let numbered = numbered(&plan, config);
        let shared = config.cores.iter().filter(|cpu| **cpu == config.cores[core]).count() > 1;
        let core_config = CoreConfig {
            core: self.seats.first + core,
            lanes,
            map: self.seats.map(),
            sink_owners: self.seats.sink_owners(sinks),
            inlet_bytes: config.inlet_bytes,
            outlet_bytes: config.outlet_bytes,
            local_bytes: config.lane_bytes,
            keep_letters: self.keep_letters,
            tally: self.tallies[core].clone(),
        };
        let mut flow = Core::new(plan, core_config);
        let gauges = self.tallies[core].gauges.clone();
        Witness::new(core, (flow.plan(), config), flow.under_way(), gauges).testify();
        flow.skip(&self.skips);
        numbered.into_iter().for_each(|sink| flow.number_outputs(sink));
        if let Some(of) = &self.of_storage
            && !of.recovery.restore(&mut flow, from, config)?
        {
            return Ok(None);
        }
        // The start may have failed, and its receiver with it.
        let _ = self.restored.send(Ok(()));
        self.add_generators(core, &mut flow);
        flow.set_open_sources(true);
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
        let mut driver = Driver::new(mail, notices, letters, handout, sinks, hot, stall_ns);
        links.into_iter().for_each(|link| driver.add_link(link));
        self.lease.iter().for_each(|lease| driver.set_lease(lease.clone()));
        let Seats { first, own, total, .. } = self.seats;
        let none = |count| repeat_n(None, count);
        let siblings = wakers.into_iter().map(Some);
        let wakers = none(first).chain(siblings).chain(none(total - first - own)).collect();
        Ok(Some(CoreReactor { core: flow, driver, wakers, wake: config.idle != Idle::Spin }))
    }

    /// Gives a core its generators, which go on where they were.
    fn add_generators(&self, core: usize, flow: &mut Core) {
        let is_its_own = |id: SourceId| usize::from(id.0) % self.config.cores.len() == core;
        for (id, generator) in self.generators.iter().filter(|(id, _)| is_its_own(*id)) {
            let source = &flow.plan().sources[usize::from(id.0)];
            let generate = source.stage.generator(&generator.name, generator.seed);
            let generate = generate.unwrap_or_else(|mistake| panic!("{mistake}"));
            let resume = self.of_storage.as_ref().map(|of| of.recovery.resume());
            let start = resume.map(|it| it.position(&source.name, PositionUnit::Events));
            let start = start.unwrap_or_default();
            let rate = generator.rate.map_or(0, |rate| rate.get());
            let count = generator.count.unwrap_or(u64::MAX);
            flow.add_generator(*id, generate, rate, start.position, count);
        }
        self.generators.iter().for_each(|(source, _)| flow.drop_replies(*source));
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

fn generators(edges: &Edges) -> Vec<(SourceId, GeneratorAddress)> {
    let sources = edges.sources.iter().enumerate();
    sources
        .filter_map(|(index, edge)| Some((SourceId(index as u8), edge.generator()?.clone())))
        .collect()
}
