//! Where streams of connectors begin, and events that span more messages than are remembered.

mod support;

use std::net::SocketAddr;

use potoroo_connector::{Options, Source};
use rustix::process::Signal;
use support::{App, Scratch};

const WINDOWS: &str = "sequence_windows";

fn start(scratch: &Scratch, more: &str) -> (App, SocketAddr) {
    start_with(scratch, "", more)
}

/// An application whose source has these options.
fn start_with(scratch: &Scratch, options: &str, more: &str) -> (App, SocketAddr) {
    let mut app = App::start(
        WINDOWS,
        &format!(
            "--source numbers=potoroo://127.0.0.1:0{options} --sink windows=null: --cores 0 \
             --report json --state {} --checkpoints-kept 1000 {more}",
            scratch.path("state")
        ),
    );
    let address = app.listening("numbers");
    (app, address)
}

fn client(address: SocketAddr) -> Source {
    Source::connect(Options::new(address.to_string())).expect("it listens")
}

/// Sends the next number in the stream `name`, and waits until it is committed. Returns its id.
fn commit_one(source: &mut Source, name: &str) -> u64 {
    let (stream, after) = source.open(name, 0).expect("it is opened");
    source.send(stream, after + 1, b"1\n").expect("it is taken");
    source.wait(stream, after + 1).expect("it is committed");
    after + 1
}

/// Clients that are not the right one have been there, and sent nothing: in this run and before.
#[test]
fn a_client_that_sends_nothing_does_not_decide_where_a_stream_begins() {
    let scratch = Scratch::new("connector-begin");
    let (app, address) = start(&scratch, "--checkpoint-ms 20");
    let mut wrong = [client(address), client(address)];
    for (one, from) in wrong.iter_mut().zip([1000, 500]) {
        let (_, after) = one.open("lines", from).expect("nothing was sent");
        assert_eq!(after, from, "it has nothing before");
    }
    // A checkpoint is committed while they have it open.
    commit_one(&mut client(address), "other");
    assert_eq!(commit_one(&mut client(address), "lines"), 1);
    app.signal(Signal::KILL);
    let _ = app.finish();

    let (app, address) = start(&scratch, "--checkpoint-ms 20");
    let refused = client(address).open("lines", 1000).expect_err("2 to 1000 would be missing");
    assert!(refused.to_string().contains("continues after message 1,"), "{refused}");
    assert_eq!(commit_one(&mut client(address), "lines"), 2);
    client(address).open("late", 7).expect("nothing was sent");
    commit_one(&mut client(address), "other");
    app.signal(Signal::KILL);
    let _ = app.finish();

    let (app, address) = start(&scratch, "--checkpoint-ms 20");
    assert_eq!(commit_one(&mut client(address), "late"), 1);
    app.signal(Signal::TERM);
    app.finish().report();
}

/// What was acknowledged after the checkpoint is not at the client any more: it is refused, as
/// often as the application starts.
#[test]
fn a_client_cannot_leave_out_what_came_after_the_checkpoint_that_is_restored() {
    let scratch = Scratch::new("connector-begin-restore");
    let (app, address) = start(&scratch, "--checkpoint-ms 20");
    client(address).open("opened", 500).expect("nothing was sent");
    commit_one(&mut client(address), "other");
    app.signal(Signal::TERM);
    let report = app.finish().report();
    let epoch = report["checkpoints"]["epoch"].as_u64().expect("one is committed");

    let (app, address) = start(&scratch, "--checkpoint-ms 20");
    for name in ["new", "opened"] {
        commit_one(&mut client(address), name);
    }
    app.signal(Signal::TERM);
    app.finish().report();

    for more in [format!("--restore {epoch}"), format!("--restore {epoch}"), String::new()] {
        let (app, address) = start(&scratch, &format!("--checkpoint-ms 3600000 {more}"));
        for name in ["new", "opened"] {
            let refused = client(address).open(name, 1).expect_err("1 would be missing");
            assert!(refused.to_string().contains("began after 0"), "{refused}");
            assert_eq!(client(address).open(name, 0).expect("it has all").1, 0);
        }
        app.signal(Signal::KILL);
        let _ = app.finish();
    }
}

/// One event in as many messages as it has bytes, and many events between two checkpoints.
#[test]
fn more_messages_than_are_remembered_get_through() {
    const BYTES: u64 = 65_000;
    let scratch = Scratch::new("connector-long-event");
    for (ends, interval_ms) in [(1, 20), (2, 3_600_000)] {
        let (options, more) =
            (format!("?streams={ends}"), format!("--checkpoint-ms {interval_ms}"));
        let (app, address) = start_with(&scratch, &options, &more);
        let mut source = client(address);
        let (lines, _) = source.open(&format!("lines {ends}"), 0).expect("it is opened");
        for at in 1..=BYTES {
            let byte = if at == BYTES { b"\n" } else { b"0" };
            source.send(lines, at, byte).expect("it is taken");
        }
        for id in 1..=BYTES {
            source.send(lines, BYTES + id, b"1\n").expect("it is taken");
        }
        source.end(lines);
        source.finish().expect("all of it is committed");
        let report = app.finish().report();
        assert_eq!(report["events"].as_u64(), Some(1 + BYTES), "{report}");
    }
}
