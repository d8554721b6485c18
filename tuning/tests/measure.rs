//! What measures: jitter and topology, through the real binary, also ended by Ctrl-C.

mod recorded;

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use potoroo_tuning::Root;
use potoroo_tuning::host::CheckedHost;
use recorded::{Recorded, printed};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Nothing that works takes so long, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

fn command(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_potoroo-tuning"));
    command.args(arguments.split_whitespace()).stdin(Stdio::null());
    command
}

fn run(arguments: &str) -> Output {
    command(arguments).output().expect("the binary runs")
}

fn json(output: &Output) -> Value {
    let text = printed(output);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn first_cpu() -> usize {
    CheckedHost::read(&Root::host(), None).allowed.first().expect("this test runs on a CPU")
}

#[test]
fn jitter_reports_its_gaps() {
    let cpu = first_cpu();
    let report = json(&run(&format!("jitter --seconds 1 --cores {cpu} --json")));
    let core = &report["cores"][0];
    assert_eq!(core["cpu"], cpu);
    assert!(core["watched_ns"].as_u64() > Some(0));
    assert_eq!(core["gaps_at_least_us"]["1"], core["gaps"]);
    let text = printed(&run(&format!("jitter --seconds 1 --cores {cpu}")));
    assert!(text.contains("guessed causes"), "{text}");
    assert!(text.ends_with("exit 0\n"), "{text}");
}

#[test]
fn ctrl_c_ends_jitter_with_what_was_measured() {
    let mut command = command(&format!("jitter --seconds 86400 --cores {} --json", first_cpu()));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    wait_until_it_catches_signals(&child);
    let pid = Pid::from_raw(child.id() as i32).expect("a child has a number");
    kill_process(pid, Signal::INT).expect("the child runs");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    assert_eq!(json(&output)["cores"].as_array().map(Vec::len), Some(1));
}

/// The kernel reports which signals a process handles.
fn wait_until_it_catches_signals(child: &Child) {
    let deadline = Instant::now() + LIMIT;
    let path = format!("/proc/{}/status", child.id());
    let catches = || {
        let status = std::fs::read_to_string(&path).expect("the child runs");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap_or_default().trim(), 16).unwrap_or(0);
        [Signal::INT, Signal::TERM].iter().all(|signal| caught >> (signal.as_raw() - 1) & 1 == 1)
    };
    while !catches() {
        assert!(Instant::now() < deadline, "it does not catch signals");
        std::thread::yield_now();
    }
}

#[test]
fn cpus_that_cannot_be_had_are_named() {
    for arguments in ["jitter --seconds 1 --cores 8000", "topology --cores 0,8000"] {
        let text = printed(&run(arguments));
        assert!(text.contains("CPU 8000 cannot be had"), "{text}");
        assert!(text.ends_with("exit 3\n"), "{text}");
    }
    for arguments in ["jitter", "jitter --seconds 0", "jitter --seconds 1 --cores ,"] {
        assert_eq!(run(arguments).status.code(), Some(3), "{arguments}");
    }
    let empty = Command::new(env!("CARGO_BIN_EXE_potoroo-tuning"))
        .args(["jitter", "--seconds", "1", "--cores", ""])
        .output()
        .expect("the binary runs");
    assert!(printed(&empty).contains("names no CPU"), "{}", printed(&empty));
}

#[test]
fn topology_measures_this_host() {
    let map = json(&run("topology --json"));
    let allowed = CheckedHost::read(&Root::host(), None).allowed.len();
    if allowed > 1 {
        let rows = map["round_trips"]["nanos"].as_array().expect("it was measured");
        assert_eq!(rows.len(), allowed);
        assert!(rows[0][1].as_f64() > Some(0.0), "{map}");
    }
    assert!(json(&run("topology --json --no-measure"))["round_trips"].is_null());
}

#[test]
fn topology_of_recorded_hosts_is_printed() {
    for host in ["bare-metal-default", "bare-metal-tuned", "laptop", "container"] {
        let recorded = Recorded::unpack(host, "topology");
        insta::assert_snapshot!(format!("topology-{host}"), printed(&recorded.run("topology")));
    }
    let nothing = printed(&Recorded::empty("topology-nothing").run("topology"));
    assert!(nothing.contains("no CPU can be spared"), "{nothing}");
}
