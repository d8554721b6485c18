//! Every benchmark through its real binary at toy size: it runs, its checksums hold, and its last
//! line is one JSON object with the fields that are promised.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Runs a benchmark and returns its JSON object, after it was seen to have `fields`.
#[track_caller]
fn check(bench: &str, fields: &[&str]) -> Value {
    let object = run(&[bench]);
    assert_eq!(object["bench"], bench);
    for field in fields {
        // A toy slice on a busy machine may see no event at all: then a figure is `null`.
        assert!(object.get(field).is_some(), "{field} is missing in {object}");
        assert!(object["goals"][field]["goal"].is_string(), "{field} has no goal");
    }
    object
}

/// Runs a command at toy size and returns its JSON object.
#[track_caller]
fn run(arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_potoroo-bench"));
    let output = command.args(arguments).args(["--toy", "--json"]).output().expect("it can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?} ended with {}: {said}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().expect("a line")).expect("JSON")
}

#[test]
fn hop() {
    let object = check("hop", &["ring_over_raw_p50", "ring_over_rtrb_throughput"]);
    assert!(object["host"]["cpu"].is_string());
}

#[test]
fn link() {
    let object = check("link", &["link_over_tcp_p50", "crossing_ns_64", "crossing_ns_256"]);
    for events in [1, 4, 16] {
        assert!(object.get(format!("crossing_ns_{events}")).is_some(), "{events} in {object}");
    }
}

#[test]
fn engine() {
    let latency = ["engine_over_rtrb_p50_100k", "engine_over_rtrb_p50_1m"];
    let timely = ["timely_over_engine_p50_100k", "timely_over_engine_p50_1m"];
    let by_hand = [
        "engine_over_by_hand_p50_100k",
        "engine_over_by_hand_p50_1m",
        "engine_over_by_hand_throughput",
        "engine_over_by_hand_in_place",
    ];
    let rest = [
        "engine_over_timely_throughput",
        "engine_over_itself",
        "engine_in_place_over_itself",
        "in_place_ns",
        "operator_ns",
        "operator_instructions",
    ];
    let state = ["growth_worst_us", "bytes_per_key"];
    let object = check("engine", &[&latency[..], &timely, &by_hand, &rest, &state].concat());
    for name in ["event_instructions", "operator_instructions"] {
        assert!(object[name].as_f64().is_some_and(|count| count > 0.0), "{name} in {object}");
    }
}

#[test]
fn wire() {
    let streams = ["events_over_recv_16k", "events_over_recv_64k", "events_per_second"];
    let trips = ["wire_over_echo_p50", "wire_over_echo_p99"];
    check("wire", &[&trips[..], &streams].concat());
}

#[test]
fn checkpoint() {
    let ratios = ["p50_ratio", "p99_ratio", "slice_max_over_budget", "throughput_ratio"];
    let object = check("checkpoint", &ratios);
    assert!(object["checkpoint_rows"].as_f64().is_some_and(|count| count > 0.0));
}

#[test]
fn connector() {
    let object = run(&["connector"]);
    for field in ["connector_over_tcp_throughput", "connector_delay_p50_ms", "tcp_delay_p50_ms"] {
        assert!(object.get(field).is_some(), "{field} in {object}");
    }
    for contender in ["connector", "tcp"] {
        let events = &object["details"][contender]["events"];
        assert!(events.as_u64().is_some_and(|events| events > 0), "{contender} in {object}");
    }
}

#[test]
fn cluster() {
    let goals = ["failover_ms_p50", "join_ms", "leave_ms", "idle_cpu_percent"];
    let object = check("cluster", &[&goals[..], &["resident_over_bill"]].concat());
    for field in [&goals[..], &["failover_ms_max", "join_worst_event_ms"]].concat() {
        assert!(object[field].as_f64().is_some_and(|value| value > 0.0), "{field} in {object}");
    }
    assert_eq!(object["failover_kills"], 2.0, "{object}");
}

#[test]
fn storage() {
    let object = run(&["storage"]);
    for field in ["part_mb_per_second", "verify_mb_per_second", "part_over_file"] {
        assert!(object[field].as_f64().is_some_and(|rate| rate > 0.0), "{field} in {object}");
    }
}

#[test]
fn limits() {
    let object = run(&["limits"]);
    for field in ["core_to_core_rtt_p50_ns", "tcp_rtt_p50_ns", "udp_rtt_p50_ns", "syscall_ns"] {
        assert!(object[field].as_f64().is_some_and(|ns| ns > 0.0), "{field} in {object}");
    }
}

#[test]
fn scale() {
    let two_cores = ["0ns", "100ns", "300ns"].map(|work| format!("two_cores_over_one_{work}"));
    let goals = [&two_cores[0], &two_cores[1], &two_cores[2], "adaptive_wakeups"];
    let object = check("scale", &[&goals[..], &["adaptive_over_spin_throughput"]].concat());
    for field in ["keys", "value_bytes", "partitions", "cores", "levels", "connections"] {
        assert!(object.get(format!("{field}_exponent")).is_some(), "{field} in {object}");
    }
    assert!(object.get("two_cores_over_one_30ns").is_some(), "{object}");
    assert!(object["idle_turn_cores_64_ns"].is_f64(), "{object}");
    assert!(object["checksums"].as_object().is_some_and(|sums| sums.len() > 15), "{object}");
}

#[test]
fn time() {
    let ratios = ["tumbling_over_update", "sliding_60_over_tumbling", "tumbling_over_map"];
    let joins = ["as_of_over_update", "join_ns"];
    let closing = ["close_1m_slice_own_max_us", "close_1m_ms", "event_p99_while_closing"];
    let timers = ["timers_1m_bytes", "timers_1m_fire_ns", "timers_1m_set_over_update"];
    let object =
        check("time", &[&ratios[..], &joins, &closing, &timers, &["fire_delay_us"]].concat());
    for field in ["update_ns", "tumbling_ns", "sliding_60_ns", "map_ns", "as_of_ns"] {
        assert!(object[field].as_f64().is_some_and(|ns| ns > 0.0), "{field} in {object}");
    }
}

#[test]
fn the_process_whose_instructions_are_counted_ends_with_its_parent() {
    let program = env!("CARGO_BIN_EXE_potoroo-bench");
    let mut shell = Command::new("sh");
    // It reads and does not wait: it would take the stop of a traced child for its end.
    shell.args(["-c", &format!("{program} step 1 0 $$ & echo $!; read line")]);
    shell.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut shell = shell.spawn().expect("there is a shell");
    let mut lines = BufReader::new(shell.stdout.take().expect("a pipe")).lines();
    let child = lines.next().expect("a line").expect("text");
    // Its state stands behind its name; `None` when it has gone.
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    };
    while state().expect("the child runs until it stops") != 't' {
        thread::yield_now();
    }
    shell.kill().expect("it runs");
    shell.wait().expect("it has ended");
    while state().is_some_and(|state| state != 'Z') {
        thread::yield_now();
    }
}

