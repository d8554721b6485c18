//! Where the cores spend their time: found by looking now and then at what each is doing.
//!
//! The cores read no clock for it and only say which stage begins. A look every ten milliseconds
//! adds the time since the last one to the stage that it finds, so the figures are estimates, good
//! to a percent after some ten thousand looks. A batch that is found twice has lasted from one look
//! to the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use potoroo_sdk::plan::Plan;

use super::report::StageSummary;
use crate::flow::{SharedCounts, Stage};

/// A batch that is seen for this time has stalled: it is thousands of times what one should take. A
/// batch that takes one look longer than this is always seen for this time.
const STALL: Duration = Duration::from_millis(20);

/// Time and stalls of one stage on one core.
#[derive(Debug, Default)]
struct Cell {
    ns: AtomicU64,
    stalls: AtomicU64,
}

/// What was found so far, of all cores. Read by any thread.
pub(super) struct Profile {
    /// Names of the stages: sources, then exchanges.
    names: Vec<String>,
    sources: usize,
    /// By core and stage.
    cells: Vec<Vec<Cell>>,
}

/// A batch that goes on and on.
#[derive(Debug, PartialEq)]
pub(super) struct Stuck {
    pub(super) core: usize,
    pub(super) stage: String,
    pub(super) since: Duration,
}

impl Profile {
    pub(super) fn new(plan: &Plan, cores: usize) -> Self {
        let sources = plan.sources.iter().map(|source| format!("ingress of {}", source.name));
        let exchanges =
            plan.exchanges.iter().map(|exchange| format!("shard of {}", exchange.label));
        let names: Vec<String> = sources.chain(exchanges).collect();
        let cells = || names.iter().map(|_| Cell::default()).collect();
        Self { cells: (0..cores).map(|_| cells()).collect(), sources: plan.sources.len(), names }
    }

    pub(super) fn of(&self, core: usize) -> Vec<StageSummary> {
        let stages = self.names.iter().zip(&self.cells[core]);
        let summary = |(name, cell): (&String, &Cell)| StageSummary {
            name: name.clone(),
            seconds: cell.ns.load(Ordering::Relaxed) as f64 / 1e9,
            stalls: cell.stalls.load(Ordering::Relaxed),
        };
        stages.map(summary).collect()
    }

    fn index(&self, stage: Stage) -> Option<usize> {
        match stage {
            Stage::None => None,
            Stage::Source(source) => Some(usize::from(source)),
            Stage::Exchange(exchange) => Some(self.sources + usize::from(exchange)),
        }
    }
}

/// Looks at the cores. There is one, which alone writes the profile.
pub(super) struct Profiler {
    profile: Arc<Profile>,
    tallies: Vec<Arc<SharedCounts>>,
    /// By core: the batch found last, and for how long it has been found.
    seen: Vec<(u64, Duration)>,
    looked: Instant,
    /// A batch of this length is reported.
    reported_after: Duration,
}

impl Profiler {
    pub(super) fn new(
        profile: Arc<Profile>,
        tallies: Vec<Arc<SharedCounts>>,
        reported_after: Duration,
    ) -> Self {
        let seen = vec![(0, Duration::ZERO); tallies.len()];
        Self { profile, tallies, seen, looked: Instant::now(), reported_after }
    }

    /// Looks once. Returns a batch that has now reached the length at which it is reported.
    pub(super) fn look(&mut self) -> Option<Stuck> {
        let now = Instant::now();
        let passed = now - std::mem::replace(&mut self.looked, now);
        let mut stuck = None;
        for core in 0..self.tallies.len() {
            stuck = self.look_at(core, passed).or(stuck);
        }
        stuck
    }

    fn look_at(&mut self, core: usize, passed: Duration) -> Option<Stuck> {
        let (stage, mark) = self.tallies[core].gauges.doing();
        let stage = self.profile.index(stage)?;
        let cell = &self.profile.cells[core][stage];
        cell.ns.fetch_add(passed.as_nanos() as u64, Ordering::Relaxed);
        let (seen, before) = self.seen[core];
        let since = if seen == mark { before + passed } else { Duration::ZERO };
        self.seen[core] = (mark, since);
        let reached = |limit: Duration| before < limit && since >= limit;
        if reached(STALL) {
            cell.stalls.fetch_add(1, Ordering::Relaxed);
        }
        let stage = || self.profile.names[stage].clone();
        reached(self.reported_after).then(|| Stuck { core, stage: stage(), since })
    }
}
