//! A status in Prometheus text, built for each request: nothing is registered while events run.
//!
//! Every name begins with `potoroo_`; counters end in `_total`, times are in seconds.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::cluster::view::{ClusterView, NodeState, NodeView};
use crate::control::report::{
    CheckpointSummary, CoreStatus, PathSummary, QUANTILES, Snapshot, StageSummary, Status,
    TimeSummary, WatermarkSummary,
};
use crate::turn::LinkTotals;

/// The type of what [`print`] prints.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;

pub(in crate::control) fn print(status: &Status) -> String {
    let mut registry = Registry::with_prefix("potoroo");
    add_whole(&mut registry, &status.snapshot);
    add_sources(&mut registry, &status.snapshot);
    add_sinks(&mut registry, &status.snapshot);
    add_tables(&mut registry, &status.snapshot);
    status.snapshot.time.iter().for_each(|time| add_time(&mut registry, time));
    add_paths(&mut registry, &status.snapshot.paths);
    add_cores(&mut registry, &status.cores);
    if let Some(checkpoints) = &status.snapshot.checkpoints {
        add_checkpoints(&mut registry, &status.snapshot.application, checkpoints);
    }
    if let Some(cluster) = &status.cluster {
        add_cluster(&mut registry, cluster);
    }
    add_links(&mut registry, &status.links);
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

fn add_time(registry: &mut Registry, time: &TimeSummary) {
    let of = |of: &WatermarkSummary| vec![("exchange", of.exchange.clone())];
    let seconds = |ns: i64| ns as f64 / 1e9;
    let each = time.watermarks.iter();
    let watermarks = each.clone().filter_map(|it| Some((of(it), seconds(it.watermark_ns?))));
    let help = "No event on time comes at or before this moment, since 1970";
    gauges(registry, "watermark_seconds", help, watermarks);
    let lag = each.clone().filter_map(|it| Some((of(it), it.lag_seconds?)));
    let help = "The clock of the machine minus the watermark";
    gauges(registry, "watermark_lag_seconds", help, lag);
    let held = each.filter_map(|it| {
        let by = ("by", it.held_by.clone()?);
        Some((of(it).into_iter().chain([by]).collect(), 1.0))
    });
    let help = "1 for the source or connection that has come least far";
    gauges(registry, "watermark_held", help, held);
    let late = || time.late.iter().map(|late| (vec![("table", late.table.clone())], late));
    let events = late().map(|(labels, late)| (labels, late.events));
    counters(registry, "late_events", "Events that came too late for the operator", events);
    let by = late().map(|(labels, late)| (labels, late.by_ns_max as f64 / 1e9));
    let help = "By how much the latest of them was too late";
    gauges(registry, "late_max_seconds", help, by);
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

fn add_links(registry: &mut Registry, links: &[(String, LinkTotals)]) {
    let links = || links.iter().map(|(peer, totals)| (vec![("peer", peer.clone())], totals));
    let bytes = links().flat_map(|(labels, totals)| {
        [("sent", totals.bytes_sent), ("received", totals.bytes_received)].map(|(way, bytes)| {
            let labels = labels.iter().cloned().chain([("way", way.to_owned())]);
            (labels.collect::<Labels>(), bytes)
        })
    });
    counters(registry, "link_bytes", "Bytes over links with the node", bytes);
    let frames = links().map(|(labels, totals)| (labels, totals.frames_received));
    counters(registry, "link_frames", "Events that came over links from the node", frames);
    let waits = links().map(|(labels, totals)| (labels, totals.credit_waits));
    let help = "Times that events began to wait because the node had no room";
    counters(registry, "link_credit_waits", help, waits);
}

/// The same from each node, but for their ages.
fn add_cluster(registry: &mut Registry, cluster: &ClusterView) {
    let label = || vec![("application", cluster.application.clone())];
    let whole = [
        ("cluster_nodes", "Nodes that live", cluster.nodes.len() as f64),
        ("cluster_generation", "Generation of the lead", cluster.generation as f64),
        ("cluster_age_seconds", "Since the lead said the following", cluster.age_seconds),
        ("cluster_map_version", "Changes of the shares of nodes", cluster.map as f64),
    ];
    for (name, help, value) in whole {
        gauges(registry, name, help, [(label(), value)]);
    }
    let nodes = || cluster.nodes.iter().map(|node| (vec![("node", node.node.clone())], node));
    let value = |name: &str, help: &str, value: &dyn Fn(&NodeView) -> f64, registry: &mut _| {
        gauges(registry, name, help, nodes().map(|(labels, node)| (labels, value(node))));
    };
    value("cluster_node_cores", "Cores", &|node| node.cores as f64, registry);
    value("cluster_node_weight", "Share against others", &|node| node.weight.in_cores(), registry);
    value("cluster_node_partitions", "Partitions owned", &|node| node.partitions as f64, registry);
    value("cluster_node_rows", "Rows held", &|node| node.figures.rows as f64, registry);
    value("cluster_node_bytes", "Bytes of the rows", &|node| node.figures.bytes as f64, registry);
    let help = "Part of the last second in which cores had something to do";
    value("cluster_node_busy_ratio", help, &|node| node.figures.busy, registry);
    let help = "Seconds since the last report of the node";
    value(
        "cluster_node_silent_seconds",
        help,
        &|node| node.silent_seconds.unwrap_or(0.0),
        registry,
    );
    let events = nodes().map(|(labels, node)| (labels, node.figures.events));
    let help = "Events from sources and from other cores";
    counters(registry, "cluster_node_events", help, events);
    let leads =
        nodes().map(|(labels, node)| (labels, f64::from(u8::from(node.state == NodeState::Lead))));
    gauges(registry, "cluster_node_leads", "1 for the node that leads", leads);
    let held = nodes().filter_map(|(mut labels, node)| {
        let held = node.figures.held.as_ref()?;
        labels.push(("by", held.by.clone()));
        Some((labels, held.seconds))
    });
    gauges(registry, "cluster_node_held_seconds", "What holds a core of it back", held);
    let change = cluster.change.iter();
    let phases = change.clone().flat_map(|change| &change.phases);
    let phases = phases.map(|(phase, ms)| (vec![("phase", phase.clone())], *ms as f64 / 1e3));
    let help = "Phases of the last change of nodes, in which nothing was processed";
    gauges(registry, "cluster_change_phase_seconds", help, phases);
    let whole = change.map(|change| (label(), change.ms as f64 / 1e3));
    gauges(registry, "cluster_change_seconds", "The last change of nodes", whole);
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
    use crate::control::report::{example, example_cluster, example_core};

    #[test]
    fn every_number_of_a_status_is_printed() {
        let text = print(&Status {
            snapshot: example(),
            cores: vec![example_core(); 2],
            cluster: Some(example_cluster()),
            links: vec![(
                "b".to_string(),
                LinkTotals {
                    bytes_sent: 1,
                    bytes_received: 2,
                    frames_received: 3,
                    credit_waits: 4,
                },
            )],
        });
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
            "potoroo_cluster_nodes{application=\"market-spread\"} 1.0",
            "potoroo_cluster_age_seconds{application=\"market-spread\"} 1.5",
            "potoroo_cluster_map_version{application=\"market-spread\"} 3.0",
            "potoroo_cluster_node_events_total{node=\"a\"} 7",
            "potoroo_cluster_node_weight{node=\"a\"} 1.5",
            "potoroo_cluster_node_leads{node=\"a\"} 1.0",
            "potoroo_cluster_node_held_seconds{node=\"a\",by=\"sink out\"} 2.5",
            "potoroo_link_bytes_total{peer=\"b\",way=\"sent\"} 1",
            "potoroo_link_bytes_total{peer=\"b\",way=\"received\"} 2",
            "potoroo_link_frames_total{peer=\"b\"} 3",
            "potoroo_link_credit_waits_total{peer=\"b\"} 4",
            "potoroo_cluster_change_phase_seconds{phase=\"load\"} 0.25",
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
