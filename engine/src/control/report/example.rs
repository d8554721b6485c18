//! An example of every figure, for tests of what is made of them.

use hdrhistogram::Histogram;
use potoroo_runtime::{Gap, Idle, Nanos, PollerKind};

use super::figures::{
    CheckpointSummary, CoreStatus, GapSummary, Held, LateSummary, PathSummary, SinkSummary,
    Snapshot, SourceSummary, StageSummary, TableSummary, TimeSummary, WatermarkSummary, per_second,
};
use crate::checkpoint::Epoch;
use crate::cluster::record::RecordedChange;
use crate::cluster::view::{ClusterView, NodeFigures, NodeHeld, NodeState, NodeView};
use crate::flow::PartCost;

pub(in crate::control) fn example() -> Snapshot {
    let latency_up_to = |micros_max: u64| {
        let mut latency = Histogram::<u64>::new(3).expect("three digits");
        (1..=micros_max).for_each(|micros| latency.record(micros * 1000).expect("it resizes"));
        latency
    };
    let source = |name: &str, events, bytes, (refused, overdue)| SourceSummary {
        name: name.to_string(),
        events,
        events_per_second: per_second(events, 10.0),
        bytes,
        refused,
        overdue,
        repeated: 0,
        stalled: 0,
    };
    let path = |end: &str, label: &str, (latency, outside)| {
        PathSummary::new((label, "orders", end), latency, outside, 10.0)
    };
    let latencies = (latency_up_to(1000), latency_up_to(500));
    let empty = (latency_up_to(0), latency_up_to(0));
    Snapshot {
        application: "market-spread".to_string(),
        host: "lab (Some CPU)".to_string(),
        seconds: 10.0,
        cores: 2,
        idle: Idle::Adaptive,
        events: 1_000_500,
        events_per_second: 100_050.0,
        sources: vec![
            source("orders", 1_000_000, 57_000_000, (0, 5)),
            source("quotes", 500, 23_000, (3, 0)),
        ],
        sinks: vec![SinkSummary {
            name: "rejections".to_string(),
            events: 1000,
            events_per_second: 100.0,
            bytes: 61_000,
            waits: 2,
        }],
        tables: vec![TableSummary { name: "markets".to_string(), rows: 350, bytes: 45_500 }],
        paths: vec![
            path("rejections", "orders → rejections", latencies),
            path("markets", "quotes → markets (table)", empty),
        ],
        replies_without_connection: 0,
        time: Some(example_time()),
        checkpoints: Some(example_checkpoints()),
        undelivered: 4,
        failures: 1,
    }
}

fn example_time() -> TimeSummary {
    let watermark = WatermarkSummary {
        exchange: "orders → key_by".to_string(),
        tables: vec!["markets".to_string()],
        watermark_ns: Some(1_700_000_000_000_000_000),
        lag_seconds: Some(2.5),
        ended: false,
        held_by: Some("source `orders`".to_string()),
    };
    let late = LateSummary { table: "markets".to_string(), events: 6, by_ns_max: 3_200_000 };
    TimeSummary { watermarks: vec![watermark], late: vec![late] }
}

fn example_checkpoints() -> CheckpointSummary {
    CheckpointSummary {
        epoch: Epoch(17),
        committed: 9,
        aborted: 1,
        generation: 6,
        rollbacks: 2,
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

pub(in crate::control) fn example_core() -> CoreStatus {
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
        gaps: GapSummary {
            count: 3,
            total_ns: 90_000,
            longest_ns: 40_000,
            switches: 1,
            recent: vec![Gap { start: Nanos(5), end: Nanos(40_005), switches: 1 }],
        },
    }
}

/// A cluster of one node.
pub(in crate::control) fn example_cluster() -> ClusterView {
    let held = Some(NodeHeld { by: "sink out".to_string(), seconds: 2.5 });
    let figures =
        NodeFigures { events: 7, events_per_second: 3.5, rows: 5, bytes: 600, busy: 0.25, held };
    let node = NodeView {
        node: "a".to_string(),
        state: NodeState::Lead,
        cores: 2,
        weight: "1.5".parse().expect("it is one"),
        partitions: 1024,
        silent_seconds: Some(0.5),
        figures,
    };
    let change = RecordedChange {
        unix_seconds: 1,
        generation: 7,
        cause: "start".to_string(),
        ms: 400,
        phases: vec![("stop".to_string(), 150), ("load".to_string(), 250)],
        nodes: vec!["a".to_string()],
    };
    ClusterView {
        application: "market-spread".to_string(),
        generation: 7,
        map: 3,
        epoch: 9,
        age_seconds: 1.5,
        nodes: vec![node],
        change: Some(change),
    }
}
