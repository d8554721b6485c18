//! `load`: drives any TCP application at a fixed rate from a process and a core of its own.
//!
//! Owns: connections, and the account of what was sent, answered and never answered. Promises: an
//! event leaves when it is due, whatever became of those before it; what the socket does not take
//! is late, not fewer; its latency ends when its answer has been read, and one that never comes
//! counts with the time that it was waited for. How late the load itself was is reported beside.
//! Must never: wait for an answer before sending what is due.

// In reading order; the blank lines keep it.
mod protocol;

mod connection;

mod account;

mod run;

use std::net::ToSocketAddrs;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::RangedI64ValueParser;
use serde_json::{Value, json};

pub use self::account::RunPart;
pub use self::protocol::Protocol;
pub use self::run::{LoadPlan, run};

use crate::effort::Scale;
use crate::load::{Arrivals, Skew, Traffic};
use crate::place::Place;
use crate::progress::Progress;
use crate::report::Report;
use crate::take::Take;
use crate::track::Track;

/// What to send where, and for how long.
#[derive(Args, Clone, Debug)]
pub struct DriveOptions {
    /// Where the application listens, as HOST:PORT.
    address: String,
    /// What is sent: `orders` (of Market Spread, with --reply), `frames:BYTES` (u32 length in
    /// front, answered one by one), or `line:TEXT` with {key} and {sequence} in it (a line each).
    #[arg(long, default_value = "orders")]
    protocol: Protocol,
    /// Events per second over all connections.
    #[arg(long, default_value_t = 10_000, value_parser = rates())]
    rate: u32,
    /// Number of connections.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// How events follow each other: constant, poisson, or bursts:N.
    #[arg(long, default_value_t)]
    arrivals: Arrivals,
    /// Number of different keys.
    #[arg(long, default_value_t = 350, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// How events spread over keys: uniform, or zipf:S.
    #[arg(long, default_value_t)]
    skew: Skew,
    /// Seconds that are measured [default: 10, with --quick 2].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seconds: Option<u64>,
    /// Seconds before that, which are not.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=3600))]
    warm_up: u64,
    /// The CPU that sends and receives [default: the first one that is allowed].
    #[arg(long)]
    cpu: Option<usize>,
    /// The same seed gives the same keys and moments.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl DriveOptions {
    /// One slice as long as the load.
    pub fn scale(&self, scale: Scale) -> Scale {
        let slice = self.seconds.map_or(scale.load, Duration::from_secs);
        Scale { rounds: 1, slice, ..scale }
    }

    fn plan(&self, length: Duration) -> Result<LoadPlan> {
        self.protocol.allows(self.keys)?;
        Ok(LoadPlan {
            server: checked(&self.address)?,
            protocol: self.protocol.clone(),
            traffic: Traffic {
                arrivals: self.arrivals,
                rate: self.rate,
                connections: self.connections.into(),
                seed: self.seed,
            },
            keys: self.keys,
            skew: self.skew,
            warm_up: Duration::from_secs(self.warm_up),
            length,
            interval: (length / INTERVALS).max(Duration::from_millis(10)),
        })
    }
}

/// The address as it was given, if something is behind it: each connection tries all of that.
fn checked(address: &str) -> Result<String> {
    let mut found = address.to_socket_addrs().with_context(|| {
        format!("{address} is no address: say HOST:PORT, for instance 127.0.0.1:7000")
    })?;
    found.next().with_context(|| format!("{address} stands for no address"))?;
    Ok(address.to_owned())
}

/// Drives the application and reports what it did.
///
/// # Errors
/// It cannot be connected to, breaks a connection, or answers something else.
pub fn bench(report: &mut Report, options: &DriveOptions) -> Result<()> {
    let plan = options.plan(report.scale().slice)?;
    // A thread that spins for seconds must not be a real-time one.
    let place = Place { fifo: false, ..report.place() };
    let place = options.cpu.map_or(Ok(place), |cpu| place.with_left(cpu))?;
    report.relocate(place);
    let what = format!("{} events/s to {}", plan.traffic.rate, plan.server);
    let progress = Progress::new(&what, INTERVALS as usize);
    let mut total = Total::default();
    let outcome = run(&plan, place, |part| {
        progress.begin(part.line());
        total.add(&part);
        report.keep_draft(&progress, |draft| total.tell(draft, &plan));
        progress.end();
    });
    total.tell(report, &plan);
    outcome
}

/// The sum of all parts.
#[derive(Clone, Debug, Default)]
pub struct Total {
    sum: RunPart,
    take: Take,
    parts: Vec<Value>,
}

impl Total {
    /// Takes one more in.
    pub fn add(&mut self, part: &RunPart) {
        self.sum.merge(part);
        let outside = part.latency.without(&part.inside);
        self.take.push(part.start_ns, part.nanos, &part.latency, &outside);
        self.take.gaps.push(part.gaps.clone());
        self.parts.push(part.json());
    }

    /// Events that left, and answers that came.
    pub fn events(&self) -> (u64, u64) {
        (self.sum.sent, self.sum.answered)
    }

    /// Figures, latencies and details of everything that was taken in, if anything was.
    pub fn tell(&self, report: &mut Report, plan: &LoadPlan) {
        if self.parts.is_empty() {
            return;
        }
        let RunPart { latency, lag, nanos, sent, answered, unanswered, checksum, .. } = &self.sum;
        let (nanos, answered, unanswered) = (*nanos as f64, *answered as f64, *unanswered as f64);
        for (name, fraction) in PERCENTILES {
            report.figure(format!("{name}_ns"), latency.quantile(fraction), 0.0);
        }
        report.figure("answers_per_second", answered * 1e9 / nanos, 0.0);
        report.figure("unanswered", unanswered, 0.0);
        report.figure("lag_p50_ns", lag.quantile(0.5), 0.0);
        report.figure("lag_p999_ns", lag.quantile(0.999), 0.0);
        report.configure("load", plan.json());
        report.checksum("load", *checksum);
        report.track(Track::open("load", &plan.traffic.to_string(), vec![self.take.clone()]));
        report.detail("lag", lag.summary());
        report.detail("events", json!({ "sent": sent, "answered": self.sum.answered }));
        report.detail("parts", json!(self.parts));
        NOTES.iter().for_each(|note| report.note(note));
    }
}

const PERCENTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("p9999", 0.9999), ("max", 1.0)];

/// Up to one per nanosecond.
pub fn rates() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=1_000_000_000)
}

/// Parts of a run that are reported one by one.
const INTERVALS: u32 = 20;

/// How to read the figures.
const NOTES: [&str; 3] = [
    "open loop: latency is the time from the moment an event was due until its answer was read",
    "lag: how late the load itself handed events to the socket, by its own fault or a full socket",
    "unanswered events are in the latencies with the time that they were waited for",
];
