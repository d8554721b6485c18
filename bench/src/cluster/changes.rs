//! One node of three leaves, and joins again, under a constant load.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::nodes::{FREQUENT, NAMES, Nodes};
use super::part::{progress, raw_rtt_ns};
use crate::interrupt;
use crate::node::{MadeOutputs, PacedLoad, PacedPlan, free_port};
use crate::report::{Goal, Report};
use crate::spread::Spread;
use crate::stamp;

/// Measures both, some times each.
///
/// # Errors
/// The nodes do not go on, or an event has no output.
pub fn bench(report: &mut Report) -> Result<()> {
    let (scale, place) = (report.scale(), report.place());
    let plan = PacedPlan {
        port: free_port()?,
        keys: scale.keys_max.min(1_000_000),
        rate: scale.cluster_rate,
    };
    let outputs = MadeOutputs::listen(plan.keys)?;
    let source = format!("items=potoroo://127.0.0.1:{}", plan.port);
    let sink = outputs.sink();
    let edges = ["--source", &source, "--sink", &sink];
    let mut nodes = Nodes::new("changes", &[&FREQUENT[..], &edges].concat(), place)?;
    let raw = raw_rtt_ns(report)?;
    let what = format!("leave and join with {} keys, {} events/s", plan.keys, plan.rate);
    let progress = progress(report, &what, scale.rounds);
    nodes.start_three()?;
    let load = PacedLoad::start(plan)?;
    outputs.note_delays(load.first());
    let mut changing = Changing { nodes, outputs, load };
    progress.begin("all keys");
    changing.wait_until_filled()?;
    let (mut rounds, mut outcome) = (Vec::new(), Ok(()));
    for round in 1..=scale.rounds {
        if interrupt::asked() || outcome.is_err() {
            break;
        }
        outcome = changing.round(scale.steady).map(|done| {
            let (left, joined) = (done.leave.ms, done.join.ms);
            progress.begin(format_args!("round {round}: left {left:.0} ms, joined {joined:.0} ms"));
            rounds.push(done);
        });
        progress.end();
        report.keep_draft(&progress, |draft| tell(draft, &rounds, raw));
    }
    tell(report, &rounds, raw);
    outcome?;
    ensure!(!rounds.is_empty(), "no node has joined or left");
    report.figure("loaded_resident_mib", changing.resident_mib()?, raw);
    report.figure("change_missing_outputs", changing.finish()?, raw);
    report.detail("changes", json!({ "keys": plan.keys, "rate": plan.rate }));
    Ok(())
}

/// A cluster under load.
struct Changing {
    nodes: Nodes,
    outputs: MadeOutputs,
    load: PacedLoad,
}

/// One change, in milliseconds.
struct Change {
    ms: f64,
    worst_event_ms: f64,
    paused_ms: f64,
    /// The worst event of those that were due in each [`STEP`] since its beginning.
    course_ms: Vec<f64>,
}

/// What one round has measured.
struct Round {
    leave: Change,
    join: Change,
    /// Without any change.
    steady_worst_event_ms: f64,
    steady_p50_event_ms: f64,
}

impl Changing {
    /// Waits until each key has an output and the load flows.
    fn wait_until_filled(&mut self) -> Result<()> {
        let Self { nodes, outputs, load } = self;
        let mut before = (Instant::now(), 0);
        // How long that takes depends on the number of keys: it must only go on.
        while load.start_ns().is_none() || outputs.seen().owners.contains(&0) {
            ensure!(!load.has_ended(), "the load has ended before each key was sent");
            let count = outputs.seen().count;
            if count > before.1 {
                before = (Instant::now(), count);
            }
            let stands = before.0.elapsed();
            ensure!(stands < STANDS_MAX, "no output for {stands:?} while keys come in");
            interrupt::check()?;
            thread::sleep(LOOK);
        }
        nodes.wait_for_checkpoint()
    }

    fn round(&mut self, steady: Duration) -> Result<Round> {
        let (from, begun) = (stamp::now(), Instant::now());
        self.nodes.wait_for("a steady load", |_| begun.elapsed() >= steady)?;
        self.wait_until_caught_up()?;
        let [steady_p50_event_ms, steady_worst_event_ms] = self.events_ms(from, stamp::now())?;
        let lead = self.nodes.lead()?;
        let name =
            NAMES.into_iter().find(|name| *name != lead).context("one node does not lead")?;
        let leave = self.change(|changing| changing.leave(name))?;
        let join = self.change(|changing| changing.join(name))?;
        Ok(Round { leave, join, steady_worst_event_ms, steady_p50_event_ms })
    }

    /// Returns when it was done.
    fn leave(&mut self, name: &str) -> Result<u64> {
        let Self { nodes, outputs, .. } = self;
        let id = nodes.named(name)?.id();
        let owners = outputs.seen().owners.clone();
        ensure!(owners.contains(&id), "node {name} had no key");
        let taken_over = outputs.watch(move |_, made| {
            owners.get(made.index as usize) == Some(&id) && made.process != u64::from(id)
        });
        nodes.ask(&["leave", name])?;
        let mut left = nodes.take(name)?;
        left.wait()?;
        let ended = stamp::now();
        let seen = nodes.see("outputs of keys that the node had which has left", &taken_over)?;
        Ok(ended.max(seen))
    }

