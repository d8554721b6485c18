//! Reads what the cores count: for progress, the admin port and the summary.

use std::sync::Arc;
use std::time::Instant;

use potoroo_runtime::{Idle, LatencyArray};
use potoroo_sdk::plan::{End, Plan};

use super::report::{
    CoreStatus, PathSummary, SinkSummary, Snapshot, SourceSummary, Status, TableSummary, host_label,
};
use crate::flow::{Counts, Tally};

/// The names of an application and the tallies of its cores. Reading it disturbs no core.
pub(super) struct Watch {
    application: String,
    host: String,
    started: Instant,
    cpus: Vec<usize>,
    idle: Idle,
    sources: Vec<String>,
    sinks: Vec<String>,
    tables: Vec<String>,
    /// Source, end and label of each path.
    paths: Vec<(String, String, String)>,
    pub(super) tallies: Vec<Arc<Tally>>,
}

impl Watch {
    pub(super) fn new(plan: &Plan, cpus: Vec<usize>, idle: Idle, tallies: Vec<Arc<Tally>>) -> Self {
        let end = |end: End| match end {
            End::Sink(id) => plan.sinks[id.0 as usize].label().to_string(),
            End::Table(id) => plan.tables[id.0 as usize].name.clone(),
        };
        let source = |id: usize| plan.sources[id].name.clone();
        let path = |path: &potoroo_sdk::plan::Path| {
            (source(path.source.0 as usize), end(path.end), plan.path_label(*path))
        };
        Self {
            application: plan.name.clone(),
            host: host_label(),
            started: Instant::now(),
            cpus,
            idle,
            sources: plan.sources.iter().map(|source| source.name.clone()).collect(),
            sinks: plan.sinks.iter().map(|sink| sink.label().to_string()).collect(),
            tables: plan.tables.iter().map(|table| table.name.clone()).collect(),
            paths: plan.paths.iter().map(path).collect(),
            tallies,
        }
    }

    /// Frames sent and received by all cores, if all of them are quiet.
    pub(super) fn frames_when_quiet(&self) -> Option<(u64, u64)> {
        if !self.tallies.iter().all(|tally| tally.quiet()) {
            return None;
        }
        let counts: Vec<Counts> = self.tallies.iter().map(|tally| tally.read()).collect();
        let sent = counts.iter().map(|counts| counts.frames_sent).sum();
        let received = counts.iter().map(|counts| counts.frames_received).sum();
        Some((sent, received))
    }

    pub(super) fn status(&self) -> Status {
        let counts: Vec<Counts> = self.tallies.iter().map(|tally| tally.read()).collect();
        let core = |(cpu, counts): (&usize, &Counts)| CoreStatus {
            cpu: *cpu,
            turns: counts.turns_worked,
            events: counts.sources.iter().map(|source| source.events).sum(),
            blocked_turns: counts.turns_blocked,
        };
        let cores = self.cpus.iter().zip(&counts).map(core).collect();
        Status { snapshot: self.snapshot(&counts), cores }
    }

    pub(super) fn snapshot(&self, counts: &[Counts]) -> Snapshot {
        let sum = |value: &dyn Fn(&Counts) -> u64| counts.iter().map(value).sum::<u64>();
        let source = |(index, name): (usize, &String)| SourceSummary {
            name: name.clone(),
            events: sum(&|counts| counts.sources[index].events),
            bytes: sum(&|counts| counts.sources[index].bytes),
            refused: sum(&|counts| counts.sources[index].refused),
            overdue: sum(&|counts| counts.sources[index].overdue),
            stalled: self.tallies.iter().map(|tally| tally.stalled(index)).sum(),
        };
        let sink = |(index, name): (usize, &String)| SinkSummary {
            name: name.clone(),
            events: sum(&|counts| counts.sinks[index].events),
            bytes: sum(&|counts| counts.sinks[index].bytes),
            waits: sum(&|counts| counts.sinks[index].waits),
        };
        let table = |(index, name): (usize, &String)| TableSummary {
            name: name.clone(),
            rows: sum(&|counts| counts.tables[index].0),
            bytes: sum(&|counts| counts.tables[index].1),
        };
        Snapshot {
            application: self.application.clone(),
            host: self.host.clone(),
            seconds: self.started.elapsed().as_secs_f64(),
            cores: self.cpus.len(),
            idle: self.idle,
            sources: self.sources.iter().enumerate().map(source).collect(),
            sinks: self.sinks.iter().enumerate().map(sink).collect(),
            tables: self.tables.iter().enumerate().map(table).collect(),
            paths: self.paths(),
            replies_without_connection: sum(&|counts| counts.replies_lost),
            undelivered: 0,
        }
    }

    fn paths(&self) -> Vec<PathSummary> {
        let latency = |index: usize| {
            let mut merged = LatencyArray::new();
            self.tallies.iter().for_each(|tally| merged.merge(&tally.path(index)));
            merged.snapshot()
        };
        let paths = self.paths.iter().enumerate();
        paths
            .map(|(index, (source, end, label))| PathSummary {
                source: source.clone(),
                end: end.clone(),
                label: label.clone(),
                latency: latency(index),
            })
            .collect()
    }
}
