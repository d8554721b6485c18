//! Kills a node, the lead and others in turn, and waits for outputs that come of it.

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde_json::json;

use super::nodes::{FREQUENT, Nodes};
use super::part::{progress, raw_rtt_ns};
use crate::interrupt;
use crate::node::{GENERATORS, MadeOutputs};
use crate::report::{Goal, Report};
use crate::stamp;

/// Events per second: each key has one some times between two kills.
const RATE: u64 = 20_000;

/// Measures it that many times.
///
/// # Errors
/// The nodes do not go on.
pub fn bench(report: &mut Report, kills: usize) -> Result<()> {
    let keys = report.scale().keys_max.min(100_000);
    let (generator, _) = GENERATORS.into_iter().find(|it| it.1 == keys).expect("it has all sizes");
    let outputs = MadeOutputs::of_generator(keys)?;
    let source = format!("items=gen:{generator}?rate={RATE}");
    let (sink, place) = (outputs.sink(), report.place());
    let edges = ["--source", &source, "--sink", &sink];
    let mut nodes = Nodes::new("failover", &[&FREQUENT[..], &edges].concat(), place)?;
    let raw = raw_rtt_ns(report)?;
    let progress = progress(report, &format!("failover with {keys} keys"), kills);
    nodes.start_three()?;
    nodes.wait_for("each key to have an output", |_| !outputs.seen().owners.contains(&0))?;
    let (mut losses, mut outcome) = (Vec::new(), Ok(()));
    for kill in 0..kills {
        if interrupt::asked() || outcome.is_err() {
            break;
        }
        outcome = lose(&mut nodes, &outputs, kill).map(|loss| {
            progress.begin(format_args!("kill {} of {kills}: {loss}", kill + 1));
            losses.push(loss);
        });
        progress.end();
        report.keep_draft(&progress, |draft| tell(draft, &losses, raw));
    }
    tell(report, &losses, raw);
    outcome?;
    ensure!(!losses.is_empty(), "no node was killed");
    let wrong = outputs.seen().wrong;
    ensure!(wrong == 0, "{wrong} outputs are not those of events that had their effect once");
    Ok(())
}

/// What came of one kill, in milliseconds.
struct Loss {
    of_lead: bool,
    resumed: f64,
    new: f64,
    paused: f64,
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let node = if self.of_lead { "the lead" } else { "another node" };
        let Self { resumed, new, paused, .. } = self;
        write!(f, "{node}, resumed after {resumed:.0} ms, new {new:.0} ms, paused {paused:.0} ms")
    }
}

/// Kills a node, and starts it again when the others have gone on.
fn lose(nodes: &mut Nodes, outputs: &MadeOutputs, kill: usize) -> Result<Loss> {
    let lead = nodes.lead()?;
    let followers = nodes.running().iter().map(|node| node.name.clone());
    let mut followers: Vec<String> = followers.filter(|name| *name != lead).collect();
    followers.sort_unstable();
    let of_lead = kill.is_multiple_of(3);
    let name = if of_lead { lead } else { followers.swap_remove(kill % 3 - 1) };
    let mut lost = nodes.take(&name)?;
    let before: Arc<[u32]> = outputs.seen().owners.as_slice().into();
    ensure!(before.contains(&lost.id()), "node {name} had no key{}", lost.last_words());
    let id = lost.id();
    let is_taken_over = move |index: u64, process: u64| {
        before.get(index as usize) == Some(&id) && process != u64::from(id)
    };
    let resumed = outputs.watch({
        let is_taken_over = is_taken_over.clone();
        move |_, made| is_taken_over(made.index, made.process)
    });
    let mut highest = None;
    let new = outputs.watch(move |seen, made| match highest {
        Some(highest) => made.number > highest,
        None if is_taken_over(made.index, made.process) => {
            highest = Some(seen.highest);
            made.number > seen.highest
        }
        None => false,
    });
    let killed = stamp::now();
    lost.kill()?;
    let what = format!("outputs after node {name} was killed");
    let resumed = nodes.see(&what, &resumed)?;
    let new = nodes.see(&what, &new)?;
    lost.wait()?;
    drop(lost);
    nodes.wait_for_members()?;
    let paused = nodes.last_pause_ms()?;
    let process = nodes.start(&name)?;
    let back = outputs.watch_process(process);
    nodes.see(&format!("outputs of node {name}, which was started again"), &back)?;
    nodes.wait_for_members()?;
    // Who has a key is known from the next output of it on.
    outputs.seen().owners.fill(0);
    nodes.wait_for_checkpoint()?;
    let ms = |at_ns: u64| at_ns.saturating_sub(killed) as f64 / 1e6;
    Ok(Loss { of_lead, resumed: ms(resumed), new: ms(new), paused })
}

fn tell(report: &mut Report, losses: &[Loss], raw: f64) {
    let of = |value: fn(&Loss) -> f64| losses.iter().map(value).collect::<Vec<_>>();
    let quantile = |values: &[f64], fraction: f64| {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = ((sorted.len().max(1) - 1) as f64 * fraction).round() as usize;
        sorted.get(at).copied().unwrap_or(f64::NAN)
    };
    let all = of(|loss| loss.new);
    report.goal("failover_ms_p50", quantile(&all, 0.5), raw, Goal::AtMost(500.0));
    report.figure("failover_ms_p99", quantile(&all, 0.99), raw);
    report.figure("failover_ms_max", quantile(&all, 1.0), raw);
    let resumed = of(|loss| loss.resumed);
    report.figure("failover_resumed_ms_p50", quantile(&resumed, 0.5), raw);
    report.figure("failover_resumed_ms_max", quantile(&resumed, 1.0), raw);
    for (name, of_lead) in [("lead", true), ("other", false)] {
        let some = losses.iter().filter(|loss| loss.of_lead == of_lead);
        let some: Vec<f64> = some.map(|loss| loss.new).collect();
        report.figure(format!("failover_{name}_ms_p50"), quantile(&some, 0.5), raw);
    }
    report.figure("failover_paused_ms_p50", quantile(&of(|loss| loss.paused), 0.5), raw);
    report.figure("failover_kills", losses.len() as f64, raw);
    let listed = |loss: &Loss| json!([loss.of_lead, loss.resumed, loss.new, loss.paused]);
    report.detail("failovers", losses.iter().map(listed).collect());
}
