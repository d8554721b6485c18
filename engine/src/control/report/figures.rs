//! What an application did, as data: the figures of every report.
//!
//! Fields are those of the JSON reports, in their order, with the same names unless `rename` gives
//! another.

use hdrhistogram::Histogram;
use potoroo_runtime::{Gap, GapCounts, Idle, PollerKind};
use serde::{Serialize, Serializer};

use crate::checkpoint::Epoch;
use crate::cluster::view::ClusterView;
use crate::control::config::idle_name;
use crate::flow::PartCost;
use crate::turn::LinkTotals;

/// The quantiles of every report: name in text, name in JSON, value from 0 to 1.
pub const QUANTILES: [(&str, &str, f64); 5] = [
    ("p50", "p50", 0.5),
    ("p90", "p90", 0.9),
    ("p99", "p99", 0.99),
    ("p99.9", "p99_9", 0.999),
    ("p99.99", "p99_99", 0.9999),
];

/// What an application did up to a moment.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// The application's name.
    pub application: String,
    /// The machine that it was measured on, from [`host_label`](super::host_label).
    pub host: String,
    /// Seconds since the sources were opened.
    pub seconds: f64,
    /// Cores of the engine.
    pub cores: usize,
    /// What an idle core does.
    #[serde(serialize_with = "as_name")]
    pub idle: Idle,
    /// Events through all sources.
    pub events: u64,
    /// The same for each second.
    pub events_per_second: f64,
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
    /// Event time; `None` for an application that does not go by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<TimeSummary>,
    /// Checkpoints; `None` where none are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoints: Option<CheckpointSummary>,
    /// Events that were under way, or waited for a sink or connection, when the drain ended early.
    /// What a file or a peer had been given, and did not keep, is not among them.
    pub undelivered: u64,
    /// Failures to deliver: one if the drain ended early, and one for each file that was not
    /// written or read to its end.
    pub failures: u64,
}

/// What came through one source.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SourceSummary {
    /// Its name.
    pub name: String,
    /// Events decoded.
    pub events: u64,
    /// The same for each second.
    pub events_per_second: f64,
    /// Bytes taken in; 0 for generators and channels.
    pub bytes: u64,
    /// Frames that could not be understood: dead letters.
    pub refused: u64,
    /// Events of a generator that were due before it was stopped, and not generated: they are in
    /// no latency. 0 while it runs.
    pub overdue: u64,
    /// Messages of clients of the connector protocol that came again and were passed over.
    pub repeated: u64,
    /// Connections closed because they did not take their replies (--reply-stall-ms).
    pub stalled: u64,
}

/// What left through one sink or reply.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SinkSummary {
    /// Its name; `reply` for a reply, with a number (`reply 2`) where there are several.
    pub name: String,
    /// Events encoded for it.
    pub events: u64,
    /// The same for each second.
    pub events_per_second: f64,
    /// Their bytes.
    pub bytes: u64,
    /// How often it had no room and pushed back.
    pub waits: u64,
}

/// What one table holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TableSummary {
    /// Its name.
    pub name: String,
    /// Rows over all partitions.
    pub rows: u64,
    /// Bytes that they and their index take.
    pub bytes: u64,
}

/// How far event time has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TimeSummary {
    /// By `key_by` after which something goes by event time.
    pub watermarks: Vec<WatermarkSummary>,
    /// By windows, timed table or other operator that goes by event time.
    pub late: Vec<LateSummary>,
}

/// How far the time of one `key_by` has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WatermarkSummary {
    /// Its name: `trades → key_by`.
    pub exchange: String,
    /// The windows and timed tables in which something becomes due by it.
    pub tables: Vec<String>,
    /// No event on time comes at or before this moment, in nanoseconds since 1970. `None` as long
    /// as some source has brought no event, and after the end of the input.
    pub watermark_ns: Option<i64>,
    /// The clock of the machine minus that, in seconds.
    pub lag_seconds: Option<f64>,
    /// The input has ended.
    pub ended: bool,
    /// The source, and its connection if it has some, that has come least far in this process.
    pub held_by: Option<String>,
}

