//! Receivers that are absent, slow, or die and come back: nothing is lost that a dead connection
//! had not been given, frames stay whole, sources are held back meanwhile, and the log says so.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};

use serde_json::Value;
use support::{App, Scratch, accept, named, receiver, wait_for_status};

const WINDOWS: &str = "sequence_windows";

/// Starts windows of `count` numbers, as fast as possible, for a receiver.
fn start(count: u64, receiver: SocketAddr, more: &str) -> App {
    let arguments = format!(
        "--source numbers=gen:numbers?count={count}&rate=max --sink windows=tcp://{receiver} \
         --admin 127.0.0.1:0 --cores 0 --report json {more}"
    );
    App::start(WINDOWS, &arguments)
}

/// The number that each line is about: the last one in it. Panics at a line that is not whole.
fn latest(line: &str) -> u64 {
    let (key, numbers) = line.split_once(": ").unwrap_or_else(|| panic!("not whole: {line:?}"));
    let numbers: Vec<u64> = numbers.split(',').map(|text| text.parse().expect("digits")).collect();
    assert_eq!(numbers.len(), 4, "{line:?}");
    assert_eq!(key.parse(), Ok(numbers[3] % 64), "{line:?}");
    numbers[3]
}

fn events(status: &Value) -> u64 {
    named(status, "sources", "numbers")["events"].as_u64().expect("a count")
}

/// Waits until nothing more is taken in, seen five times in a row; returns how much was.
fn wait_until_held_back(admin: SocketAddr) -> u64 {
    let mut seen = (0, 0);
    wait_for_status(admin, |status| {
        let now = events(status);
        seen = if now == seen.0 { (now, seen.1 + 1) } else { (now, 1) };
        now > 0 && seen.1 == 5
    });
    seen.0
}

#[test]
fn an_absent_receiver_is_waited_for() {
    const COUNT: u64 = 300_000;
    let (listener, address) = receiver();
    drop(listener);
    let mut app = start(COUNT, address, "");
    let line = app.wait_for("cannot connect");
    for part in ["sink `windows`", &address.to_string(), "start the receiver there"] {
        assert!(line.contains(part), "{line}");
    }
    // More than the buffers hold cannot have been taken in.
    let admin = app.admin();
    let held = wait_until_held_back(admin);
    assert!(held > 0 && held < COUNT / 2, "{held}");
    wait_for_status(admin, |status| status["per_core"][0]["held"]["by"] == "sink windows");
    let listener = TcpListener::bind(address).expect("the port is free");
    let lines = BufReader::new(accept(&listener)).lines();
    let received: Vec<u64> = lines.map(|line| latest(&line.expect("text"))).collect();
    assert!(received.iter().copied().eq(1..=COUNT), "{} lines", received.len());
    let ended = app.finish();
    assert_eq!(named(&ended.report(), "sinks", "windows")["events"], COUNT);
    assert!(ended.log.contains("is connected to"), "{}", ended.log);
}

#[test]
fn a_receiver_that_dies_and_comes_back_gets_the_rest_whole() {
    const COUNT: u64 = 1_000_000;
    let (listener, address) = receiver();
    let mut app = start(COUNT, address, "");
    let admin = app.admin();
    let mut first = accept(&listener);
    wait_until_held_back(admin);
    // It dies in the middle of a line, with bytes unread.
    let mut beginning = vec![0; 10_001];
    first.read_exact(&mut beginning).expect("bytes wait");
    drop((first, listener));
    let line = app.wait_for("lost its connection");
    for part in ["sink `windows`", &address.to_string(), "sources are held back"] {
        assert!(line.contains(part), "{line}");
    }
    let held = wait_until_held_back(admin);
    assert!(held < COUNT / 2, "{held} were taken in");
    let listener = TcpListener::bind(address).expect("the port is free");
    let lines = BufReader::new(accept(&listener)).lines();
    let rest: Vec<u64> = lines.map(|line| latest(&line.expect("text"))).collect();
    // What the dead connection had been given may be lost, but not what waited behind it; what
    // comes begins with a whole line and goes on to the end without a gap.
    let begin = *rest.first().expect("the rest");
    assert!(begin < held, "{begin}, when {held} were taken in");
    assert!(rest.iter().copied().eq(begin..=COUNT), "{} lines from {begin}", rest.len());
    let report = app.finish().report();
    assert_eq!(report["undelivered"], 0);
    let waits = named(&report, "sinks", "windows")["waits"].as_u64();
    assert!(waits > Some(0), "the sink that blocks is named");
}

/// A receiver that begins to read when everything stands still: parked cores have to be woken when
/// there is room again, each by the next one.
#[test]
fn a_receiver_that_pauses_gets_everything() {
    const COUNT: u64 = 600_000;
    let scratch = Scratch::new("sinks-pauses");
    let numbers: String = (1..=COUNT).map(|number| format!("{number}\n")).collect();
    let numbers = scratch.write("numbers", numbers.as_bytes());
    for idle in ["park", "adaptive", "spin"] {
        for cores in ["0", "0,1", "0,0,1"] {
            let (listener, address) = receiver();
            let arguments = format!(
                "--source numbers=file:{numbers} --sink windows=tcp://{address} \
                 --admin 127.0.0.1:0 --cores {cores} --idle {idle} --report json"
            );
            let mut app = App::start(WINDOWS, &arguments);
            let admin = app.admin();
            let reader = BufReader::new(accept(&listener));
            let held = wait_until_held_back(admin);
            assert!(held < COUNT, "all {held} fit into buffers");
            let lines = reader.lines();
            let mut received: Vec<u64> = lines.map(|line| latest(&line.expect("text"))).collect();
            received.sort_unstable();
            assert!(received.into_iter().eq(1..=COUNT), "cores {cores}, {idle}");
            app.finish().report();
        }
    }
}

#[test]
fn a_drain_without_a_receiver_ends_and_is_reported() {
    let (listener, address) = receiver();
    drop(listener);
    let mut app = start(300_000, address, "--drain-seconds 0");
    wait_until_held_back(app.admin());
    app.signal(rustix::process::Signal::TERM);
    let ended = app.finish();
    assert_eq!(ended.code, Some(3), "{}", ended.log);
    assert!(ended.log.contains("--drain-seconds"), "{}", ended.log);
    let report = ended.last_line();
    assert_eq!(report["stop"], "signal");
    assert_eq!(report["failures"], 1);
    // The buffer of the sink alone holds thousands.
    let undelivered = report["undelivered"].as_u64().expect("a count");
    assert!(undelivered > 1000 && undelivered <= events(&report), "{undelivered}");
}
