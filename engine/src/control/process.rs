//! What outlives the generations of an application: its description and configuration, the opened
//! store and edges, and its counters.
//!
//! ```text
//!   Process      opened once: store with its lock, edges with their ports, counters
//!   Generation   begun from a checkpoint, watched, ended: cores, lanes, threads
//! ```
//!
//! Everything that can be known to fail is looked at here, before the first generation begins.

use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use potoroo_runtime::{Housekeeping, SharedGaps};
use potoroo_sdk::Application;
use potoroo_sdk::plan::Plan;

use super::admin::{self, AdminHandle, Operator};
use super::bill::Bill;
use super::config::{Config, Outline};
use super::console;
use super::descriptors;
use super::edges::Edges;
use super::error::Error;
use super::inspect::{Inspected, again};
use super::memory;
use super::open_store::OpenStore;
use super::recovery::Recovery;
use super::rollback_requests::RollbackRequests;
use super::stop_request::StopRequest;
use super::takeover::HeadGate;
use super::thread_limit;
use super::watch::Monitor;
use crate::connect::opening::Channels;
use crate::connect::permits::Places;
use crate::flow::SharedCounts;

/// A description of an application that can be asked for on every core.
pub(super) type Describe = Arc<dyn Fn() -> Application + Send + Sync>;

/// What outlives the generations of an application.
pub(super) struct Process {
    pub(super) describe: Describe,
    pub(super) plan: Plan,
    pub(super) config: Config,
    pub(super) request: StopRequest,
    pub(super) places: Places,
    /// If checkpoints are taken.
    pub(super) stored: Option<OpenStore>,
    edges: Arc<Mutex<Edges>>,
    pub(super) watch: Arc<Monitor>,
    /// What operators request.
    pub(super) rollbacks: RollbackRequests,
}

/// What a process gives to those who have started it.
pub(super) struct ProcessStart {
    pub(super) channels: Channels,
    pub(super) watch: Arc<Monitor>,
    pub(super) listening: Vec<(String, std::net::SocketAddr)>,
    pub(super) admin: Option<AdminHandle>,
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

/// Asks the application for its description once more.
///
/// # Errors
/// It is another one than before.
pub(super) fn describe_again(describe: &Describe, fingerprint: u64) -> Result<Plan, Error> {
    let plan = (describe)().plan()?;
    if plan.fingerprint == fingerprint { Ok(plan) } else { Err(Error::Description) }
}

impl Process {
    /// Opens what `describe` describes, by this `fingerprint`, with a complete `config`, but for
    /// its edges.
    ///
    /// # Errors
    /// It cannot run. Nothing of its output is changed.
    pub(super) fn open(
        describe: Describe,
        fingerprint: u64,
        mut config: Config,
        request: StopRequest,
    ) -> Result<Self, Error> {
        let plan = describe_again(&describe, fingerprint)?;
        let places = check_limits(&plan, &mut config)?;
        // The threads of what is opened stay off the CPUs of cores.
        let _housekeeping = Housekeeping::begin(&config.cores);
        let (cores, shared) = (config.cores.len(), config.cluster.is_some());
        let open = |place| OpenStore::open(place, cores, shared);
        let stored = config.state.as_ref().map(open).transpose()?;
        Ok(Self::with(describe, (plan, config), (stored, places), request))
    }

    /// The same with what is `stored`, which is open.
    pub(super) fn with(
        describe: Describe,
        (plan, config): (Plan, Config),
        (stored, places): (Option<OpenStore>, Places),
        request: StopRequest,
    ) -> Self {
        let edges = Arc::new(Mutex::new(Edges::default()));
        let (tallies, gaps) = tallies(&plan, config.cores.len());
        let progress = stored.as_ref().map(|stored| stored.progress.clone());
        let watch = Arc::new(Monitor::new(&plan, &config, tallies, gaps, progress));
        let rollbacks = RollbackRequests::default();
        Self { describe, plan, config, request, places, stored, edges, watch, rollbacks }
    }

