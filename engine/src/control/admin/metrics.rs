//! A status in Prometheus text, built for each request: nothing is registered while events run.
//!
//! Every name begins with `potoroo_`; counters end in `_total`, times are in seconds.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::control::report::{
    CheckpointSummary, CoreStatus, PathSummary, QUANTILES, Snapshot, StageSummary, Status,
};

/// The type of what [`print`] prints.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;

pub(in crate::control) fn print(status: &Status) -> String {
    let mut registry = Registry::with_prefix("potoroo");
    add_whole(&mut registry, &status.snapshot);
    add_sources(&mut registry, &status.snapshot);
    add_sinks(&mut registry, &status.snapshot);
    add_tables(&mut registry, &status.snapshot);
    add_paths(&mut registry, &status.snapshot.paths);
    add_cores(&mut registry, &status.cores);
    if let Some(checkpoints) = &status.snapshot.checkpoints {
        add_checkpoints(&mut registry, &status.snapshot.application, checkpoints);
    }
    let mut printed = String::new();
    text::encode(&mut printed, &registry).expect("writing into a string cannot fail");
    printed
}

fn add_whole(registry: &mut Registry, snapshot: &Snapshot) {
    let label = || vec![("application", snapshot.application.clone())];
    let uptime = [(label(), snapshot.seconds)];
    gauges(registry, "uptime_seconds", "Time since the sources were opened", uptime);
    let replies = [(label(), snapshot.replies_without_connection)];
    let help = "Replies whose connection was gone";
    counters(registry, "replies_without_connection", help, replies);
}

fn add_sources(registry: &mut Registry, snapshot: &Snapshot) {
    let sources = || snapshot.sources.iter().map(|s| (vec![("source", s.name.clone())], s));
    let events = sources().map(|(labels, source)| (labels, source.events));
    counters(registry, "source_events", "Events decoded", events);
    let bytes = sources().map(|(labels, source)| (labels, source.bytes));
    counters(registry, "source_bytes", "Bytes taken in", bytes);
    let refused = sources().map(|(labels, source)| (labels, source.refused));
    counters(registry, "source_refused", "Frames that could not be understood", refused);
    let overdue = sources().map(|(labels, source)| (labels, source.overdue));
    let help = "Events due before the stop and not generated";
    counters(registry, "source_overdue", help, overdue);
    let repeated = sources().map(|(labels, source)| (labels, source.repeated));
    counters(registry, "source_repeated", "Messages passed over, come again", repeated);
    let stalled = sources().map(|(labels, source)| (labels, source.stalled));
    let help = "Connections closed because they did not take their replies";
    counters(registry, "source_stalled", help, stalled);
}

fn add_sinks(registry: &mut Registry, snapshot: &Snapshot) {
    let sinks = || snapshot.sinks.iter().map(|s| (vec![("sink", s.name.clone())], s));
    let events = sinks().map(|(labels, sink)| (labels, sink.events));
    counters(registry, "sink_events", "Events encoded", events);
    let bytes = sinks().map(|(labels, sink)| (labels, sink.bytes));
    counters(registry, "sink_bytes", "Bytes encoded", bytes);
    let waits = sinks().map(|(labels, sink)| (labels, sink.waits));
    counters(registry, "sink_waits", "Times that a sink had no room and pushed back", waits);
}

fn add_tables(registry: &mut Registry, snapshot: &Snapshot) {
    let tables = || snapshot.tables.iter().map(|t| (vec![("table", t.name.clone())], t));
    let rows = tables().map(|(labels, table)| (labels, table.rows as f64));
    gauges(registry, "table_rows", "Rows held", rows);
    let bytes = tables().map(|(labels, table)| (labels, table.bytes as f64));
    gauges(registry, "table_bytes", TABLE_BYTES_HELP, bytes);
}

/// Exact but for what rows own on the heap.
const TABLE_BYTES_HELP: &str = "Memory of the rows and their index; what rows own elsewhere, such \
    as text and lists, as it took when it was last stored in checkpoints: an estimate, usually \
    low, and 0 without --state";

