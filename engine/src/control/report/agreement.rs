//! The summary as text, as JSON, the status and the metrics show the same figures.
//!
//! Each form prints one snapshot; this reads the forms again and compares them with each other.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde_json::Value;

use super::example::{example, example_core};
use super::figures::{PathSummary, SinkSummary, Snapshot, Status, StopReason, Summary, per_second};
use super::text::{micros, thousands};
use crate::control::admin::metrics;

/// Two replies beside a sink, as an application has them that answers in two ways.
fn with_replies() -> Snapshot {
    let mut snapshot = example();
    let seconds = snapshot.seconds;
    for (reply, events) in [("reply", 7), ("reply 2", 11)] {
        snapshot.sinks.push(SinkSummary {
            name: reply.to_string(),
            events,
            events_per_second: per_second(events, seconds),
            bytes: 8 * events,
            waits: 0,
        });
        let mut latency = Histogram::new(3).expect("three digits");
        (1..=events).for_each(|micros| latency.record(micros * 1000).expect("it resizes"));
        let names = (&*format!("orders → {reply}"), "orders", reply);
        snapshot.paths.push(PathSummary::new(names, latency.clone(), latency, seconds));
    }
    snapshot
}

struct Forms {
    text: String,
    json: Value,
    status: Value,
    metrics: BTreeMap<String, f64>,
}

fn forms() -> Forms {
    let snapshot = with_replies();
    let summary = Summary { snapshot: snapshot.clone(), stop: StopReason::Ended };
    let status =
        Status { snapshot, cores: vec![example_core(); 2], cluster: None, links: Vec::new() };
    let parse = |text: String| serde_json::from_str(&text).expect("valid JSON");
    let printed = metrics::print(&status);
    let mut metrics = BTreeMap::new();
    for line in printed.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').expect("a series and its value");
        let before = metrics.insert(series.to_owned(), value.parse().expect("a number"));
        assert_eq!(before, None, "two values for {series}");
    }
    Forms {
        text: summary.text(),
        json: parse(summary.json()),
        status: parse(status.json()),
        metrics,
    }
}

impl Forms {
    /// A metric without its prefix: `source_events_total{source="orders"}`.
    fn metric(&self, series: &str) -> f64 {
        let series = format!("potoroo_{series}");
        *self.metrics.get(&series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.metrics))
    }

    /// The cells of the only row of the text that begins with `name`.
    fn row(&self, header: &str, name: &str) -> Vec<String> {
        let mut lines = self.text.lines().skip_while(|line| !line.starts_with(header));
        let header = lines.next().expect("the table is there");
        let end = header.len();
        let rows = lines.take_while(|line| !line.is_empty());
        let mut rows = rows.filter(|line| line.trim_start_matches(name).starts_with("  "));
        let row = rows.find(|line| line.starts_with(name)).expect(name);
        assert!(end > 0 && rows.all(|line| !line.starts_with(name)), "one row for {name}");
        row[name.len()..].split_whitespace().map(str::to_owned).collect()
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no whole number"))
}

#[test]
fn status_and_summary_have_the_same_figures() {
    let forms = forms();
    for (key, value) in forms.json.as_object().expect("an object") {
        assert!(key == "stop" || forms.status[key] == *value, "{key} differs");
    }
}

#[test]
fn counts_agree() {
    let forms = forms();
    // A field, and its column in the text.
    let sources = [("events", 0), ("bytes", 2), ("refused", 3)];
    let sinks = [("events", 0), ("bytes", 2), ("waits", 3)];
    let tables = [("rows", 0), ("bytes", 1)];
    for (label, fields) in [("source", &sources[..]), ("sink", &sinks), ("table", &tables)] {
        let (list, header) = (&*format!("{label}s"), &*format!("{label} "));
        let entries = forms.json[list].as_array().expect("a list");
        for entry in entries {
            let name = entry["name"].as_str().expect("a name");
            let row = forms.row(header, name);
            for (field, column) in fields {
                let value = number(&entry[field]);
                assert_eq!(row[*column], thousands(value), "{field} of {name} in the text");
                let total = if label == "table" { "" } else { "_total" };
                let series = format!("{label}_{field}{total}{{{label}=\"{name}\"}}");
                assert_eq!(forms.metric(&series), value as f64, "{series}");
            }
        }
        let series = forms.metrics.keys();
        let first = format!("potoroo_{label}_{}", fields[0].0);
        let shown = series.filter(|series| series.starts_with(&first)).count();
        assert_eq!(shown, entries.len(), "a series for each of the {list}");
    }
    let failures = [("replies_without_connection", 0), ("undelivered", 4), ("failures", 1)];
    for (field, value) in failures {
        assert_eq!(number(&forms.json[field]), value, "{field}");
    }
}

