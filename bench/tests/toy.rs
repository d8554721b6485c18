//! Every benchmark through its real binary at toy size: it runs, its checksums hold, and its last
//! line is one JSON object with the fields that are promised.

use std::process::Command;

use serde_json::Value;

/// Runs a benchmark and returns its JSON object, after it was seen to have `fields`.
#[track_caller]
fn check(bench: &str, fields: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_potoroo-bench"));
    let output = command.args([bench, "--toy", "--json"]).output().expect("it can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{bench} ended with {}: {said}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let object: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    assert_eq!(object["bench"], bench);
    for field in fields {
        // A toy slice on a busy machine may see no event at all: then a figure is `null`.
        assert!(object.get(field).is_some(), "{field} is missing in {object}");
        assert!(object["goals"][field]["goal"].is_string(), "{field} has no goal");
    }
    object
}

#[test]
fn hop() {
    let object = check("hop", &["ring_over_raw_p50", "ring_over_rtrb_throughput"]);
    assert!(object["host"]["cpu"].is_string());
}

#[test]
fn engine() {
    let latency = ["engine_over_rtrb_p50_100k", "engine_over_rtrb_p50_1m"];
    let timely = ["timely_over_engine_p50_100k", "timely_over_engine_p50_1m"];
    let rest = ["engine_over_timely_throughput", "in_place_ns", "operator_ns"];
    let state = ["growth_worst_us", "bytes_per_key"];
    check("engine", &[&latency[..], &timely, &rest, &state].concat());
}

#[test]
fn wire() {
    let streams = ["events_over_recv_16k", "events_over_recv_64k", "events_per_second"];
    check("wire", &[&["wire_over_echo_p50"][..], &streams].concat());
}
