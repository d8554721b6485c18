//! `soak`: Market Spread under a steady load for minutes to hours, and what drifts meanwhile.
//!
//! The application is a process of its own on one core, the load is on the other, at normal
//! priority: a thread that spins for hours must not be a real-time one. After each part of the run
//! the memory and the descriptors of the application are read. What the last third of the parts
//! has over the first third is the drift.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::drive::{LoadPlan, Protocol, RunPart, Total, rates, run};
use crate::effort::Scale;
use crate::load::{Arrivals, Skew, Traffic};
use crate::place::Place;
use crate::progress::Progress;
use crate::report::Report;
use crate::spread::median;
use crate::wire::ask;
use crate::wire::market::{self, Market};

/// How long and how hard.
#[derive(Args, Clone, Debug)]
pub struct SoakOptions {
    /// Seconds that it takes [default: 600, with --quick 15].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    seconds: Option<u64>,
    /// Orders per second.
    #[arg(long, default_value_t = 20_000, value_parser = rates())]
    rate: u32,
    /// How orders follow each other: constant, poisson, or bursts:N.
    #[arg(long, default_value_t = Arrivals::Poisson)]
    arrivals: Arrivals,
    /// How orders spread over the 350 symbols: uniform, or zipf:S.
    #[arg(long, default_value_t)]
    skew: Skew,
    /// Number of connections.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
}

impl SoakOptions {
    /// One slice as long as the soak.
    pub fn scale(&self, scale: Scale) -> Scale {
        let slice = self.seconds.map_or(scale.soak, Duration::from_secs);
        Scale { rounds: 1, slice, ..scale }
    }
}

/// Runs it.
///
/// # Errors
/// The application cannot be started, broke a connection, or lost an order.
pub fn bench(report: &mut Report, options: &SoakOptions) -> Result<()> {
    let place = Place { fifo: false, ..report.place() };
    report.relocate(place);
    let market = Market::start(&market::program()?, place, options.connections.into())?;
    // Without them it would wait for its second source.
    let quotes = (0..options.connections).map(|_| ask::connect(market.quotes()));
    let quotes: Vec<_> = quotes.collect::<Result<_>>()?;
    let plan = plan(options, report.scale().slice, &market);
    let progress =
        Progress::new(&format!("{} for {:?}", plan.traffic, plan.length), PARTS as usize);
    let (mut total, mut samples, mut unread) = (Total::default(), Vec::new(), None);
    let outcome = run(&plan, place, |part| {
        match Sample::take(&part, market.process()) {
            // The last part of a run that was cut short may have no event.
            Ok(sample) if part.answered > 0 => samples.push(sample),
            Ok(_) => {}
            Err(error) => unread = Some(error),
        }
        progress.begin(part.line());
        total.add(&part);
        report.keep_draft(&progress, |draft| tell(draft, &plan, &total, &samples));
        progress.end();
    });
    tell(report, &plan, &total, &samples);
    if let Some(error) = unread {
        report.failed("memory and descriptors of the application", &error);
    }
    outcome?;
    let (sent, answered) = total.events();
    drop(quotes);
    let end = market.finish()?;
    ensure!(answered == sent, "{} of {sent} orders were not answered", sent - answered);
    ensure!(end.orders >= sent, "{} orders were taken in of {sent}", end.orders);
    Ok(())
}

fn tell(report: &mut Report, plan: &LoadPlan, total: &Total, samples: &[Sample]) {
    total.tell(report, plan);
    drift(report, samples);
}

fn plan(options: &SoakOptions, length: Duration, market: &Market) -> LoadPlan {
    LoadPlan {
        server: market.orders().to_string(),
        protocol: Protocol::Orders,
        traffic: Traffic {
            arrivals: options.arrivals,
            rate: options.rate,
            connections: options.connections.into(),
            seed: 1,
        },
        keys: 350,
        skew: options.skew,
        warm_up: (length / 20).min(WARM_UP_MAX),
        length,
        interval: length / PARTS,
    }
}

/// What was seen at the end of a part.
#[derive(Clone, Copy, Debug)]
struct Sample {
    p50_ns: f64,
    p999_ns: f64,
    resident_bytes: f64,
    descriptors: f64,
}

impl Sample {
    fn take(part: &RunPart, process: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))
            .context("the application has ended")?;
        let descriptors = fs::read_dir(format!("/proc/{process}/fd"))
            .context("the descriptors of the application cannot be counted")?;
        Ok(Self {
            p50_ns: part.latency.quantile(0.5),
            p999_ns: part.latency.quantile(0.999),
            resident_bytes: resident_bytes(&status).context("no memory figure in its status")?,
            descriptors: descriptors.count() as f64,
        })
    }

    fn json(&self) -> Value {
        json!([self.p50_ns, self.p999_ns, self.resident_bytes, self.descriptors])
    }
}

fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(1024.0 * kibibytes)
}

/// The last third over the first one, by the medians of their parts.
fn drift(report: &mut Report, samples: &[Sample]) {
    type Value = fn(&Sample) -> f64;
    let ratios: [(&str, Value); 2] = [("p50", |it| it.p50_ns), ("p999", |it| it.p999_ns)];
    for (name, value) in ratios {
        let (first, last) = thirds(samples, value);
        report.figure(format!("{name}_last_over_first"), last / first, 0.0);
    }
    let growths: [(&str, Value); 2] =
        [("resident_bytes", |it| it.resident_bytes), ("descriptors", |it| it.descriptors)];
    for (name, value) in growths {
        let (first, last) = thirds(samples, value);
        report.figure(name, last, 0.0);
        report.figure(format!("{name}_growth"), last - first, 0.0);
    }
    report.detail("samples", samples.iter().map(Sample::json).collect());
    report.note("last_over_first, growth: the last third of the run against the first one");
    report.note("samples: p50 ns, p99.9 ns, resident bytes and descriptors of the application");
}

fn thirds(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> (f64, f64) {
    let length = samples.len().div_ceil(3);
    let middle = |part: &[Sample]| median(part.iter().map(&value).collect());
    (middle(&samples[..length]), middle(&samples[samples.len() - length..]))
}

/// Parts of a run: enough for a curve, long enough for a p99.9 of their own.
const PARTS: u32 = 30;
/// Code, caches and connections are as they stay long before.
const WARM_UP_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_is_the_last_third_against_the_first() {
        let sample =
            |p50_ns| Sample { p50_ns, p999_ns: 1.0, resident_bytes: 0.0, descriptors: 0.0 };
        let samples = [10.0, 12.0, 11.0, 500.0, 1.0, 7.0, 33.0, 20.0, 22.0].map(sample);
        assert_eq!(thirds(&samples, |it| it.p50_ns), (11.0, 22.0));
        assert_eq!(thirds(&samples[..1], |it| it.p50_ns), (10.0, 10.0));
        assert!(thirds(&[], |it| it.p50_ns).0.is_nan());
    }

    #[test]
    fn memory_is_found_in_a_status() {
        let status = "Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t3\n";
        assert_eq!(resident_bytes(status), Some(1234.0 * 1024.0));
        assert_eq!(resident_bytes("Name:\tkthreadd\n"), None);
    }
}
