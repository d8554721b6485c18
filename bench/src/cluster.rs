//! `cluster`: processes on loopback that are one application, seen from outside while one of them
//! is killed, joins, leaves, or has nothing to do.
//!
//! Nodes run where the system puts their threads next to their cores, at normal priority, and sleep
//! when they have nothing to do: three of them share two CPUs.

mod changes;
mod failover;
mod idle;
mod nodes;
mod part;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::effort::Scale;
use crate::interrupt;
use crate::report::Report;

/// How often nodes are killed.
#[derive(Args, Clone, Copy, Debug)]
pub struct ClusterOptions {
    /// Number of kills [default: 200, with --quick 12].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    kills: Option<u16>,
}

impl ClusterOptions {
    fn kills(self, scale: Scale) -> usize {
        self.kills.map_or(scale.kills, usize::from)
    }
}

/// Runs all parts.
///
/// # Errors
/// The nodes do not become one application, or nothing comes of them.
pub fn bench(report: &mut Report, options: ClusterOptions) -> Result<()> {
    NOTES.iter().for_each(|note| report.note(note));
    let kills = options.kills(report.scale());
    report.configure("cluster", json!({ "nodes": nodes::NAMES, "kills": kills }));
    part(report, "idle", idle::bench)?;
    part(report, "join and leave", changes::bench)?;
    part(report, "failover", |report| failover::bench(report, kills))
}

/// What one part cannot measure takes nothing from the others.
fn part(
    report: &mut Report,
    name: &str,
    bench: impl FnOnce(&mut Report) -> Result<()>,
) -> Result<()> {
    interrupt::check()?;
    match bench(report) {
        Err(error) if !error.is::<interrupt::Interrupted>() => {
            eprintln!("{name} failed: {error:#}");
            report.failed(name, &error);
            Ok(())
        }
        outcome => outcome,
    }
}

/// How to read the figures.
const NOTES: [&str; 5] = [
    "nodes are three processes with one core each, --idle park, agreement and state in a local \
     folder, normal priority; a checkpoint each 200 ms, for idle nodes each second",
    "failover: kill -9 to the first output of an event that had none, of all; resumed: to the \
     first output of a key that the lost node had; paused: by `potoroo cluster history`",
    "join: from the start of the process to its first output; leave: from the start of `potoroo \
     cluster leave` to its end, the end of the process and the first output of a key elsewhere",
    "worst event: from when it was due to its first output, of all that were due from the \
     beginning of a change until a second after its end; details `joins`, `leaves`: by 100 ms",
    "idle: CPU time of all threads of all nodes; resident: the largest node over its --check bill",
];