/// Quantiles since the start, not of the last scrape: a worst event stays visible.
fn add_paths(registry: &mut Registry, paths: &[PathSummary]) {
    let label = |path: &PathSummary| vec![("path", path.label.clone())];
    let events = paths.iter().map(|path| (label(path), path.latency.len()));
    counters(registry, "path_events", "Events that reached the end", events);
    let seconds = |ns: u64| ns as f64 / 1e9;
    let taken = || paths.iter().filter(|path| !path.latency.is_empty());
    let quantiles = taken().flat_map(|path| {
        QUANTILES.map(|(_, _, quantile)| {
            let labels = vec![("path", path.label.clone()), ("quantile", quantile.to_string())];
            (labels, seconds(path.latency.value_at_quantile(quantile)))
        })
    });
    let help = "Time from ingress to the effect since the start";
    gauges(registry, "path_latency_seconds", help, quantiles);
    let max = taken().map(|path| (label(path), seconds(path.latency.max())));
    let help = "Longest time from ingress to the effect since the start";
    gauges(registry, "path_latency_max_seconds", help, max);
}

/// Labelled by position and CPU: several cores may share a CPU.
fn add_cores(registry: &mut Registry, cores: &[CoreStatus]) {
    let label = |(core, status): (usize, &CoreStatus)| {
        vec![("core", core.to_string()), ("cpu", status.cpu.to_string())]
    };
    let cores = || cores.iter().enumerate().map(|core| (label(core), core.1));
    let turns = cores().map(|(labels, core)| (labels, core.turns));
    counters(registry, "core_turns", "Turns in which something was done", turns);
    let events = cores().map(|(labels, core)| (labels, core.events));
    counters(registry, "core_events", "Events of sources decoded here", events);
    let blocked = cores().map(|(labels, core)| (labels, core.blocked_turns));
    counters(registry, "core_blocked_turns", "Turns in which something had no room", blocked);
    let with = |labels: &Labels, name, value: String| {
        let more = std::iter::once((name, value));
        labels.iter().cloned().chain(more).collect::<Labels>()
    };
    let seconds = |ns: u64| ns as f64 / 1e9;
    let turned = || cores().filter(|(_, core)| !core.turn.is_empty());
    let quantiles = turned().flat_map(|(labels, core)| {
        QUANTILES.map(|(_, _, quantile)| {
            let labels = with(&labels, "quantile", quantile.to_string());
            (labels, seconds(core.turn.value_at_quantile(quantile)))
        })
    });
    gauges(registry, "core_turn_seconds", "Length of turns since the start", quantiles);
    let max = turned().map(|(labels, core)| (labels, seconds(core.turn.max())));
    gauges(registry, "core_turn_max_seconds", "Longest turn since the start", max);
    let lanes = cores().flat_map(|(labels, core)| {
        let lane = |(level, bytes): (usize, &u64)| {
            (with(&labels, "level", level.to_string()), *bytes as f64)
        };
        core.lane_bytes.iter().enumerate().map(lane).collect::<Vec<_>>()
    });
    gauges(registry, "lane_bytes", "Bytes in the fullest lane from the core", lanes);
    let held = cores().filter_map(|(labels, core)| {
        let held = core.held.as_ref()?;
        Some((with(&labels, "by", held.by.clone()), held.seconds))
    });
    gauges(registry, "core_held_seconds", "Who holds the core back now, for how long", held);
    let stages = || {
        cores().flat_map(|(labels, core)| {
            let stage = |stage: &StageSummary| {
                (with(&labels, "stage", stage.name.clone()), stage.seconds, stage.stalls)
            };
            core.stages.iter().map(stage).collect::<Vec<_>>()
        })
    };
    let spent = stages().map(|(labels, seconds, _)| (labels, seconds));
    gauges(registry, "stage_seconds", "Time in the stage since the start, estimated", spent);
    let stalls = stages().map(|(labels, _, stalls)| (labels, stalls));
    counters(registry, "stage_stalls", "Batches of the stage that took over 20 ms", stalls);
}

