//! What an application did: counts and latencies, as data first, then as text and as JSON.
//!
//! Owns the form of every report, so that the summary, the progress line and the admin port say
//! the same thing in the same words. It never measures anything: whoever runs the cores fills a
//! [`Snapshot`] in.

#[cfg(test)]
mod agreement;
mod json;
mod progress;
mod text;

use std::fs;

use hdrhistogram::Histogram;
#[cfg(test)]
use potoroo_runtime::Nanos;
use potoroo_runtime::{Gap, GapCounts, Idle, PollerKind};

pub use super::profile::StageSummary;
use crate::flow::PartCost;
pub use progress::progress_line;
pub(super) use text::thousands;

/// The quantiles of every report: name in text, name in JSON, value from 0 to 1.
pub const QUANTILES: [(&str, &str, f64); 5] = [
    ("p50", "p50", 0.5),
    ("p90", "p90", 0.9),
    ("p99", "p99", 0.99),
    ("p99.9", "p99_9", 0.999),
    ("p99.99", "p99_99", 0.9999),
];

/// What an application did up to a moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The application's name.
    pub application: String,
    /// The machine that it was measured on, from [`host_label`].
    pub host: String,
    /// Seconds since the sources were opened.
    pub seconds: f64,
    /// Cores of the engine.
    pub cores: usize,
    /// What an idle core does.
    pub idle: Idle,
    /// Its sources, in the application's order.
    pub sources: Vec<SourceSummary>,
    /// Its sinks and replies, in the application's order.
    pub sinks: Vec<SinkSummary>,
    /// Its tables, in the application's order.
    pub tables: Vec<TableSummary>,
    /// Its ways from source to end.
    pub paths: Vec<PathSummary>,
    /// Replies whose connection was gone, or that answer a file or channel. Replies to generated
    /// events count as delivered.
    pub replies_without_connection: u64,
    /// Checkpoints; `None` where none are taken.
    pub checkpoints: Option<CheckpointSummary>,
    /// Events that were under way, or waited for a sink or connection, when draining was given up.
    /// What a file or a peer had been given, and did not keep, is not among them.
    pub undelivered: u64,
    /// Failures to deliver: one if draining was given up, and one for each file that was not
    /// written or read to its end.
    pub failures: u64,
}

/// What came through one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceSummary {
    /// Its name.
    pub name: String,
    /// Events decoded.
    pub events: u64,
    /// Bytes taken in; 0 for generators and channels.
    pub bytes: u64,
    /// Frames that could not be understood: dead letters.
    pub refused: u64,
    /// Events of a generator that were due before it was stopped, and not made: they are in no
    /// latency. 0 while it runs.
    pub overdue: u64,
    /// Messages of clients of the connector protocol that came again and were passed over.
    pub repeated: u64,
    /// Connections closed because they did not take their replies (--reply-stall-ms).
    pub stalled: u64,
}

/// What left through one sink or reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkSummary {
    /// Its name; `reply` for a reply, with a number (`reply 2`) where there are several.
    pub name: String,
    /// Events encoded for it.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How often it had no room and pushed back.
    pub waits: u64,
}

/// What one table holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableSummary {
    /// Its name.
    pub name: String,
    /// Rows over all partitions.
    pub rows: u64,
    /// Bytes that they and their index take.
    pub bytes: u64,
}

/// What checkpoints did.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct CheckpointSummary {
    /// The last epoch that is safe; 0 before the first.
    pub epoch: u64,
    /// Checkpoints committed by this process.
    pub committed: u64,
    /// Checkpoints given up.
    pub aborted: u64,
    /// Milliseconds from the beginning of the last one to its commit.
    pub last_ms: f64,
    /// Bytes that the last one added to what is stored.
    pub last_bytes: u64,
    /// Rows that it wrote.
    pub last_rows: u64,
    /// What it cost its cores.
    pub last_cost: PartCost,
    /// Bytes of all checkpoints that are kept.
    pub stored_bytes: u64,
    /// Slices of turns that checkpoints took, of all cores.
    pub slices: u64,
    /// Nanoseconds that 99 of 100 of them took at most, operating-system gaps included.
    pub slice_ns_p99: u64,
    /// The longest of them.
    pub slice_ns_max: u64,
    /// As `slice_ns_p99`, without holes: what took so long between two looks at the clock that it
    /// cannot have been ours.
    pub slice_own_ns_p99: u64,
    /// The longest without holes.
    pub slice_own_ns_max: u64,
    /// What those that were committed cost in all.
    pub cost: PartCost,
}

/// How one way from a source to an end went.
#[derive(Clone, Debug)]
pub struct PathSummary {
    /// The source's name.
    pub source: String,
    /// Name of the sink, reply or table at its end.
    pub end: String,
    /// Its name in reports: `orders → rejections`.
    pub label: String,
    /// Latency of each event in nanoseconds, from ingress (for generators: the intended time) to
    /// the effect.
    pub latency: Histogram<u64>,
    /// The same without the events during which a core had a gap.
    pub outside: Histogram<u64>,
}

