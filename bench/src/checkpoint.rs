//! `checkpoint`: the same keyed count with checkpoints and without them, alternated.
//!
//! The engine runs in place on the left CPU, so that the thread that stores what it hands out has
//! the right one: with both CPUs taken by cores at real-time priority nothing could be stored, and
//! checkpoints would cost nothing because there were none.
//!
//! The length of slices of turns is reported in two ways: as they were, and without gaps, in which
//! the operating system had the CPU. Neither stands alone.

mod folder;
mod recovery;
mod rollback;

pub use self::folder::StateFolder;

use std::time::Duration;

use anyhow::{Result, ensure};
use potoroo::control::report::CheckpointSummary;

use crate::engine::ours::{EngineSession, Look};
use crate::engine::window::MeasuredWindow;
use crate::engine::{Job, Outcome, Pace, ours};
use crate::pairs::{Contest, Entrant, Paired, WindowRunner, alternate, probe as probes};
use crate::report::{Goal, Report};
use crate::track::Track;

/// Events per second of the open loop.
const RATE: u32 = 200_000;
/// Milliseconds between checkpoints.
const INTERVAL_MS: u64 = 200;
/// Two of them begin in each window, which stays short enough for real-time priority.
const WINDOW_MIN: Duration = Duration::from_millis(450);
/// Microseconds of a turn that a checkpoint may take: the default.
const BUDGET_US: u64 = 20;

/// Runs both at a rate and at full speed, in the folder for temporary files (`TMPDIR`).
///
/// # Errors
/// The folder cannot be written, or the states do not add up to what was sent.
pub fn bench(report: &mut Report) -> Result<()> {
    let keys = report.scale().keys_max.min(1_000_000);
    let has_first = report.scale().keys_max > 1_000_000;
    let needs = [NEED, NEED, RECOVERY_NEED, if has_first { FIRST_NEED } else { 0.0 }];
    needs.into_iter().for_each(|need| report.budget().expect(need));
    paced(report, job(report, keys, Pace::Rate(RATE)))?;
    full(report, job(report, keys, Pace::Full))?;
    report.budget().begin(RECOVERY_NEED);
    recovery::bench(report)?;
    rollback::bench(report)?;
    if has_first {
        first(report, job(report, 10_000_000, Pace::Full))?;
    }
    report.note("slices of turns count from a set-up on, its first whole checkpoint included");
    report.note("own: without what took so long between two looks that it cannot be ours");
    report.note("a checkpoint every 200 ms; in between about 4 % of a million keys change");
    Ok(())
}

fn job(report: &Report, keys: u64, pace: Pace) -> Job {
    let job = Job::of_window(report, keys, pace);
    let slice = if job.place.fifo { WINDOW_MIN } else { job.slice };
    Job { slice, ..job }
}

/// Fixed work on both CPUs and a write to storage, between two windows.
fn probe(report: &Report) -> impl Fn() -> Result<Vec<f64>> + use<> {
    let (place, length) = (report.place(), report.scale().probe);
    move || probes::of_storage(place, length, &std::env::temp_dir())
}

/// Figures by class have the raw round trip of their class beside them.
const NONE: f64 = 0.0;
/// Needs of time: a series of pairs, five recoveries, and some first checkpoints of ten million
/// keys.
const NEED: f64 = 5.0;
const RECOVERY_NEED: f64 = 1.0;
const FIRST_NEED: f64 = 3.0;

fn paced(report: &mut Report, job: Job) -> Result<()> {
    let series = compete(report, job)?;
    for (name, quantile, goal) in [("p50_ratio", 0.5, 1.1), ("p99_ratio", 0.99, 1.2)] {
        let ratio = series.ratio("on", "off", |lap| lap.window.latency.quantile(quantile));
        report.goal(name, ratio, NONE, Goal::AtMost(goal));
    }
    slices(report, &series, "");
    let micros = |ns: fn(&CheckpointSummary) -> u64| {
        series.median("on", move |lap| ns(&lap.checkpoints) as f64 / 1e3)
    };
    report.figure("delay_worst_us", micros(|kept| kept.cost.delay_ns_max), NONE);
    report.figure("delay_own_worst_us", micros(|kept| kept.cost.delay_own_ns_max), NONE);
    let committed = |lap: &Lap| lap.committed as f64;
    report.figure("checkpoints_committed", series.median("on", committed), NONE);
    report.figure("checkpoint_ms", series.median("on", |lap| lap.checkpoints.last_ms), NONE);
    let rows = |lap: &Lap| lap.checkpoints.last_rows as f64;
    report.figure("checkpoint_rows", series.median("on", rows), NONE);
    for name in series.names() {
        let typical = series.typical(name, |lap| lap.window.latency.quantile(0.5));
        report.detail(name, typical.window.latency.all().summary());
        let takes = series.takes(name, |lap| &lap.window.latency);
        let load = format!("{RATE} per second, constant");
        report.track(Track::open(format!("checkpoints_{name}"), &load, takes));
    }
    Ok(())
}