    /// Returns when it was done.
    fn join(&mut self, name: &str) -> Result<u64> {
        let Self { nodes, outputs, .. } = self;
        let process = nodes.start(name)?;
        let first = outputs.watch_process(process);
        nodes.see("outputs of the node that has joined", &first)
    }

    /// Measures a change, with the events of a second after it.
    fn change(&mut self, change: impl FnOnce(&mut Self) -> Result<u64>) -> Result<Change> {
        let begun = stamp::now();
        let done = change(self)?;
        self.nodes.wait_for_members()?;
        let (paused_ms, after) = (self.nodes.last_pause_ms()?, Instant::now());
        self.nodes.wait_for("the load to flow", |_| after.elapsed() >= AFTER)?;
        // Those that waited come first.
        self.wait_until_caught_up()?;
        let over = done + AFTER.as_nanos() as u64;
        let [_, worst_event_ms] = self.events_ms(begun, over)?;
        let step_ns = STEP.as_nanos() as u64;
        let steps = (begun..over).step_by(step_ns as usize);
        let worst = |from_ns| Some(self.events_ms(from_ns, from_ns + step_ns).ok()?[1]);
        let course_ms = steps.filter_map(worst).collect();
        self.nodes.wait_for_checkpoint()?;
        Ok(Change { ms: (done - begun) as f64 / 1e6, worst_event_ms, paused_ms, course_ms })
    }

    /// Waits until there is an output of an event that was due after now.
    fn wait_until_caught_up(&mut self) -> Result<()> {
        let now = stamp::now();
        let caught_up = self.outputs.watch(move |_, made| made.due_ns > now);
        self.nodes.see("the load to be caught up with", &caught_up).map(drop)
    }

    /// The median and the worst event of those that were due between two times, in milliseconds.
    fn events_ms(&self, from_ns: u64, to_ns: u64) -> Result<[f64; 2]> {
        let start_ns = self.load.start_ns().context("the load has not begun")?;
        let to = (stamp::now() - SETTLED.as_nanos() as u64).min(to_ns);
        let index = |at_ns: u64| self.load.events_until(at_ns.saturating_sub(start_ns));
        let seen = self.outputs.seen();
        let range = index(from_ns)..index(to).min(seen.delays_us.len());
        let some = seen.delays_us.get(range).unwrap_or_default();
        let mut delays: Vec<u32> = some.iter().copied().filter(|it| *it != u32::MAX).collect();
        drop(seen);
        ensure!(!delays.is_empty(), "no event had an output");
        delays.sort_unstable();
        let ms = |delay: u32| f64::from(delay) / 1000.0;
        Ok([ms(delays[delays.len() / 2]), ms(delays[delays.len() - 1])])
    }

    fn resident_mib(&self) -> Result<f64> {
        let bytes = self.nodes.running().iter().map(|node| node.resident_bytes());
        let bytes = bytes.collect::<Result<Vec<_>>>()?;
        Ok(bytes.into_iter().max().unwrap_or(0) as f64 / f64::from(1 << 20))
    }

    /// Ends the load. Returns how many of its events have no output.
    fn finish(mut self) -> Result<f64> {
        let first = self.load.first();
        let sent = self.load.finish()?;
        let has_all = |outputs: &MadeOutputs| outputs.seen().highest + 1 >= sent;
        let outputs = &self.outputs;
        self.nodes.wait_for("the last output", |_| has_all(outputs))?;
        self.nodes.wait_for_checkpoint()?;
        let seen = self.outputs.seen();
        let noted = seen.delays_us.iter().filter(|delay| **delay != u32::MAX).count();
        Ok((sent - first) as f64 - noted as f64)
    }
}

fn tell(report: &mut Report, rounds: &[Round], raw: f64) {
    let of = |value: fn(&Round) -> f64| rounds.iter().map(value).collect::<Spread>();
    report.goal("join_ms", of(|round| round.join.ms), raw, Goal::AtMost(5000.0));
    report.goal("leave_ms", of(|round| round.leave.ms), raw, Goal::AtMost(5000.0));
    report.figure("join_worst_event_ms", of(|round| round.join.worst_event_ms), raw);
    report.figure("leave_worst_event_ms", of(|round| round.leave.worst_event_ms), raw);
    report.figure("join_paused_ms", of(|round| round.join.paused_ms), raw);
    report.figure("leave_paused_ms", of(|round| round.leave.paused_ms), raw);
    report.figure("steady_worst_event_ms", of(|round| round.steady_worst_event_ms), raw);
    report.figure("steady_p50_event_ms", of(|round| round.steady_p50_event_ms), raw);
    let courses = |change: fn(&Round) -> &Change| {
        json!(rounds.iter().map(|round| &change(round).course_ms).collect::<Vec<_>>())
    };
    report.detail("joins", courses(|round| &round.join));
    report.detail("leaves", courses(|round| &round.leave));
}

/// Events that were due in this time after a change belong to it.
const AFTER: Duration = Duration::from_secs(1);
/// Resolution of the course of a change.
const STEP: Duration = Duration::from_millis(100);
/// An event that was due before may be under way.
const SETTLED: Duration = Duration::from_millis(20);
/// How often the bench looks whether the keys are in, which is before anything is measured.
const LOOK: Duration = Duration::from_millis(20);
/// Longer means that nothing comes any more.
const STANDS_MAX: Duration = Duration::from_secs(30);
