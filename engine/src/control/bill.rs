//! The memory bill: what an application takes, line by line, before it takes it.

use std::fmt;

use potoroo_runtime::{SharedGaps, mesh_bytes};
use potoroo_sdk::plan::Plan;

use super::config::Config;
use crate::checkpoint::load_bytes;
use crate::connect::demand::{Demand, DemandLine};
use crate::connect::mail::PARTS_WAITING_MAX;
use crate::connect::pipe::PIPE_BYTES;
use crate::flow::Outlet;
use crate::state::Spares;
use crate::turn::SPARES_MAX;

/// What the engine takes at most, by user: at start, but for connections and checkpoints. State
/// comes on top, with what grows with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    lines: Vec<(String, usize)>,
    /// Checkpoints are enabled.
    checkpoints: bool,
}

impl Bill {
    /// The bill for `plan` as `config` deploys it.
    pub fn new(plan: &Plan, config: &Config) -> Self {
        let cores = config.cores.len();
        let levels = plan.levels();
        let sinks = plan.sinks.iter().filter(|sink| sink.name.is_some()).count();
        let demands = demands(config);
        let pipes: usize = demands.iter().map(|demand| demand.pipes).sum();
        let latency = size_of::<potoroo_runtime::LatencyArray>() + LATENCY_ARRAY_BYTES;
        let mut lines = vec![
            (
                format!("lanes: {cores} cores × {} others × {} levels", cores - 1, levels + 1),
                mesh_bytes(cores, levels + 1, config.lane_bytes),
            ),
            (
                format!("in place: {cores} cores × {levels} levels"),
                cores * levels * config.lane_bytes,
            ),
            (
                format!("sinks: {sinks} outlets, twice their limit, and notes of their events"),
                sinks * Outlet::memory_bytes(config.outlet_bytes),
            ),
            (
                format!("files and channels: {pipes} pipes"),
                pipes * (PIPE_BYTES + config.inlet_bytes),
            ),
            (
                format!(
                    "latencies: {cores} cores × {} paths, with gaps and without",
                    plan.paths.len()
                ),
                cores * plan.paths.len() * 2 * latency,
            ),
            (format!("gaps: {cores} cores"), cores * SharedGaps::MEMORY_BYTES),
            (format!("executors: {cores} cores"), cores * EXECUTOR_BYTES),
        ];
        if config.cluster.is_some() {
            lines.push(Self::link_line(config, levels));
        }
        lines.extend(Self::edge_lines(&demands));
        if demands.iter().any(|demand| demand.connections) {
            lines.push(Self::connection_line(plan, config));
        }
        if let Some(place) = &config.state {
            lines.extend(Self::checkpoint_lines(config, levels, place.upload_bytes()));
        }
        Self { lines, checkpoints: config.state.is_some() }
    }

    /// Bytes in all.
    pub fn bytes(&self) -> usize {
        self.lines.iter().map(|(_, bytes)| bytes).sum()
    }

    /// What the links of this node take, where all nodes have as many cores as this one.
    fn link_line(config: &Config, levels: usize) -> (String, usize) {
        let (cores, others, levels) = (config.cores.len(), config.nodes_max - 1, levels + 1);
        let links = cores.saturating_mul(config.other_cores());
        let what = format!(
            "links: {cores} cores × {cores} cores of up to {others} other nodes (--nodes-max) × \
             {levels} levels × 2"
        );
        let each = 2 * levels * config.lane_bytes + config.link_buffer_bytes();
        (what, links.saturating_mul(each))
    }

    /// What edges take besides, while it is open: equal lines of several edges are one.
    fn edge_lines(demands: &[Demand]) -> Vec<(String, usize)> {
        let mut counted: Vec<(DemandLine, usize)> = Vec::new();
        for line in demands.iter().flat_map(|demand| &demand.lines) {
            match counted.iter_mut().find(|(known, _)| known == line) {
                Some((_, count)) => *count += 1,
                None => counted.push((*line, 1)),
            }
        }
        let printed = |(DemandLine { what, most, each }, count): (DemandLine, usize)| {
            let kib = each.div_ceil(1024);
            let what =
                format!("{what}: {most} at most of {count} sources, {kib} KiB each when open");
            (what, count * most * each)
        };
        counted.into_iter().map(printed).collect()
    }

    /// What the connections of sources take while they are open.
    fn connection_line(plan: &Plan, config: &Config) -> (String, usize) {
        let (most, each) = (config.connections_max, Self::connection_bytes(plan, config));
        let what = format!(
            "connections: {most} at most (--connections-max), {} KiB each when it is open",
            each.div_ceil(1024)
        );
        (what, most * each)
    }

    /// What checkpoints take for themselves, of which the part of a core, and the output of one
    /// sink at a time, takes `upload_bytes` on its way to the storage.
    fn checkpoint_lines(
        config: &Config,
        levels: usize,
        upload_bytes: usize,
    ) -> [(String, usize); 3] {
        let cores = config.cores.len();
        let lanes = (cores - 1 + config.other_cores()).saturating_mul(levels + 1);
        let lanes_bytes = lanes.saturating_add(levels).saturating_mul(config.lane_bytes);
        let frames_bytes = lanes_bytes.min(config.checkpoint_log_bytes);
        let pieces_bytes = PARTS_WAITING_MAX * piece_bytes() + (cores + 1) * upload_bytes;
        [
            (
                format!("checkpoints: copies of the frames under way to {cores} cores"),
                cores * frames_bytes,
            ),
            (format!("checkpoints: pieces of {cores} parts on their way"), pieces_bytes),
            (format!("recovery: chunks on their way to {cores} cores"), load_bytes(cores)),
        ]
    }

    /// What a connection of a source takes while it is open.
    fn connection_bytes(plan: &Plan, config: &Config) -> usize {
        let replies = plan.sinks.iter().any(|sink| sink.name.is_none());
        let outlet = if replies { Outlet::memory_bytes(config.outlet_bytes) } else { 0 };
        config.inlet_bytes + outlet
    }
}

/// What each source and sink takes besides its buffers.
fn demands(config: &Config) -> Vec<Demand> {
    let inlet_bytes = config.inlet_bytes;
    let sources = config.sources.values().map(|at| at.connector().demand(inlet_bytes));
    sources.chain(config.sinks.values().map(|at| at.connector().demand())).collect()
}

/// Memory that each core's executor registers with the kernel for its files.
const EXECUTOR_BYTES: usize = 1 << 20;

/// Cells of one array of latencies.
const LATENCY_ARRAY_BYTES: usize = 9 * 1024;

impl fmt::Display for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, bytes) in &self.lines {
            writeln!(f, "  {:>12} KiB  {what}", bytes.div_ceil(1024))?;
        }
        write!(f, "  {:>12} KiB  in all at most, without state", self.bytes().div_ceil(1024))?;
        if self.checkpoints {
            // With the core, with what it took back of them, and with the storage thread.
            let spare_mib = (3 * SPARES_MAX * piece_bytes()) >> 20;
            write!(
                f,
                "\nstate grows with its keys; rows that change while a checkpoint is stored take \
                 as much again\nmeanwhile, and up to {spare_mib} MiB of that for each core stay as \
                 buffers for the next one"
            )?;
        }
        Ok(())
    }
}

/// What a buffer takes for rows on their way to a checkpoint.
fn piece_bytes() -> usize {
    Spares::default().take().capacity()
}