    /// Opens its edges. One that `succeeds` a lead that stands still writes the files that this one
    /// has locked.
    ///
    /// # Errors
    /// One cannot be used. Nothing of its output is changed.
    pub(super) fn open_edges(&self, succeeds: bool) -> Result<(), Error> {
        *self.edges() = Edges::open(&self.plan, &self.config, succeeds)?;
        Ok(())
    }

    /// Takes over what is stored, for its edges, through `gate`.
    ///
    /// # Errors
    /// It cannot be used.
    pub(super) fn recover(&self, gate: HeadGate<'_>) -> Result<Option<Recovery>, Error> {
        let (edges, of) = (self.edges(), (&self.plan, &self.config));
        let recover = |stored: &OpenStore| Recovery::open(of, stored, Some(&edges), gate);
        self.stored.as_ref().map(recover).transpose()
    }

    /// Takes over what is stored, for edges that go on, through `gate`.
    ///
    /// # Errors
    /// It cannot be used.
    ///
    /// # Panics
    /// Nothing is stored.
    pub(super) fn recover_state(&self, gate: HeadGate<'_>) -> Result<Recovery, Error> {
        let stored = self.stored.as_ref().expect("a cluster has state");
        Recovery::open((&self.plan, &self.config), stored, None, gate)
    }

    /// Opens the admin port, if there is to be one.
    ///
    /// # Errors
    /// The port cannot be opened.
    pub(super) fn serve(&self) -> Result<Option<AdminHandle>, Error> {
        let watched = self.watch.clone();
        let operator =
            self.stored.as_ref().map(|stored| operator(stored, &self.describe, &self.rollbacks));
        let serve = |port| admin::serve(port, Arc::new(move || watched.status()), operator);
        Ok(self.config.admin.map(serve).transpose()?)
    }

    /// Gives away what others need.
    pub(super) fn started(&self, admin: Option<AdminHandle>) -> ProcessStart {
        let edges = &mut *self.edges();
        let (channels, listening) = (take(&mut edges.channels), take(&mut edges.listening));
        ProcessStart { channels, watch: self.watch.clone(), listening, admin }
    }

    /// The opened edges. While a rollback looks at them, this waits.
    pub(super) fn edges(&self) -> MutexGuard<'_, Edges> {
        self.edges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, for the storage thread.
    pub(super) fn shared_edges(&self) -> Arc<Mutex<Edges>> {
        self.edges.clone()
    }
}

/// The interface of operators: requests checkpoints and rollbacks, and reads what is retained.
fn operator(stored: &OpenStore, describe: &Describe, rollbacks: &RollbackRequests) -> Operator {
    let (store, describe) = (stored.store.clone(), describe.clone());
    let inspect = move |table: &str, key: &str| {
        let plan = describe().plan().expect("the plan was checked before");
        again(|| Inspected::open(&*store, &plan, table, None)?.get(key))
            .map_err(|error| error.to_string())
    };
    let (storage, rollbacks) = (stored.present.clone(), rollbacks.clone());
    Operator { storage, rollbacks, inspect: Arc::new(inspect) }
}

/// Bounds connections by what there are descriptors for, and refuses what the host has no room for.
fn check_limits(plan: &Plan, config: &mut Config) -> Result<Places, Error> {
    let places = descriptors::share(plan, config)?;
    config.connections_max = places.connections;
    check_memory(plan, config)?;
    thread_limit::check(plan, config)?;
    Ok(places)
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

/// The counters of `cores` cores, and their logs of gaps.
fn tallies(plan: &Plan, cores: usize) -> (Vec<Arc<SharedCounts>>, Arc<[SharedGaps]>) {
    let gaps: Arc<[SharedGaps]> = (0..cores).map(|_| SharedGaps::new()).collect();
    let tally = |core| Arc::new(SharedCounts::new(plan).with_gaps(core, gaps.clone()));
    ((0..cores).map(tally).collect(), gaps)
}
