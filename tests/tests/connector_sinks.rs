//! Sinks of connectors in trouble: clients that never answer, refuse or belong to another run, and
//! output that is gone. Each is logged, and nothing that was committed is lost without a word.

mod support;

use std::io::{Read, Write};
use std::sync::mpsc::channel;

use potoroo_connector::{Frame, Sink, VERSION};
use support::{
    App, Scratch, accept, check_windows, free_port, named, receiver, sink_at, take_output,
};

const WINDOWS: &str = "sequence_windows";

/// Numbers whose windows go to a sink.
const NUMBERS: u64 = 20_000;

#[track_caller]
fn check(text: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(text.contains(part), "`{part}` is not in: {text}"));
}

/// Runs until all numbers are made; whatever comes of their windows.
fn windows_to(port: u16, scratch: &Scratch, more: &str) -> App {
    App::start(
        WINDOWS,
        &format!(
            "--source numbers=gen:numbers?count={NUMBERS}&rate=100000 --sink \
             windows=potoroo://127.0.0.1:{port}?token=hush --state {} --checkpoint-ms 10 --cores \
             0 --report json {more}",
            scratch.path("state")
        ),
    )
}

/// The application runs to its end and takes its checkpoints, and the output waits for a better
/// sink.
#[test]
fn a_sink_that_never_answers_stops_no_core_and_costs_no_output() {
    let scratch = Scratch::new("connector-mute");
    let (listener, address) = receiver();
    let port = address.port();
    let app = windows_to(port, &scratch, "--drain-seconds 3");
    let mut engine = accept(&listener);
    let mut welcome = Vec::new();
    Frame::Welcome { version: VERSION, last: 0 }.encode(&mut welcome);
    engine.write_all(&welcome).expect("it listens");
    // Takes all that comes, and says nothing.
    let (over_in, over) = channel();
    std::thread::spawn(move || {
        let mut bytes = vec![0; 1 << 16];
        while engine.read(&mut bytes).is_ok_and(|bytes| bytes > 0) {}
        over_in.send(()).expect("the test waits")
    });
    let ended = app.finish();
    assert_eq!(ended.code, Some(3), "{}{}", ended.out, ended.log);
    let report = ended.last_line();
    assert_eq!(named(&report, "sources", "numbers")["events"], NUMBERS);
    assert!(report["checkpoints"]["committed"].as_u64() > Some(1), "{report}");
    check(&ended.log, &["the last checkpoint is committed", "sent at the next start"]);
    over.recv().expect("the connection is closed");
    drop(listener);
    let mut app = windows_to(port, &scratch, "");
    let output = take_output(port, "hush", |_| app.has_ended());
    app.finish().report();
    check_windows(&scratch.write("windows", &output), NUMBERS);
}

#[test]
fn sinks_that_refuse_or_belong_to_another_run_are_named_and_get_everything_later() {
    let scratch = Scratch::new("connector-refusing");
    let port = free_port();
    let mut app = windows_to(port, &scratch, "--drain-seconds 60");
    let mut sink = sink_at(port, "another", 0);
    wait_beside(&mut app, &mut sink, "it refuses: the token is another one");
    drop(sink);
    let foreign = u128::MAX / 2;
    let mut sink = sink_at(port, "hush", foreign);
    wait_beside(&mut app, &mut sink, "not of this state folder");
    drop(sink);
    let output = take_output(port, "hush", |_| app.has_ended());
    let ended = app.finish();
    ended.report();
    assert!(!ended.log.contains("hush"), "a token in the log: {}", ended.log);
    check_windows(&scratch.write("windows", &output), NUMBERS);
}

/// Serves a sink until the application says `part`.
fn wait_beside(app: &mut App, sink: &mut Sink, part: &str) {
    while !app.log_so_far().contains(part) {
        assert!(!app.has_ended(), "`{part}` was not said: {}", app.log_so_far());
        let piece = sink.try_next().expect("it listens");
        assert_eq!(piece, None, "it gets nothing");
    }
}

/// Output that was committed is gone: the application names it and does not go on without it.
#[test]
fn committed_output_that_is_gone_is_named() {
    let scratch = Scratch::new("connector-gone");
    let port = free_port();
    let ended = windows_to(port, &scratch, "--drain-seconds 1").finish();
    assert_eq!(ended.code, Some(3), "{}{}", ended.out, ended.log);
    for entry in std::fs::read_dir(scratch.path("state")).expect("it is there") {
        let path = entry.expect("it is there").path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("output-")) {
            std::fs::remove_file(path).expect("it is ours");
        }
    }
    let mut app = windows_to(port, &scratch, "");
    let output = take_output(port, "hush", |_| app.has_ended());
    assert_eq!(output, b"");
    let ended = app.finish();
    assert_eq!(ended.code, Some(3), "{}{}", ended.out, ended.log);
    check(&ended.log, &["output-1-", "is missing", "--restore EPOCH", "`lost="]);
}
