//! Real-time policies that the application inherits: cores that are busy without end on all CPUs
//! must not keep the threads around them from running.

mod support;

use std::process::Command;

use potoroo::control::config::cpus_allowed;
use rustix::process::Signal;
use support::{App, example};

/// A source that is never idle, on all CPUs, under a policy and priority of `chrt`. `None` if that
/// is not allowed here.
fn start(policy: &str, priority: &str, arguments: &str) -> Option<App> {
    let under = |program: &str| {
        let mut chrt = Command::new("chrt");
        chrt.args([policy, priority, program]);
        chrt
    };
    if !under("true").output().is_ok_and(|ended| ended.status.success()) {
        eprintln!("skipped: real-time priorities are not allowed here");
        return None;
    }
    let application = example("sequence_windows");
    let mut command = under(application.to_str().expect("the path is text"));
    command.args(["--no-progress", "--source", "numbers=gen:numbers?rate=max"]);
    command.args(["--sink", "windows=null:"]).args(arguments.split(' '));
    if !arguments.contains("--cores") {
        command.args(["--cores", &every_cpu()]);
    }
    Some(App::spawn(command))
}

/// By default one CPU has no core.
fn every_cpu() -> String {
    cpus_allowed().iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[test]
fn cores_on_all_cpus_run_below_the_others() {
    for (policy, idle) in [("--fifo", "spin"), ("--rr", "adaptive")] {
        let arguments = format!("--idle {idle} --seconds 1 --report json");
        let Some(app) = start(policy, "2", &arguments) else { return };
        let ended = app.finish();
        ended.report();
        assert!(ended.log.contains("cores run at real-time priority 1"), "{}", ended.log);
    }
}

#[test]
fn with_a_cpu_for_the_others_cores_keep_their_priority() {
    let allowed = cpus_allowed();
    let [_, others @ ..] = &allowed[..] else { return };
    let Some(first) = others.first() else { return };
    let arguments = format!("--cores {first} --idle spin --seconds 1 --report json");
    let Some(app) = start("--fifo", "1", &arguments) else { return };
    let ended = app.finish();
    ended.report();
    assert!(!ended.log.contains("real-time priority"), "{}", ended.log);
}

#[test]
fn a_signal_ends_it() {
    let Some(mut app) = start("--fifo", "50", "--idle spin") else { return };
    app.wait_for("cores run at real-time priority 49");
    app.signal(Signal::TERM);
    assert_eq!(app.finish().code, Some(0));
}

#[test]
fn the_lowest_priority_is_refused_where_it_would_run_for_ever() {
    for idle in ["spin", "adaptive", "park"] {
        let Some(app) = start("--fifo", "1", &format!("--idle {idle} --seconds 1")) else { return };
        app.finish().refused(1, &["SCHED_FIFO", "priority 1", "chrt -f 2", "--cores"]);
    }
    let Some(app) = start("--rr", "1", "--idle spin --seconds 1 --report json") else { return };
    app.finish().report();
}

#[test]
fn cores_that_share_a_cpu_take_turns_at_work() {
    let Some(app) = start("--fifo", "3", "--cores 0,0,0 --seconds 1 --report json") else { return };
    app.finish().report();
}

#[test]
fn a_limit_of_real_time_is_named() {
    let Some(app) = start("--fifo", "3", "--seconds 1") else { return };
    drop(app);
    let mut command = Command::new("prlimit");
    command.args(["--rttime=500000", "chrt", "--fifo", "3"]);
    command.arg(example("sequence_windows")).args(["--seconds", "1"]);
    App::spawn(command).finish().refused(1, &["RLIMIT_RTTIME", "500000", "prlimit"]);
}