/// Events that came too late for one operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LateSummary {
    /// Its name.
    pub table: String,
    /// Events, whatever became of them.
    pub events: u64,
    /// Nanoseconds by which the latest was too late.
    pub by_ns_max: u64,
}

/// What checkpoints did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CheckpointSummary {
    /// The last epoch that was committed, or that was rolled back to; 0 before the first.
    pub epoch: Epoch,
    /// Checkpoints committed by this process.
    pub committed: u64,
    /// Checkpoints aborted.
    pub aborted: u64,
    /// Number of the present generation: each start and each rollback begins one.
    pub generation: u64,
    /// Rollbacks of this process to an older checkpoint while it ran.
    pub rollbacks: u64,
    /// Milliseconds from the beginning of the last one to its commit.
    pub last_ms: f64,
    /// Bytes that the last one added to what is stored.
    pub last_bytes: u64,
    /// Rows that it wrote.
    pub last_rows: u64,
    /// What it cost its cores.
    pub last_cost: PartCost,
    /// Bytes of all checkpoints that are retained.
    pub stored_bytes: u64,
    /// Slices of turns that checkpoints took, of all cores.
    pub slices: u64,
    /// Nanoseconds that 99 of 100 of them took at most, operating-system gaps included.
    pub slice_ns_p99: u64,
    /// The longest of them.
    pub slice_ns_max: u64,
    /// As `slice_ns_p99`, without gaps: what took so long between two looks at the clock that it
    /// cannot have been ours.
    pub slice_own_ns_p99: u64,
    /// The longest without gaps.
    pub slice_own_ns_max: u64,
    /// What those that were committed cost in all.
    pub cost: PartCost,
}

/// How one way from a source to an end went.
#[derive(Clone, Debug, Serialize)]
pub struct PathSummary {
    /// Its name in reports: `orders → rejections`.
    #[serde(rename = "path")]
    pub label: String,
    /// The source's name.
    pub source: String,
    /// Name of the sink, reply or table at its end.
    pub end: String,
    /// Events that reached the end.
    pub events: u64,
    /// The same for each second.
    pub events_per_second: f64,
    /// Latency of each event in nanoseconds, from ingress (for generators: the intended time) to
    /// the effect.
    #[serde(rename = "latency_ns", serialize_with = "quantiles")]
    pub latency: Histogram<u64>,
    /// The same without the events during which a core had a gap.
    #[serde(rename = "outside_gaps_ns", serialize_with = "quantiles")]
    pub outside: Histogram<u64>,
}

/// Why an application stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// All its sources ended.
    Ended,
    /// The seconds given were over.
    Seconds,
    /// SIGINT, SIGTERM or SIGHUP.
    Signal,
    /// The embedding program asked for it.
    Asked,
    /// The application has ended on all nodes.
    Cluster,
    /// An operator had all nodes of the cluster stop.
    Operator,
    /// The other nodes go on without this one.
    Left,
    /// A file, standard output or channel takes nothing any more, and never will again.
    SinkFailed,
}

/// What an application did in all.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// What it did.
    #[serde(flatten)]
    pub snapshot: Snapshot,
    /// Why it stopped.
    pub stop: StopReason,
}

/// What an application is doing: the answer of the admin port.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// What it did so far.
    #[serde(flatten)]
    pub snapshot: Snapshot,
    /// Its cores.
    #[serde(rename = "per_core")]
    pub cores: Vec<CoreStatus>,
    /// All nodes of its cluster, as far as they are known.
    #[serde(skip)]
    pub cluster: Option<ClusterView>,
    /// By name of another node: what went over links with it.
    #[serde(skip)]
    pub links: Vec<(String, LinkTotals)>,
}

/// Who holds a core back.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Held {
    /// The sink, connection or lane that takes nothing, or the dead letters.
    pub by: String,
    /// For how long, in seconds.
    pub seconds: f64,
}

