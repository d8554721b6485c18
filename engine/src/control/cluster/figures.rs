//! What nodes tell of themselves each second, and what the lead remembers of it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::super::process::Process;
use super::super::seats::state_cores;
use crate::cluster::view::NodeFigures;
use crate::system;

/// How often a node tells what it does.
const EVERY: Duration = Duration::from_secs(1);

/// Looks once each second at what this node does.
pub(super) struct FigureClock {
    at: Instant,
    events: u64,
    busy_ns: u64,
}

impl FigureClock {
    pub(super) fn new() -> Self {
        Self { at: system::now(), events: 0, busy_ns: 0 }
    }

    /// What this node does, if it is time to tell.
    pub(super) fn look(&mut self, process: &Process) -> Option<NodeFigures> {
        let elapsed = system::since(self.at);
        if elapsed < EVERY {
            return None;
        }
        // Cores that own no state have only edges, which no share of partitions changes.
        let cores = state_cores(&process.config);
        let (mut figures, busy_ns) = process.watch.figures(&cores);
        let cores = cores.len().max(1) as f64;
        let since =
            |now: u64, before: u64| now.saturating_sub(before) as f64 / elapsed.as_secs_f64();
        figures.events_per_second = since(figures.events, self.events);
        figures.busy = (since(busy_ns, self.busy_ns) / 1e9 / cores).min(1.0);
        *self = Self { at: system::now(), events: figures.events, busy_ns };
        Some(figures)
    }
}

/// What nodes reported in the present generation, by name.
#[derive(Default)]
pub(super) struct Reports(BTreeMap<String, NodeReport>);

struct NodeReport {
    at: Instant,
    figures: NodeFigures,
    /// Of the last seconds, the newest last.
    busy: VecDeque<f64>,
}

/// Seconds over which the load of a node is measured.
const MEASURED_SECONDS: usize = 10;

/// Seconds after which it is worth something.
const MEASURED_SECONDS_MIN: usize = 3;

impl Reports {
    /// A generation of these nodes begins.
    pub(super) fn begin(&mut self, nodes: impl Iterator<Item = String>) {
        let at = system::now();
        let none = || NodeReport { at, figures: NodeFigures::default(), busy: VecDeque::new() };
        self.0 = nodes.map(|node| (node, none())).collect();
    }

    /// A node reported what it does. One that is not of the generation is passed over.
    pub(super) fn take(&mut self, node: &str, figures: NodeFigures) {
        let Some(report) = self.0.get_mut(node) else { return };
        report.busy.push_back(figures.busy);
        if report.busy.len() > MEASURED_SECONDS {
            report.busy.pop_front();
        }
        (report.at, report.figures) = (system::now(), figures);
    }

    /// What a node reported last, and how many seconds ago that was.
    pub(super) fn of(&self, node: &str) -> Option<(&NodeFigures, f64)> {
        self.0.get(node).map(|report| (&report.figures, system::since(report.at).as_secs_f64()))
    }

    /// The part of the last seconds in which the cores of a node had something to do; none if it is
    /// not known well yet.
    pub(super) fn busy(&self, node: &str) -> Option<f64> {
        let busy = &self.0.get(node)?.busy;
        let known = busy.len() >= MEASURED_SECONDS_MIN;
        known.then(|| busy.iter().sum::<f64>() / busy.len() as f64)
    }
}