#[test]
fn soak() {
    let object = run(&["soak", "--rate", "2000", "--skew", "zipf:1"]);
    assert_eq!(object["configuration"]["load"]["skew"], "zipf:1");
    for field in ["p50_last_over_first", "p999_last_over_first", "resident_bytes_growth"] {
        assert!(object.get(field).is_some(), "{field} in {object}");
    }
    assert!(object["descriptors"].as_f64().is_some_and(|count| count > 8.0), "{object}");
    assert_eq!(object["unanswered"], 0.0);
}

#[test]
fn load() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let echo = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the load");
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            stream.write_all(&bytes[..count]).expect("the load reads");
        }
    });
    let rate = ["--rate", "2000", "--arrivals", "poisson", "--skew", "zipf:1", "--warm-up", "0"];
    let object =
        run(&[&["load", &address, "--protocol", "line:{key} {sequence}"], &rate[..]].concat());
    echo.join().expect("the echo ends with its connection");
    let events = &object["details"]["events"];
    assert!(events["sent"].as_u64().is_some_and(|sent| sent > 100), "{object}");
    assert_eq!(events["sent"], events["answered"]);
    assert_eq!(object["unanswered"], 0.0);
    let sent = events["sent"].as_u64().expect("a number");
    assert_eq!(object["checksums"]["load"], format!("{:016x}", sent * (sent - 1) / 2));
}

#[test]
fn a_cpu_that_cannot_be_had_is_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_potoroo-bench"));
    command.args(["load", "127.0.0.1:1", "--toy", "--cpu", "4096"]);
    let output = command.output().expect("it can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said.contains("CPU 4096 is not among those that may be used"), "{said}");
}

#[test]
fn a_soak_that_is_cut_short_tells_what_it_measured() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_potoroo-bench"));
    command.args(["soak", "--toy", "--json", "--rate", "2000", "--seconds", "30"]);
    let mut soak = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut said = BufReader::new(soak.stderr.take().expect("a pipe")).lines();
    let part = said.find(|line| line.as_ref().is_ok_and(|line| line.contains(" answers, ")));
    assert!(part.is_some(), "it ended before the first part was printed");
    let id = soak.id().try_into().ok().and_then(Pid::from_raw).expect("a process");
    kill_process(id, Signal::INT).expect("it runs");
    // Whatever else it says must not fill the pipe.
    let rest: Vec<_> = said.map_while(Result::ok).collect();
    let output = soak.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{rest:?}");
    let object: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(object["interrupted"], true);
    let events = &object["details"]["events"];
    assert!(events["sent"].as_u64().is_some_and(|sent| sent > 0), "{object}");
    assert_eq!(events["sent"], events["answered"], "{object}");
}