/// Why an application stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// All its sources ended.
    Ended,
    /// The seconds given were over.
    Seconds,
    /// SIGINT, SIGTERM or SIGHUP.
    Signal,
    /// The embedding program asked for it.
    Asked,
    /// A file, standard output or channel takes nothing any more, and never will again.
    SinkFailed,
}

/// What an application did in all.
#[derive(Clone, Debug)]
pub struct Summary {
    /// What it did.
    pub snapshot: Snapshot,
    /// Why it stopped.
    pub stop: Stop,
}

/// What an application is doing: the answer of the admin port.
#[derive(Clone, Debug)]
pub struct Status {
    /// What it did so far.
    pub snapshot: Snapshot,
    /// Its cores.
    pub cores: Vec<CoreStatus>,
}

/// Who holds a core back.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// The sink, connection or lane that takes nothing, or the dead letters.
    pub by: String,
    /// For how long, in seconds.
    pub seconds: f64,
}

/// What one core did so far.
#[derive(Clone, Debug)]
pub struct CoreStatus {
    /// Its CPU.
    pub cpu: usize,
    /// How it asks the kernel for readiness.
    pub poller: PollerKind,
    /// It runs on a plain thread: the kernel refuses what an executor needs.
    pub plain_thread: bool,
    /// Turns in which something was done.
    pub turns: u64,
    /// Events of sources decoded here.
    pub events: u64,
    /// Turns in which something had no room.
    pub blocked_turns: u64,
    /// Nanoseconds of the turns in which something was done, operating-system gaps included.
    pub turn: Histogram<u64>,
    /// By level: bytes in the fullest lane from this core, some milliseconds ago. The last level
    /// is that of outputs.
    pub lane_bytes: Vec<u64>,
    /// Who holds it back now.
    pub held: Option<Held>,
    /// What its stages took.
    pub stages: Vec<StageSummary>,
    /// Holes of more than 25 µs while it was spinning with nothing to do.
    pub gaps: GapCounts,
    /// The last of them.
    pub recent_gaps: Vec<Gap>,
}

impl Snapshot {
    /// `count` per second of this snapshot; 0 when no time has passed.
    pub fn per_second(&self, count: u64) -> f64 {
        if self.seconds > 0.0 { count as f64 / self.seconds } else { 0.0 }
    }

    /// Events through all sources.
    pub fn events(&self) -> u64 {
        self.sources.iter().map(|source| source.events).sum()
    }
}

impl Summary {
    /// A table for people, lines of at most some hundred characters, ending in a line feed.
    pub fn text(&self) -> String {
        text::summary(self)
    }

    /// One JSON object on one line, without line feed. Times are whole nanoseconds, rates events
    /// per second; `latency_ns` is `null` for a path that no event took. `outside_gaps_ns` leaves
    /// out the events during which a core stood still while it had nothing to do:
    ///
    /// ```json
    /// {"application":"", "host":"", "seconds":0.0, "cores":0, "idle":"", "stop":"",
    ///  "events":0, "events_per_second":0.0,
    ///  "sources":[{"name":"", "events":0, "events_per_second":0.0, "bytes":0, "refused":0,
    ///              "overdue":0, "repeated":0, "stalled":0}],
    ///  "sinks":[{"name":"", "events":0, "events_per_second":0.0, "bytes":0, "waits":0}],
    ///  "tables":[{"name":"", "rows":0, "bytes":0}],
    ///  "paths":[{"path":"", "source":"", "end":"", "events":0, "events_per_second":0.0,
    ///            "latency_ns":{"p50":0, "p90":0, "p99":0, "p99_9":0, "p99_99":0, "max":0},
    ///            "outside_gaps_ns":{"p50":0, "p90":0, "p99":0, "p99_9":0, "p99_99":0, "max":0}}],
    ///  "replies_without_connection":0,
    ///  "checkpoints":{"epoch":17, "committed":9, "aborted":1, "last_ms":12.5,
    ///                 "last_bytes":5000, "last_rows":50, "last_cost":{},
    ///                 "stored_bytes":45000, "slices":80, "slice_ns_p99":20000,
    ///                 "slice_ns_max":21000, "slice_own_ns_p99":19000, "slice_own_ns_max":20500,
    ///                 "cost":{"slice_ns_max":21000, "slice_own_ns_max":20500,
    ///                         "events_delayed":70, "delay_ns_max":20000,
    ///                         "delay_own_ns_max":20000}},
    ///  "undelivered":0, "failures":0}
    /// ```
    pub fn json(&self) -> String {
        json::summary(self)
    }
}