/// What one core did so far.
#[derive(Clone, Debug, Serialize)]
pub struct CoreStatus {
    /// Its CPU.
    pub cpu: usize,
    /// How it asks the kernel for readiness.
    #[serde(serialize_with = "as_text")]
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
    #[serde(rename = "turn_ns", serialize_with = "quantiles")]
    pub turn: Histogram<u64>,
    /// By level: bytes in the fullest lane from this core, some milliseconds ago. The last level
    /// is that of outputs.
    pub lane_bytes: Vec<u64>,
    /// Who holds it back now.
    pub held: Option<Held>,
    /// What its stages took.
    pub stages: Vec<StageSummary>,
    /// Gaps of more than 25 µs while it was spinning with nothing to do.
    pub gaps: GapSummary,
}

/// What one stage took of a core.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StageSummary {
    /// Its name.
    #[serde(rename = "stage")]
    pub name: String,
    /// Seconds that the core spent in it, estimated.
    pub seconds: f64,
    /// Batches that took more than 20 ms, operating-system gaps included.
    pub stalls: u64,
}

/// The gaps of one core.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GapSummary {
    /// Number of gaps.
    pub count: u64,
    /// Nanoseconds of all of them together.
    pub total_ns: u64,
    /// Nanoseconds of the longest one.
    pub longest_ns: u64,
    /// How often the scheduler took the CPU away in them.
    pub switches: u64,
    /// The last of them.
    #[serde(serialize_with = "starts_ends_switches")]
    pub recent: Vec<Gap>,
}

impl Snapshot {
    /// Adds what tables of other nodes hold: rows and bytes, by table.
    pub(in crate::control) fn add_tables<'a>(
        &mut self,
        others: impl Iterator<Item = &'a [(u64, u64)]>,
    ) {
        for tables in others {
            for (table, (rows, bytes)) in self.tables.iter_mut().zip(tables) {
                table.rows += rows;
                table.bytes += bytes;
            }
        }
    }
}

impl PathSummary {
    /// The path `label` from `source` to `end`, within `seconds`.
    pub(in crate::control) fn new(
        (label, source, end): (&str, &str, &str),
        latency: Histogram<u64>,
        outside: Histogram<u64>,
        seconds: f64,
    ) -> Self {
        Self {
            label: label.to_string(),
            source: source.to_string(),
            end: end.to_string(),
            events: latency.len(),
            events_per_second: per_second(latency.len(), seconds),
            latency,
            outside,
        }
    }
}

impl GapSummary {
    /// What was counted, and the last of what was.
    pub(in crate::control) fn new(counts: GapCounts, recent: Vec<Gap>) -> Self {
        let GapCounts { count, total_ns, longest_ns, switches } = counts;
        Self { count, total_ns, longest_ns, switches, recent }
    }
}

/// `count` for each of `seconds`; 0 when no time has passed.
pub(in crate::control) fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

/// The quantiles of every report, by name, and the maximum; `null` without events.
fn quantiles<S: Serializer>(histogram: &Histogram<u64>, to: S) -> Result<S::Ok, S::Error> {
    if histogram.is_empty() {
        return to.serialize_none();
    }
    let quantile = |(_, name, quantile)| (name, histogram.value_at_quantile(quantile));
    to.collect_map(QUANTILES.map(quantile).into_iter().chain([("max", histogram.max())]))
}

fn as_name<S: Serializer>(idle: &Idle, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(idle_name(*idle))
}

fn as_text<S: Serializer>(poller: &PollerKind, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(poller)
}

fn starts_ends_switches<S: Serializer>(gaps: &[Gap], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(gaps.iter().map(|gap| [gap.start.0, gap.end.0, gap.switches]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_defined_without_time() {
        assert_eq!(per_second(5, 0.0), 0.0);
        assert_eq!(per_second(1_000_500, 10.0), 100_050.0);
    }
}
