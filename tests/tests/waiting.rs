//! A core whose outputs are not taken sleeps until that changes: turns are counted against the
//! times that its thread went to sleep, so no clock is asked.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use support::{App, LIMIT, Scratch, accept, connect, free_port, receiver, wait_for_status};

/// Blocked turns and voluntary switches of the core `core` so far.
fn look(app: &App, admin: SocketAddr, core: usize) -> (u64, u64) {
    let status = wait_for_status(admin, |_| true);
    let turns = status["per_core"][core]["blocked_turns"].as_u64().expect("a count");
    (turns, voluntary_switches(app, core))
}

/// Threads of cores are called `potoroo-0`, `potoroo-1`, …, and maybe more after that.
fn voluntary_switches(app: &App, core: usize) -> u64 {
    let tasks = format!("/proc/{}/task", app.process().as_raw_nonzero());
    let name = format!("potoroo-{core}");
    let mut tasks = fs::read_dir(tasks).expect("it runs").flatten();
    let status = tasks.find_map(|task| {
        let comm = fs::read_to_string(task.path().join("comm")).ok()?;
        let ours = comm.trim_end() == name || comm.starts_with(&format!("{name}-"));
        ours.then(|| fs::read_to_string(task.path().join("status")).expect("it runs"))
    });
    let status = status.expect("the core has a thread");
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|count| count.trim().parse().ok()).expect("a count")
}

/// Checks that a core which is blocked goes to sleep about as often as it turns.
#[track_caller]
fn check_sleeps(app: &App, admin: SocketAddr, core: usize) {
    wait_for_status(admin, |status| status["per_core"][core]["held"].is_object());
    let deadline = Instant::now() + LIMIT;
    let (turns, switches) = look(app, admin, core);
    loop {
        let (now_turns, now_switches) = look(app, admin, core);
        let (turns, switches) = (now_turns - turns, now_switches - switches);
        assert!(turns <= 200 + 8 * switches, "core {core}: {turns} turns, {switches} sleeps");
        if switches >= 20 {
            return;
        }
        assert!(Instant::now() < deadline, "it neither turns nor sleeps");
        thread::park_timeout(Duration::from_millis(5));
    }
}

fn held_by(status: &Value, core: usize, start: &str) -> bool {
    let by = &status["per_core"][core]["held"]["by"];
    by.as_str().is_some_and(|by| by.starts_with(start))
}

/// Lines without end, as fast as they are taken.
fn flood(address: SocketAddr) {
    let mut stream = connect(address);
    thread::spawn(move || {
        let lines = "one two three\n".repeat(1000);
        while stream.write_all(lines.as_bytes()).is_ok() {}
    });
}

/// Word count over TCP, which its sink holds back: the application and its ports.
fn blocked(sink: SocketAddr, arguments: &str) -> (App, SocketAddr) {
    let mut app = App::start(
        "word_count",
        &format!(
            "--source lines=tcp://127.0.0.1:0 --sink counts=tcp://{sink} --admin 127.0.0.1:0 \
             --idle park --drain-seconds 1 {arguments}"
        ),
    );
    let lines = app.listening("lines");
    let admin = app.admin();
    // One connection for each of two cores: a core that only gets the frames of a blocked one runs
    // out of work before its own lane is full.
    flood(lines);
    flood(lines);
    (app, admin)
}

/// Reads some of what was held back, which shows that the core woke.
fn check_goes_on(mut stream: TcpStream) {
    let mut bytes = vec![0; 1 << 20];
    stream.read_exact(&mut bytes).expect("the application goes on");
}

fn absent() -> (u16, SocketAddr) {
    let port = free_port();
    (port, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

#[test]
fn a_core_whose_sink_is_absent_sleeps_until_it_comes() {
    let (port, sink) = absent();
    let (app, admin) = blocked(sink, "--cores 0");
    check_sleeps(&app, admin, 0);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is ours");
    check_goes_on(accept(&listener));
}

#[test]
fn a_core_that_generates_for_an_absent_sink_sleeps() {
    let (_, sink) = absent();
    for rate in ["max", "1000000"] {
        let mut app = App::start(
            "word_count",
            &format!(
                "--source lines=gen:lines?rate={rate} --sink counts=tcp://{sink} --idle park \
                 --admin 127.0.0.1:0 --cores 0"
            ),
        );
        let admin = app.admin();
        check_sleeps(&app, admin, 0);
    }
}

#[test]
fn a_core_whose_sink_reads_nothing_sleeps_until_it_does() {
    let (listener, sink) = receiver();
    let (app, admin) = blocked(sink, "--cores 0");
    let deaf = accept(&listener);
    check_sleeps(&app, admin, 0);
    check_goes_on(deaf);
}

#[test]
fn a_core_that_a_checkpoint_waits_for_sleeps() {
    let scratch = Scratch::new("waiting-checkpoint");
    let (_, sink) = absent();
    let state = format!("--cores 0 --state {} --checkpoint-ms 50", scratch.path("state"));
    let (app, admin) = blocked(sink, &state);
    check_sleeps(&app, admin, 0);
}

/// The core that owns the sink is blocked by it, and the other one by the lane to it.
#[test]
fn a_core_whose_lane_is_full_sleeps_until_there_is_room() {
    let (listener, sink) = receiver();
    let (app, admin) = blocked(sink, "--cores 0,0 --lane-bytes 4096 --outlet-bytes 4096");
    let deaf = accept(&listener);
    let blocked_by_lane = |status: &Value| (0..2).any(|core| held_by(status, core, "lane "));
    let status = wait_for_status(admin, blocked_by_lane);
    let core = usize::from(held_by(&status, 1, "lane "));
    check_sleeps(&app, admin, core);
    check_goes_on(deaf);
}

#[test]
fn a_blocked_core_notices_that_it_has_to_end() {
    let (_, sink) = absent();
    let (app, admin) = blocked(sink, "--cores 0");
    check_sleeps(&app, admin, 0);
    app.signal(Signal::TERM);
    assert_eq!(app.finish().code, Some(3), "what waits cannot be delivered");
}

#[test]
fn a_core_whose_replies_are_not_read_sleeps() {
    let mut app = App::start(
        "market_spread",
        "--reply --source quotes=tcp://127.0.0.1:0 --source orders=tcp://127.0.0.1:0 \
         --admin 127.0.0.1:0 --idle park --cores 0 --reply-stall-ms 3600000",
    );
    let _quotes = app.listening("quotes");
    let orders = app.listening("orders");
    let admin = app.admin();
    let deaf = connect(orders);
    let mut sender = deaf.try_clone().expect("a descriptor");
    thread::spawn(move || {
        let orders = support::market::order(1, b"ZZZ1", 7.5).repeat(1000);
        while sender.write_all(&orders).is_ok() {}
    });
    check_sleeps(&app, admin, 0);
    drop(deaf);
}

/// A receiver that says more than it is sent does not hold the core.
#[test]
fn a_sink_that_talks_without_end_is_passed_over() {
    let (listener, sink) = receiver();
    let (app, admin) = blocked(sink, "--cores 0 --heartbeat-seconds 1");
    let mut chatty = accept(&listener);
    let mut reader = chatty.try_clone().expect("a descriptor");
    thread::spawn(move || while chatty.write_all(&[b'x'; 1 << 16]).is_ok() {});
    for _ in 0..20 {
        let mut bytes = vec![0; 1 << 16];
        reader.read_exact(&mut bytes).expect("the application goes on");
    }
    wait_for_status(admin, |status| status["per_core"][0]["turns"].as_u64() > Some(0));
    drop(app);
}
