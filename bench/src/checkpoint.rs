//! `checkpoint`: the same keyed count with checkpoints and without them, alternated.
//!
//! The engine runs in place on the left CPU, so that the thread that stores what it hands out has
//! the right one: with both CPUs taken by cores at real-time priority nothing could be stored, and
//! checkpoints would cost nothing because there were none.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use potoroo::control::report::CheckpointSummary;

use crate::engine::{Job, Outcome, Pace, ours};
use crate::report::{Goal, Report};
use crate::rounds::{Contender, Series, alternate};
use crate::track::Track;

/// Events per second of the open loop.
const RATE: u32 = 200_000;
/// Milliseconds between checkpoints.
const INTERVAL_MS: u64 = 200;
/// Microseconds of a turn that a checkpoint may take: the default.
const BUDGET_US: u64 = 20;

/// Runs both at a rate and at full speed, in the folder for temporary files (`TMPDIR`).
///
/// # Errors
/// The folder cannot be written, or the states do not add up to what was sent.
pub fn bench(report: &mut Report) -> Result<()> {
    let keys = report.scale().keys_max.min(1_000_000);
    let paced = compete(report, Job::new(report, keys, Pace::Rate(RATE)))?;
    for (name, quantile, goal) in [("p50_ratio", 0.5, 1.1), ("p99_ratio", 0.99, 1.1)] {
        let ratio = paced.ratio("on", "off", |lap| lap.outcome.latency.quantile(quantile));
        report.goal(name, ratio, paced.raw_rtt_ns(&["on", "off"]), Goal::AtMost(goal));
    }
    let over = |ns: fn(&CheckpointSummary) -> u64| {
        move |lap: &Lap| ns(&lap.checkpoints) as f64 / (BUDGET_US as f64 * 1e3)
    };
    let raw = paced.raw_rtt_ns(&["on"]);
    let (p99, max) = (over(|kept| kept.slice_ns_p99), over(|kept| kept.slice_ns_max));
    report.figure("slice_p99_over_budget", paced.median("on", p99), raw);
    report.goal("slice_max_over_budget", paced.median("on", max), raw, Goal::AtMost(2.0));
    for name in ["on", "off"] {
        let typical = paced.typical(name, |lap| lap.outcome.latency.quantile(0.5));
        report.detail(name, typical.outcome.latency.all().summary());
        let takes = paced.takes(name, |lap| &lap.outcome.latency);
        let load = format!("{RATE} per second, constant");
        report.track(Track::open(format!("checkpoints_{name}"), &load, takes));
    }
    let committed = paced.median("on", |lap| lap.checkpoints.committed as f64);
    report.figure("checkpoints_committed", committed, raw);
    let full = compete(report, Job::new(report, keys, Pace::Full))?;
    let ratio = full.ratio("on", "off", |lap| lap.outcome.events_per_second());
    let raw = full.raw_rtt_ns(&["on", "off"]);
    report.goal("throughput_ratio", ratio, raw, Goal::AtLeast(0.9));
    report.note("slices count from the start, the first whole checkpoint included, with all gaps");
    report.note("a checkpoint every 200 ms; in between about 4 % of a million keys change");
    Ok(())
}

struct Lap {
    outcome: Outcome,
    checkpoints: CheckpointSummary,
}

fn compete(report: &mut Report, job: Job) -> Result<Series<Lap>> {
    let lap = move |kept: bool| {
        let folder = kept.then(Folder::new);
        let path = folder.as_ref().map(|folder| folder.0.clone());
        let (outcome, checkpoints) = ours::run_kept(&job, path, INTERVAL_MS, BUDGET_US)?;
        ensure!(!kept || checkpoints.committed > 0, "no checkpoint was committed");
        Ok(Lap { outcome: outcome.verified()?, checkpoints })
    };
    let contenders =
        vec![Contender::new("on", move || lap(true)), Contender::new("off", move || lap(false))];
    alternate(report, &format!("{} keys, {}", job.keys, job.pace), contenders)
}

/// A state folder that goes away with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("potoroo-checkpoint-{}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
