//! Reports for programs: the schema stands at [`Summary::json`].

use hdrhistogram::Histogram;
use potoroo_runtime::GapCounts;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    CheckpointSummary, CoreStatus, QUANTILES, Snapshot, StageSummary, Status, Stop, Summary,
};
use crate::control::config::idle_name;

#[derive(Serialize)]
struct Document<'a> {
    application: &'a str,
    host: &'a str,
    seconds: f64,
    cores: usize,
    idle: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<&'static str>,
    events: u64,
    events_per_second: f64,
    sources: Vec<Source<'a>>,
    sinks: Vec<Sink<'a>>,
    tables: Vec<Table<'a>>,
    paths: Vec<Path<'a>>,
    replies_without_connection: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoints: Option<&'a CheckpointSummary>,
    undelivered: u64,
    failures: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_core: Option<Vec<Core<'a>>>,
}

#[derive(Serialize)]
struct Source<'a> {
    name: &'a str,
    events: u64,
    events_per_second: f64,
    bytes: u64,
    refused: u64,
    overdue: u64,
    repeated: u64,
    stalled: u64,
}

#[derive(Serialize)]
struct Sink<'a> {
    name: &'a str,
    events: u64,
    events_per_second: f64,
    bytes: u64,
    waits: u64,
}

#[derive(Serialize)]
struct Table<'a> {
    name: &'a str,
    rows: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Path<'a> {
    path: &'a str,
    source: &'a str,
    end: &'a str,
    events: u64,
    events_per_second: f64,
    latency_ns: Value,
    outside_gaps_ns: Value,
}

#[derive(Serialize)]
struct Core<'a> {
    cpu: usize,
    poller: String,
    plain_thread: bool,
    turns: u64,
    events: u64,
    blocked_turns: u64,
    turn_ns: Value,
    lane_bytes: &'a [u64],
    held: Option<HeldBy<'a>>,
    stages: Vec<Stage<'a>>,
    gaps: Gaps,
}

#[derive(Serialize)]
struct Gaps {
    count: u64,
    total_ns: u64,
    longest_ns: u64,
    switches: u64,
    recent: Vec<[u64; 3]>,
}

#[derive(Serialize)]
struct HeldBy<'a> {
    by: &'a str,
    seconds: f64,
}

#[derive(Serialize)]
struct Stage<'a> {
    stage: &'a str,
    seconds: f64,
    stalls: u64,
}

pub(super) fn summary(summary: &Summary) -> String {
    print(Document { stop: Some(stop_name(summary.stop)), ..document(&summary.snapshot) })
}

pub(super) fn status(status: &Status) -> String {
    let cores = status.cores.iter().map(core).collect();
    print(Document { per_core: Some(cores), ..document(&status.snapshot) })
}

fn print(document: Document<'_>) -> String {
    serde_json::to_string(&document).expect("strings and numbers always serialize")
}

fn document(snapshot: &Snapshot) -> Document<'_> {
    Document {
        application: &snapshot.application,
        host: &snapshot.host,
        seconds: snapshot.seconds,
        cores: snapshot.cores,
        idle: idle_name(snapshot.idle),
        stop: None,
        events: snapshot.events(),
        events_per_second: snapshot.per_second(snapshot.events()),
        sources: sources(snapshot),
        sinks: sinks(snapshot),
        tables: tables(snapshot),
        paths: paths(snapshot),
        replies_without_connection: snapshot.replies_without_connection,
        checkpoints: snapshot.checkpoints.as_ref(),
        undelivered: snapshot.undelivered,
        failures: snapshot.failures,
        per_core: None,
    }
}

fn sources(snapshot: &Snapshot) -> Vec<Source<'_>> {
    let source = snapshot.sources.iter().map(|source| Source {
        name: &source.name,
        events: source.events,
        events_per_second: snapshot.per_second(source.events),
        bytes: source.bytes,
        refused: source.refused,
        overdue: source.overdue,
        repeated: source.repeated,
        stalled: source.stalled,
    });
    source.collect()
}

fn sinks(snapshot: &Snapshot) -> Vec<Sink<'_>> {
    let sink = snapshot.sinks.iter().map(|sink| Sink {
        name: &sink.name,
        events: sink.events,
        events_per_second: snapshot.per_second(sink.events),
        bytes: sink.bytes,
        waits: sink.waits,
    });
    sink.collect()
}

fn tables(snapshot: &Snapshot) -> Vec<Table<'_>> {
    let tables = snapshot.tables.iter();
    tables.map(|table| Table { name: &table.name, rows: table.rows, bytes: table.bytes }).collect()
}

fn paths(snapshot: &Snapshot) -> Vec<Path<'_>> {
    let path = snapshot.paths.iter().map(|path| Path {
        path: &path.label,
        source: &path.source,
        end: &path.end,
        events: path.latency.len(),
        events_per_second: snapshot.per_second(path.latency.len()),
        latency_ns: latency(&path.latency),
        outside_gaps_ns: latency(&path.outside),
    });
    path.collect()
}