fn add_checkpoints(registry: &mut Registry, application: &str, checkpoints: &CheckpointSummary) {
    let label = || vec![("application", application.to_owned())];
    let CheckpointSummary { epoch, committed, aborted, last_ms, stored_bytes, slices, .. } =
        *checkpoints;
    let CheckpointSummary { last_bytes, last_rows, last_cost, cost, .. } = *checkpoints;
    let (seconds, count) = (|ns: u64| ns as f64 / 1e9, |count: u64| count as f64);
    for (name, help, value) in [
        ("checkpoints_committed", "Checkpoints committed", committed),
        ("checkpoints_aborted", "Checkpoints aborted", aborted),
        ("rollbacks", "Rollbacks to an older checkpoint", checkpoints.rollbacks),
        ("checkpoint_slices", "Slices of turns that checkpoints took", slices),
        ("checkpoint_events_delayed", "Events that may have waited for one", cost.events_delayed),
    ] {
        counters(registry, name, help, [(label(), value)]);
    }
    for (name, help, value) in [
        ("generation", "Number of the present generation", count(checkpoints.generation)),
        ("checkpoint_epoch", "The last epoch that was committed", count(epoch.0.into())),
        ("checkpoint_seconds", "Duration of the last checkpoint", last_ms / 1e3),
        ("checkpoint_stored_bytes", "Bytes of all retained checkpoints", count(stored_bytes)),
        ("checkpoint_bytes", "Bytes of the last checkpoint", count(last_bytes)),
        ("checkpoint_rows", "Rows of the last checkpoint", count(last_rows)),
        ("checkpoint_delayed", "Events that it delayed", count(last_cost.events_delayed)),
        ("checkpoint_delay_seconds", "Its worst delay", seconds(last_cost.delay_ns_max)),
        ("checkpoint_delay_max_seconds", "Worst delay of all", seconds(cost.delay_ns_max)),
    ] {
        gauges(registry, name, help, [(label(), value)]);
    }
    let own = "without what the operating system took";
    for (name, help, ns) in [
        ("p99", "99 of 100 slices of turns".to_owned(), checkpoints.slice_ns_p99),
        ("max", "Longest slice of a turn".to_owned(), checkpoints.slice_ns_max),
        ("own_p99", format!("99 of 100 slices {own}"), checkpoints.slice_own_ns_p99),
        ("own_max", format!("Longest slice {own}"), checkpoints.slice_own_ns_max),
    ] {
        let name = format!("checkpoint_slice_{name}_seconds");
        gauges(registry, &name, &help, [(label(), seconds(ns))]);
    }
}

fn counters(
    registry: &mut Registry,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels, u64)>,
) {
    let family = Family::<Labels, Counter>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).inc_by(value);
    }
    registry.register(name, help, family);
}

fn gauges(
    registry: &mut Registry,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels, f64)>,
) {
    let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(value);
    }
    registry.register(name, help, family);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::report::{example, example_core};

    #[test]
    fn every_number_of_a_status_is_printed() {
        let text = print(&Status { snapshot: example(), cores: vec![example_core(); 2] });
        for line in [
            "# TYPE potoroo_source_events counter",
            "potoroo_uptime_seconds{application=\"market-spread\"} 10.0",
            "potoroo_source_refused_total{source=\"quotes\"} 3",
            "potoroo_source_overdue_total{source=\"orders\"} 5",
            "potoroo_sink_waits_total{sink=\"rejections\"} 2",
            "potoroo_table_rows{table=\"markets\"} 350.0",
            "potoroo_path_events_total{path=\"orders → rejections\"} 1000",
            "potoroo_core_blocked_turns_total{core=\"1\",cpu=\"7\"} 2",
            "potoroo_core_turn_max_seconds{core=\"0\",cpu=\"7\"} 0.0000015",
            "potoroo_lane_bytes{core=\"0\",cpu=\"7\",level=\"1\"} 4096.0",
            "potoroo_core_held_seconds{core=\"1\",cpu=\"7\",by=\"sink rejections\"} 2.5",
            "potoroo_stage_seconds{core=\"1\",cpu=\"7\",stage=\"ingress of orders\"} 1.5",
            "potoroo_stage_stalls_total{core=\"1\",cpu=\"7\",stage=\"ingress of orders\"} 2",
            "potoroo_checkpoints_aborted_total{application=\"market-spread\"} 1",
            "potoroo_checkpoint_seconds{application=\"market-spread\"} 0.0125",
            "# EOF",
        ] {
            assert!(text.lines().any(|printed| printed == line), "`{line}` is not in:\n{text}");
        }
        let p999 = "potoroo_path_latency_seconds{path=\"orders → rejections\",quantile=\"0.999\"}";
        assert!(text.contains(p999), "{text}");
        let empty = "potoroo_path_latency_seconds{path=\"quotes";
        assert!(!text.contains(empty), "a path without events has no quantiles:\n{text}");
    }
}
