//! `jitter`: gaps of spinning cores.

use std::fmt::Write;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use potoroo_tuning::host::CheckedHost;
use potoroo_tuning::jitter::{CoreJitter, GAP_NS_MIN, LOOK_NS_MIN, Share, measure};
use potoroo_tuning::{Cpus, Fingerprint, Root};
use serde_json::{Value, json};

use super::exit::DoctorExit;
use super::{console, progress};

/// Arguments of `jitter`.
#[derive(Args, Debug)]
pub struct Jitter {
    /// How long to spin; Ctrl-C ends it earlier, with what was measured.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// CPUs to spin on [default: all that this process may use].
    #[arg(long, value_name = "LIST")]
    cores: Option<Cpus>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

impl Jitter {
    /// Measures and answers.
    pub fn run(&self) -> Result<DoctorExit> {
        super::place::some_cores(self.cores.as_ref())?;
        let root = Root::host();
        let host = CheckedHost::read(&root, self.cores.as_ref());
        let stop = progress::stop_on_signal()?;
        let bar = progress::bar("spinning");
        let duration = Duration::from_secs(self.seconds);
        let cores = measure(&host.cores, duration, &stop, |share| bar.set(share));
        bar.finish();
        let (cores, fingerprint) = (cores?, Fingerprint::read(&root));
        if self.json {
            let cores: Vec<Value> = cores.iter().map(json).collect();
            console::answer(json!({ "fingerprint": fingerprint, "cores": cores }))?;
        } else {
            let heading = format!("host {}, CPUs {}", fingerprint.id, host.cores);
            console::answer(text(&heading, &cores).trim_end())?;
        }
        Ok(DoctorExit::Fit)
    }
}

fn text(heading: &str, cores: &[CoreJitter]) -> String {
    let mut text = format!("{heading}; gaps of 1 µs or more in a spinning loop, in µs\n\n");
    let _ = writeln!(
        text,
        "{:>4} {:>9} {:>8} {:>7} {:>8} {:>8} {:>8} {:>8} {:>9}",
        "CPU", "watched s", "gaps/s", "lost %", "p50", "p99", "p99.9", "p99.99", "longest"
    );
    cores.iter().for_each(|core| text += &row(core));
    text += "\ngaps of at least …\n";
    let _ = write!(text, "{:>4}", "CPU");
    LEVELS_US.iter().for_each(|level| text += &format!(" {:>9}", format!("{level} µs")));
    for core in cores {
        let _ = write!(text, "\n{:>4}", core.cpu);
        LEVELS_US.iter().for_each(|level| text += &format!(" {:>9}", at_least(core, *level)));
    }
    let look_us = LOOK_NS_MIN / 1000;
    let _ = writeln!(text, "\n\nguessed causes of gaps of {look_us} µs or more");
    cores.iter().for_each(|core| text += &causes(core));
    text += "\ncounted by the kernel meanwhile\n";
    cores.iter().for_each(|core| text += &counted(core));
    text
}

fn row(core: &CoreJitter) -> String {
    let seconds = core.watched_ns as f64 / 1e9;
    let at = |quantile| core.gaps.value_at_quantile(quantile) as f64 / 1e3;
    format!(
        "{:>4} {seconds:>9.2} {:>8.0} {:>7.3} {:>8.1} {:>8.1} {:>8.1} {:>8.1} {:>9.1}\n",
        core.cpu,
        core.gaps.len() as f64 / seconds.max(1e-9),
        lost(core) * 100.0,
        at(0.5),
        at(0.99),
        at(0.999),
        at(0.9999),
        core.gaps.max() as f64 / 1e3,
    )
}

fn lost(core: &CoreJitter) -> f64 {
    core.lost_ns as f64 / core.watched_ns.max(1) as f64
}

fn at_least(core: &CoreJitter, level_us: u64) -> u64 {
    core.gaps.count_between(level_us * 1000, u64::MAX)
}

fn causes(core: &CoreJitter) -> String {
    let mut shares: Vec<(&String, &Share)> = core.causes.iter().collect();
    shares.sort_by_key(|(_, share)| std::cmp::Reverse(share.sum_ns));
    let mut text = String::new();
    for (cause, share) in &shares {
        let (sum, max) = (share.sum_ns as f64 / 1e3, share.max_ns as f64 / 1e3);
        let _ = writeln!(
            text,
            "{:>4} {cause:<40} {:>6} gaps {sum:>11.1} µs in all {max:>9.1} µs longest",
            core.cpu, share.count
        );
    }
    let looked: u64 = shares.iter().map(|(_, share)| share.count).sum();
    let missed = at_least(core, LOOK_NS_MIN / 1000).saturating_sub(looked);
    match (shares.is_empty(), missed) {
        (true, 0) => format!("{:>4} none\n", core.cpu),
        (_, 0) => text,
        _ => format!("{text}{:>4} {missed} gaps were not looked into\n", core.cpu),
    }
}

fn counted(core: &CoreJitter) -> String {
    let counts: Vec<_> = core.counted.iter().map(|(name, n)| format!("{name}: {n}")).collect();
    let counts = if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") };
    format!("{:>4} {counts}\n", core.cpu)
}

fn json(core: &CoreJitter) -> Value {
    let at = |quantile| core.gaps.value_at_quantile(quantile);
    let levels = LEVELS_US.map(|level| (level.to_string(), at_least(core, level)));
    json!({
        "cpu": core.cpu,
        "watched_ns": core.watched_ns,
        "reading_ns": (core.reading_ns < GAP_NS_MIN).then_some(core.reading_ns),
        "gaps": core.gaps.len(),
        "lost_share": lost(core),
        "p50_ns": at(0.5),
        "p99_ns": at(0.99),
        "p999_ns": at(0.999),
        "p9999_ns": at(0.9999),
        "max_ns": core.gaps.max(),
        "gaps_at_least_us": levels.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "guessed_causes": core.causes,
        "counted": core.counted.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    })
}

const LEVELS_US: [u64; 7] = [1, 5, 10, 25, 100, 1000, 10_000];