fn latency(histogram: &Histogram<u64>) -> Value {
    if histogram.is_empty() {
        return Value::Null;
    }
    let quantile = |(_, name, quantile): (&str, &str, f64)| {
        (name.to_string(), Value::from(histogram.value_at_quantile(quantile)))
    };
    let mut map: Map<String, Value> = QUANTILES.into_iter().map(quantile).collect();
    map.insert("max".to_string(), Value::from(histogram.max()));
    Value::Object(map)
}

fn core(status: &CoreStatus) -> Core<'_> {
    Core {
        cpu: status.cpu,
        poller: status.poller.to_string(),
        plain_thread: status.plain_thread,
        turns: status.turns,
        events: status.events,
        blocked_turns: status.blocked_turns,
        turn_ns: latency(&status.turn),
        lane_bytes: &status.lane_bytes,
        held: status.held.as_ref().map(|held| HeldBy { by: &held.by, seconds: held.seconds }),
        stages: status.stages.iter().map(stage).collect(),
        gaps: gaps(status),
    }
}

fn stage(stage: &StageSummary) -> Stage<'_> {
    Stage { stage: &stage.name, seconds: stage.seconds, stalls: stage.stalls }
}

fn gaps(status: &CoreStatus) -> Gaps {
    let GapCounts { count, total_ns, longest_ns, switches } = status.gaps;
    let recent = status.recent_gaps.iter().map(|gap| [gap.start.0, gap.end.0, gap.switches]);
    Gaps { count, total_ns, longest_ns, switches, recent: recent.collect() }
}

fn stop_name(stop: Stop) -> &'static str {
    match stop {
        Stop::Ended => "ended",
        Stop::Seconds => "seconds",
        Stop::Signal => "signal",
        Stop::Asked => "asked",
        Stop::SinkFailed => "sink_failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::report::{example, example_core};

    fn parse(text: &str) -> Value {
        assert!(!text.contains('\n'), "one line");
        serde_json::from_str(text).expect("valid JSON")
    }

    #[test]
    fn a_summary_has_the_documented_shape() {
        let value = parse(&Summary { snapshot: example(), stop: Stop::Ended }.json());
        let mut keys: Vec<&str> =
            value.as_object().expect("an object").keys().map(String::as_str).collect();
        keys.sort_unstable();
        let mut documented = vec![
            "application",
            "checkpoints",
            "cores",
            "events",
            "events_per_second",
            "host",
            "idle",
            "paths",
            "replies_without_connection",
            "seconds",
            "sinks",
            "sources",
            "stop",
            "tables",
            "undelivered",
            "failures",
        ];
        documented.sort_unstable();
        assert_eq!(keys, documented);
        assert_eq!(value["stop"], "ended");
        assert_eq!(value["events_per_second"], 100_050.0);
        assert_eq!(value["sources"][1]["refused"], 3);
        assert_eq!(value["sources"][0]["overdue"], 5);
        assert_eq!(value["sinks"][0]["waits"], 2);
        assert_eq!(value["tables"][0]["rows"], 350);
        assert_eq!(value["checkpoints"]["slice_ns_max"], 21_000);
        assert_eq!(value["checkpoints"]["slice_own_ns_max"], 20_500);
        assert_eq!(value["checkpoints"]["last_cost"]["events_delayed"], 7);
    }

    #[test]
    fn latencies_are_whole_nanoseconds_or_null() {
        let value = parse(&Summary { snapshot: example(), stop: Stop::Signal }.json());
        let path = &value["paths"][0];
        assert_eq!(
            (&path["path"], &path["end"]),
            (&"orders → rejections".into(), &"rejections".into())
        );
        let p50 = path["latency_ns"]["p50"].as_u64().expect("an integer");
        assert!((499_000..=501_000).contains(&p50), "{p50}");
        let max = path["latency_ns"]["max"].as_u64().expect("an integer");
        assert!((1_000_000..=1_001_000).contains(&max), "{max}");
        assert!(path["latency_ns"]["p99_99"].is_u64());
        assert!(value["paths"][1]["latency_ns"].is_null());
        assert!(value["paths"][1]["outside_gaps_ns"].is_null());
    }

    #[test]
    fn a_status_tells_its_cores() {
        let free = CoreStatus { held: None, ..example_core() };
        let cores = vec![example_core(), free];
        let value = parse(&Status { snapshot: example(), cores }.json());
        assert!(value.get("stop").is_none());
        let core = &value["per_core"][0];
        assert_eq!((&core["cpu"], &core["blocked_turns"]), (&7.into(), &2.into()));
        assert_eq!((&core["poller"], &core["plain_thread"]), (&"epoll".into(), &true.into()));
        assert_eq!(core["turn_ns"]["max"], 1500);
        assert_eq!(core["lane_bytes"], Value::from(vec![0, 4096]));
        assert_eq!(core["held"]["by"], "sink rejections");
        assert_eq!(core["stages"][0]["stage"], "ingress of orders");
        assert_eq!(core["stages"][0]["stalls"], 2);
        assert_eq!(core["gaps"]["longest_ns"], 40_000);
        assert_eq!(core["gaps"]["recent"], serde_json::json!([[5, 40_005, 1]]));
        assert!(value["per_core"][1]["held"].is_null());
    }
}