#[test]
fn latencies_agree_and_no_quantile_is_above_the_maximum() {
    let forms = forms();
    for path in forms.json["paths"].as_array().expect("a list") {
        let label = path["path"].as_str().expect("a label");
        let row = forms.row("path ", label);
        assert_eq!(row[0], thousands(number(&path["events"])), "{label}");
        let latency = &path["latency_ns"];
        if latency.is_null() {
            assert!(row[2..].iter().all(|cell| cell == "-"), "{label}: {row:?}");
            continue;
        }
        let mut before = 0;
        let quantiles = [
            ("p50", "0.5"),
            ("p90", "0.9"),
            ("p99", "0.99"),
            ("p99_9", "0.999"),
            ("p99_99", "0.9999"),
            ("max", ""),
        ];
        for ((name, quantile), cell) in quantiles.into_iter().zip(&row[2..]) {
            let ns = number(&latency[name]);
            assert!(ns >= before, "{name} of {label} is below the quantile before it");
            before = ns;
            assert_eq!(*cell, micros(ns), "{name} of {label} in the text");
            let series = match name {
                "max" => format!("path_latency_max_seconds{{path=\"{label}\"}}"),
                _ => format!("path_latency_seconds{{path=\"{label}\",quantile=\"{quantile}\"}}"),
            };
            assert_eq!(forms.metric(&series), ns as f64 / 1e9, "{series}");
        }
    }
}

#[test]
fn times_agree() {
    let forms = forms();
    let (of, late) = (&forms.json["time"]["watermarks"][0], &forms.json["time"]["late"][0]);
    let exchange = of["exchange"].as_str().expect("a name");
    let watermark = of["watermark_ns"].as_f64().expect("a number") / 1e9;
    let label = format!("{{exchange=\"{exchange}\"}}");
    assert_eq!(forms.metric(&format!("watermark_seconds{label}")), watermark);
    let lag = of["lag_seconds"].as_f64().expect("a number");
    assert_eq!(forms.metric(&format!("watermark_lag_seconds{label}")), lag);
    let held_by = of["held_by"].as_str().expect("a name");
    let series = format!("watermark_held{{exchange=\"{exchange}\",by=\"{held_by}\"}}");
    assert_eq!(forms.metric(&series), 1.0);
    assert!(forms.text.contains(held_by), "{}", forms.text);
    let (events, by) = (number(&late["events"]), number(&late["by_ns_max"]));
    assert_eq!(forms.metric("late_events_total{table=\"markets\"}"), events as f64);
    assert_eq!(forms.metric("late_max_seconds{table=\"markets\"}"), by as f64 / 1e9);
    let line = format!("{events} events were LATE for markets, by {} ms", by as f64 / 1e6);
    assert!(forms.text.contains(&line), "{}", forms.text);
}

#[test]
fn checkpoints_agree() {
    let forms = forms();
    let checkpoints = &forms.json["checkpoints"];
    let label = "{application=\"market-spread\"}";
    let field = |name: &str| checkpoints[name].as_f64().expect("a number");
    for (name, series, scale) in [
        ("committed", "checkpoints_committed_total", 1.0),
        ("aborted", "checkpoints_aborted_total", 1.0),
        ("rollbacks", "rollbacks_total", 1.0),
        ("generation", "generation", 1.0),
        ("slices", "checkpoint_slices_total", 1.0),
        ("epoch", "checkpoint_epoch", 1.0),
        ("last_ms", "checkpoint_seconds", 1e3),
        ("stored_bytes", "checkpoint_stored_bytes", 1.0),
        ("last_bytes", "checkpoint_bytes", 1.0),
        ("last_rows", "checkpoint_rows", 1.0),
        ("slice_ns_p99", "checkpoint_slice_p99_seconds", 1e9),
        ("slice_ns_max", "checkpoint_slice_max_seconds", 1e9),
        ("slice_own_ns_p99", "checkpoint_slice_own_p99_seconds", 1e9),
        ("slice_own_ns_max", "checkpoint_slice_own_max_seconds", 1e9),
    ] {
        assert_eq!(forms.metric(&format!("{series}{label}")), field(name) / scale, "{series}");
    }
    for name in ["slice_ns_p99", "slice_ns_max", "slice_own_ns_p99", "slice_own_ns_max"] {
        let shown = micros(number(&checkpoints[name]));
        assert!(forms.text.contains(&shown), "{name}: {shown} is not in\n{}", forms.text);
    }
}