fn full(report: &mut Report, job: Job) -> Result<()> {
    let series = compete(report, job)?;
    let ratio = series.ratio("on", "off", |lap| lap.window.events_per_second());
    report.goal("throughput_ratio", ratio, NONE, Goal::AtLeast(0.9));
    let rows = |lap: &Lap| lap.checkpoints.last_rows as f64;
    report.figure("full_speed_rows", series.median("on", rows), NONE);
    slices(report, &series, "full_speed_");
    Ok(())
}

/// The first checkpoint of a large table, at full speed.
fn first(report: &mut Report, job: Job) -> Result<()> {
    let lap = move || {
        let folder = StateFolder::new("checkpoint");
        let (outcome, checkpoints) = ours::run_first(&job, folder.0.clone(), BUDGET_US)?;
        let Outcome { window, .. } = outcome.verified()?;
        Ok(Lap { window, committed: checkpoints.committed, checkpoints })
    };
    let once = Entrant::of_window("on", lap);
    let contest = Contest {
        what: &format!("first checkpoint of {} keys", job.keys),
        probe: &probe(report),
        ratios: &[],
        need: FIRST_NEED,
    };
    let series = alternate(report, &contest, vec![once])?;
    slices(report, &series, "first_");
    let ms = |lap: &Lap| lap.checkpoints.last_ms;
    report.figure("first_ms", series.median("on", ms), NONE);
    Ok(())
}

/// Slices of turns over their budget.
fn slices(report: &mut Report, series: &Paired<Lap>, of: &str) {
    let over = |ns: fn(&CheckpointSummary) -> u64| {
        series.median("on", move |lap| ns(&lap.checkpoints) as f64 / (BUDGET_US as f64 * 1e3))
    };
    let goal = Goal::AtMost(2.0);
    report.figure(format!("{of}slice_p99_over_budget"), over(|kept| kept.slice_ns_p99), NONE);
    report.goal(format!("{of}slice_max_over_budget"), over(|kept| kept.slice_ns_max), NONE, goal);
    let (p99, max) = (over(|kept| kept.slice_own_ns_p99), over(|kept| kept.slice_own_ns_max));
    report.figure(format!("{of}slice_own_p99_over_budget"), p99, NONE);
    report.goal(format!("{of}slice_own_max_over_budget"), max, NONE, goal);
}

/// What the engine did in one window.
struct Lap {
    window: MeasuredWindow,
    /// Since the set-up.
    checkpoints: CheckpointSummary,
    /// Checkpoints that were committed in the window.
    committed: u64,
}

fn compete(report: &mut Report, job: Job) -> Result<Paired<Lap>> {
    let contender = |name, kept| Entrant::new(name, move || Checkpointed::start(job, kept));
    let contenders = vec![contender("on", true), contender("off", false)];
    let contest = Contest {
        what: &format!("{} keys, {}", job.keys, job.pace),
        probe: &probe(report),
        ratios: &[["on", "off"]],
        need: NEED,
    };
    alternate(report, &contest, contenders)
}

/// An engine with checkpoints or without. While it rests a checkpoint under way waits for its core.
struct Checkpointed {
    job: Job,
    session: EngineSession,
    folder: Option<StateFolder>,
}

impl Checkpointed {
    fn start(job: Job, kept: bool) -> Result<Self> {
        let folder = kept.then(|| StateFolder::new("checkpoint"));
        let path = folder.as_ref().map(StateFolder::path);
        let session = ours::session_kept(&job, path, INTERVAL_MS, BUDGET_US)?;
        Ok(Self { job, session, folder })
    }
}

impl WindowRunner<Lap> for Checkpointed {
    fn window(&mut self) -> Result<Lap> {
        let looks = self.session.looks_after_commits(u64::from(self.folder.is_some()))?;
        let [before, after] = [&looks[0], &looks[1]].map(Look::checkpoints);
        let window = ours::between(&self.job, &looks);
        // Without real-time priority a short window may pass while something else runs.
        ensure!(window.events > 0 || !self.job.place.fifo, "no event came through in the window");
        let committed = after.committed - before.committed;
        Ok(Lap { window, checkpoints: after, committed })
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let Self { session, folder, .. } = *self;
        Box::new(session).finish()?;
        drop(folder);
        Ok(())
    }
}