impl Status {
    /// One JSON object: that of [`Summary::json`] without `stop`, and this, where `held` is `null`
    /// for a core that nobody holds back, and a recent gap has its start and end, in nanoseconds
    /// since the Unix epoch, and how often the scheduler took the CPU away:
    ///
    /// ```json
    /// {"per_core":[{"cpu":0, "turns":0, "events":0, "blocked_turns":0,
    ///   "turn_ns":{"p50":0, "p90":0, "p99":0, "p99_9":0, "p99_99":0, "max":0},
    ///   "lane_bytes":[0], "held":{"by":"", "seconds":0.0},
    ///   "stages":[{"stage":"", "seconds":0.0, "stalls":0}],
    ///   "gaps":{"count":0, "total_ns":0, "longest_ns":0, "switches":0,
    ///           "recent":[[0, 0, 0]]}}]}
    /// ```
    pub fn json(&self) -> String {
        json::status(self)
    }
}

/// The name and CPU of this machine: no latency means anything without them.
pub fn host_label() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let name = read("/proc/sys/kernel/hostname");
    label(name.trim(), &read("/proc/cpuinfo"))
}

fn label(name: &str, cpuinfo: &str) -> String {
    let name = if name.is_empty() { "unknown host" } else { name };
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    match model.and_then(|line| line.split_once(':')) {
        Some((_, model)) => format!("{name} ({})", model.trim()),
        None => name.to_string(),
    }
}

#[cfg(test)]
pub(super) fn example() -> Snapshot {
    let mut latency = Histogram::new(3).expect("three digits");
    for micros in 1..=1000u64 {
        latency.record(micros * 1000).expect("it resizes");
    }
    let source = |name: &str, events, bytes, (refused, overdue)| SourceSummary {
        name: name.to_string(),
        events,
        bytes,
        refused,
        overdue,
        repeated: 0,
        stalled: 0,
    };
    let path = |end: &str, label: &str, latency: Histogram<u64>| PathSummary {
        outside: latency.clone(),
        source: "orders".to_string(),
        end: end.to_string(),
        label: label.to_string(),
        latency,
    };
    let empty = Histogram::new(3).expect("three digits");
    Snapshot {
        application: "market-spread".to_string(),
        host: "lab (Some CPU)".to_string(),
        seconds: 10.0,
        cores: 2,
        idle: Idle::Adaptive,
        sources: vec![
            source("orders", 1_000_000, 57_000_000, (0, 5)),
            source("quotes", 500, 23_000, (3, 0)),
        ],
        sinks: vec![SinkSummary {
            name: "rejections".to_string(),
            events: 1000,
            bytes: 61_000,
            waits: 2,
        }],
        tables: vec![TableSummary { name: "markets".to_string(), rows: 350, bytes: 45_500 }],
        paths: vec![
            path("rejections", "orders → rejections", latency),
            path("markets", "quotes → markets (table)", empty),
        ],
        replies_without_connection: 0,
        checkpoints: Some(example_checkpoints()),
        undelivered: 4,
        failures: 1,
    }
}

#[cfg(test)]
fn example_checkpoints() -> CheckpointSummary {
    CheckpointSummary {
        epoch: 17,
        committed: 9,
        aborted: 1,
        last_ms: 12.5,
        stored_bytes: 45_000,
        slices: 80,
        slice_ns_p99: 20_000,
        slice_ns_max: 21_000,
        slice_own_ns_p99: 19_000,
        slice_own_ns_max: 20_500,
        last_bytes: 5_000,
        last_rows: 50,
        last_cost: PartCost {
            slice_ns_max: 14_000,
            events_delayed: 7,
            delay_ns_max: 15_000,
            ..PartCost::default()
        },
        cost: PartCost { events_delayed: 70, delay_ns_max: 20_000, ..PartCost::default() },
    }
}

#[cfg(test)]
pub(super) fn example_core() -> CoreStatus {
    let mut turn = Histogram::new(3).expect("three digits");
    turn.record(1500).expect("it resizes");
    let stage = StageSummary { name: "ingress of orders".to_string(), seconds: 1.5, stalls: 2 };
    CoreStatus {
        cpu: 7,
        poller: PollerKind::Epoll,
        plain_thread: true,
        turns: 10,
        events: 4,
        blocked_turns: 2,
        turn,
        lane_bytes: vec![0, 4096],
        held: Some(Held { by: "sink rejections".to_string(), seconds: 2.5 }),
        stages: vec![stage],
        gaps: GapCounts { count: 3, total_ns: 90_000, longest_ns: 40_000, switches: 1 },
        recent_gaps: vec![Gap { start: Nanos(5), end: Nanos(40_005), switches: 1 }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_as_far_as_known() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Fast CPU @ 3 GHz\n";
        assert_eq!(label("lab", cpuinfo), "lab (Fast CPU @ 3 GHz)");
        assert_eq!(label("", ""), "unknown host");
    }

    #[test]
    fn rates_are_defined_without_time() {
        let snapshot = Snapshot { seconds: 0.0, ..example() };
        assert_eq!(snapshot.per_second(5), 0.0);
        assert_eq!(example().per_second(example().events()), 100_050.0);
    }
}
