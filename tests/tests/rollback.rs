//! Rollbacks of running applications: what a process goes on from is the checkpoint, its ports stay
//! open, and nothing of the generation before is left.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use potoroo::prelude::*;
use potoroo::sdk::codec::LineText;
use potoroo::{Config, SinkAddress, SourceAddress};
use potoroo_connector::{Error, Options, Source};
use rustix::process::Signal;
use support::history::{History, repeated};
use support::ledger::collect;
use support::operator::{ask, checkpoint, restore};
use support::{
    App, LIMIT, Scratch, check_windows, connect, exchange, free_port, named, wait_for_status,
};

const WINDOWS: &str = "sequence_windows";

#[test]
fn what_is_committed_stays_and_all_else_is_made_once_more() {
    const COUNT: u64 = 300_000;
    let scratch = Scratch::new("rollback-load");
    let mut app = App::start(
        WINDOWS,
        &format!(
            "--source numbers=gen:numbers?count={COUNT}&rate=100000 --sink windows=file:{} \
             --state {} --checkpoint-ms 3600000 --checkpoints-kept 4 --cores 0,1 \
             --admin 127.0.0.1:0 --report json",
            scratch.path("windows"),
            scratch.path("state")
        ),
    );
    let admin = app.admin();
    let mut history = History::default();
    let mut generation = 1;
    for round in 0..8 {
        let epochs: Vec<u64> = (0..3).map(|_| checkpoint(admin)).collect();
        let epoch = epochs[round % 3];
        let length = || fs::metadata(scratch.path("windows")).expect("it is there").len();
        let answer = restore(admin, epoch).unwrap_or_else(|error| panic!("{error}"));
        history.roll_back(length() as usize, repeated(&answer));
        generation += 1;
        assert_eq!(answer["epoch"], epoch, "{answer}");
        assert_eq!(answer["generation"], generation, "{answer}");
        assert_eq!(repeated(&answer) == 0, round % 3 == 2, "{answer}");
    }
    let status = wait_for_status(admin, |_| true);
    assert_eq!(status["checkpoints"]["rollbacks"], 8);
    assert_eq!(status["checkpoints"]["generation"], generation);
    let report = app.finish().report();
    assert!(report["events"].as_u64() > Some(COUNT), "what comes again counts: {report}");
    scratch.write("history", &history.bytes(&scratch.read("windows")));
    check_windows(&scratch.path("history"), COUNT);
}

/// Refused before anything stops: the application goes on, and says why not.
#[test]
fn what_cannot_be_gone_back_to_is_refused_and_the_application_goes_on() {
    let scratch = Scratch::new("rollback-refused");
    let edges = "--source numbers=gen:numbers?rate=20000 --cores 0,1 --admin 127.0.0.1:0";
    let stateless = format!("{edges} --sink windows=null:");
    let mut app = App::start(WINDOWS, &stateless);
    let refused = restore(app.admin(), 1).expect_err("it has no checkpoints");
    assert!(refused.contains("start it with --state"), "{refused}");
    drop(app);
    let state = scratch.path("state");
    let kept = format!("--state {state} --checkpoint-ms 3600000 --checkpoints-kept 2");
    let file = scratch.path("windows");
    let mut app = App::start(WINDOWS, &format!("{edges} --sink windows=file:{file} {kept}"));
    let admin = app.admin();
    let epochs: Vec<u64> = (0..4).map(|_| checkpoint(admin)).collect();
    let retained = format!("retained are those of epoch {}, {}", epochs[3], epochs[2]);
    for never in [epochs[0], 999_999] {
        let refused = restore(admin, never).expect_err("it is not retained");
        let text = format!("there is no checkpoint of epoch {never}: {retained}");
        assert!(refused.contains(&text), "{refused}");
    }
    damage(&state, epochs[2]);
    let refused = restore(admin, epochs[2]).expect_err("a part of it is damaged");
    assert!(refused.contains(&format!("part-1-{}-", epochs[2])), "{refused}");
    let status = wait_for_status(admin, |_| true);
    assert_eq!(status["checkpoints"]["rollbacks"], 0);
    let events = status["events"].as_u64();
    wait_for_status(admin, |status| status["events"].as_u64() > events);
    assert_eq!(checkpoint(admin), epochs[3] + 1, "checkpoints go on");
    app.signal(Signal::TERM);
    assert_eq!(app.finish().code, Some(0));
}

/// Output waits for a client that is away, and what an older checkpoint has of it is damaged.
#[test]
fn output_that_is_damaged_is_not_gone_back_to() {
    let scratch = Scratch::new("rollback-output");
    let state = scratch.path("state");
    let mut app = App::start(
        WINDOWS,
        &format!(
            "--source numbers=gen:numbers?rate=20000 --cores 0,1 --admin 127.0.0.1:0 --sink \
             windows=potoroo://127.0.0.1:{}?token=hush --state {state} --checkpoint-ms 3600000 \
             --checkpoints-kept 4",
            free_port()
        ),
    );
    let admin = app.admin();
    let epochs: Vec<u64> = (0..3)
        .map(|count| {
            wait_for_status(admin, |status| status["events"].as_u64() > Some(1_000 * count));
            checkpoint(admin)
        })
        .collect();
    damage_one(&state, &format!("output-1-{}-", epochs[1]));
    let refused = restore(admin, epochs[1]).expect_err("its output is damaged");
    assert!(refused.contains(&format!("output-1-{}-", epochs[1])), "{refused}");
    restore(admin, epochs[0]).unwrap_or_else(|error| panic!("{error}"));
}

/// Flips a bit of a part of the checkpoint of `epoch`.
fn damage(state: &str, epoch: u64) {
    damage_one(state, &format!("part-1-{epoch}-"));
}

/// Flips a bit of an object whose name has this beginning.
fn damage_one(state: &str, begin: &str) {
    let files = fs::read_dir(state).expect("it is there").map(|entry| entry.expect("one").path());
    let is_part = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(begin))
    };
    let part = files.into_iter().find(is_part).expect("it was written");
    let mut bytes = fs::read(&part).expect("it can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&part, bytes).expect("it can be written");
}

/// A stop ends the application in order, or before it has recovered; a kill anywhere.
#[test]
fn a_signal_in_the_middle_of_a_rollback_loses_nothing() {
    const COUNT: u64 = 150_000;
    let scratch = Scratch::new("rollback-signals");
    let arguments = format!(
        "--source numbers=gen:numbers?count={COUNT}&rate=50000 --sink windows=file:{} --state {} \
         --checkpoint-ms 3600000 --cores 0,1 --admin 127.0.0.1:0",
        scratch.path("windows"),
        scratch.path("state")
    );
    for round in 0..12 {
        let mut app = App::start(WINDOWS, &arguments);
        let admin = app.admin();
        let epoch = checkpoint(admin);
        let request = thread::spawn(move || restore(admin, epoch));
        if round % 2 == 0 {
            // HEAD is the next generation's, which has not begun.
            app.wait_for(&format!("goes on from checkpoint {epoch} in"));
        }
        let signal = if round % 3 == 0 { Signal::TERM } else { Signal::KILL };
        app.signal(signal);
        let ended = app.finish();
        let code = if signal == Signal::KILL { &[None][..] } else { &[Some(0), Some(3)] };
        assert!(code.contains(&ended.code), "{:?}: {}", ended.code, ended.log);
        // It was done before the signal, refused, or cut off.
        let _ = request.join().expect("it does not panic");
    }
    assert_eq!(App::start(WINDOWS, &arguments).finish().code, Some(0));
    check_windows(&scratch.path("windows"), COUNT);
}

/// Several operators at once: each is answered by what happened.
#[test]
fn one_rollback_is_done_at_a_time() {
    let scratch = Scratch::new("rollback-twice");
    let mut app = App::start(
        WINDOWS,
        &format!(
            "--source numbers=gen:numbers?rate=20000 --sink windows=null: --state {} \
             --checkpoint-ms 20 --checkpoints-kept 1000 --cores 0,1 --admin 127.0.0.1:0",
            scratch.path("state")
        ),
    );
    let admin = app.admin();
    let epoch = checkpoint(admin);
    let ask = || thread::spawn(move || (0..10).map(|_| restore(admin, epoch)).collect::<Vec<_>>());
    let answers: Vec<_> = [(); 4].map(|()| ask()).into_iter().flat_map(|one| one.join()).collect();
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().flatten().partition(Result::is_ok);
    let text = format!("a rollback to checkpoint {epoch} is under way: wait for its end");
    for reason in refused.into_iter().filter_map(Result::err) {
        assert!(reason.contains(&text), "{reason}");
    }
    let status = wait_for_status(admin, |_| true);
    assert_eq!(status["checkpoints"]["rollbacks"], done.len());
    assert!(!done.is_empty(), "the first request at least is served");
    app.signal(Signal::TERM);
    assert_eq!(app.finish().code, Some(0));
}

/// What an embedding program has handed over would be gone, and it would not know.
#[test]
fn channels_of_an_embedding_program_are_named_in_the_refusal() {
    let scratch = Scratch::new("rollback-embedded");
    let application = || {
        let app = Application::new("embedded");
        app.source("lines", LineText::new()).sink("out", LineText::new());
        app
    };
    let config = Config {
        cores: vec![0],
        progress: false,
        admin: Some("127.0.0.1:0".parse().expect("an address")),
        state: Some(PathBuf::from(scratch.path("state")).into()),
        ..Config::default()
    };
    let config = config.source("lines", SourceAddress::Channel).sink("out", SinkAddress::Null);
    let mut running = potoroo::run(application, config).unwrap_or_else(|error| panic!("{error}"));
    let lines = running.source("lines");
    let admin = running.admin().expect("it was given");
    let epoch = checkpoint(admin);
    let refused = restore(admin, epoch).expect_err("it has a channel");
    assert!(refused.contains("source `lines` cannot begin anew"), "{refused}");
    assert!(refused.contains(&format!("--restore {epoch}")), "{refused}");
    assert_eq!(checkpoint(admin), epoch + 1, "it goes on");
    drop(lines);
    running.wait().unwrap_or_else(|error| panic!("{error}"));
}

/// A service manager repeats the flags of the first start.
#[test]
fn a_later_start_goes_on_from_the_rollback_whatever_its_flag_says() {
    const COUNT: u64 = 100_000;
    let scratch = Scratch::new("rollback-again");
    let arguments = |more: &str| {
        format!(
            "--source numbers=gen:numbers?count={COUNT}&rate=50000 --sink windows=file:{} \
             --state {} --checkpoint-ms 3600000 --checkpoints-kept 9 --admin 127.0.0.1:0 {more}",
            scratch.path("windows"),
            scratch.path("state")
        )
    };
    let mut history = History::default();
    let length = || fs::metadata(scratch.path("windows")).expect("it is there").len() as usize;
    let mut app = App::start(WINDOWS, &arguments(""));
    let admin = app.admin();
    let epochs = [(); 3].map(|()| checkpoint(admin));
    app.signal(Signal::KILL);
    app.finish();
    let before = length();
    let flag = arguments(&format!("--restore {}", epochs[0]));
    let mut app = App::start(WINDOWS, &flag);
    let line = app.wait_for("receives the output of epochs");
    let bytes = line.split(' ').rev().nth(1).expect("bytes").parse().expect("a number");
    history.roll_back(before, bytes);
    let admin = app.admin();
    let second = checkpoint(admin);
    checkpoint(admin);
    let answer = restore(admin, second).unwrap_or_else(|error| panic!("{error}"));
    history.roll_back(length(), repeated(&answer));
    app.signal(Signal::KILL);
    app.finish();
    let mut app = App::start(WINDOWS, &flag);
    let line = app.wait_for("goes on from checkpoint");
    assert!(line.contains(&format!("checkpoint {second} in")), "{line}");
    assert_eq!(app.finish().code, Some(0));
    scratch.write("history", &history.bytes(&scratch.read("windows")));
    check_windows(&scratch.path("history"), COUNT);
}

/// Clients on both sides go on, each message and each output once.
#[test]
fn connector_clients_go_on_from_the_checkpoint() {
    const COUNT: u64 = 80_000;
    let scratch = Scratch::new("rollback-clients");
    let (source, sink) = (free_port(), free_port());
    let mut app = App::start(
        WINDOWS,
        &format!(
            "--source numbers=potoroo://127.0.0.1:{source}?streams=1 --cores 0,1 \
             --sink windows=potoroo://127.0.0.1:{sink}?token=hush --state {} \
             --checkpoint-ms 3600000 --drain-seconds 60 --admin 127.0.0.1:0",
            scratch.path("state")
        ),
    );
    let admin = app.admin();
    let over = Arc::new(AtomicBool::new(false));
    let (sender, collector) = (feed(source, COUNT), collect(sink, over.clone()));
    let mut rollbacks = 0;
    // The last checkpoint ends the application.
    while let Ok(answer) = ask(admin, &["now"]) {
        let epoch = answer["epoch"].as_u64().expect("a number");
        let Ok(answer) = restore(admin, epoch) else { break };
        assert_eq!(repeated(&answer), 0, "all before is committed: {answer}");
        rollbacks += 1;
    }
    let ended = app.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    sender.join().expect("it does not panic").expect("it is served to the end");
    over.store(true, Ordering::Relaxed);
    scratch.write("windows", &collector.join().expect("it gets all"));
    check_windows(&scratch.path("windows"), COUNT);
    assert!(rollbacks > 3, "{rollbacks} rollbacks");
}

/// Sends the numbers up to `count` over one stream, and holds a part of them at a time: the rest
/// follows acknowledgements.
fn feed(port: u16, count: u64) -> JoinHandle<Result<(), Error>> {
    thread::spawn(move || {
        let address = format!("127.0.0.1:{port}");
        let mut source = Source::connect(Options {
            patience: LIMIT,
            kept_bytes_max: 1 << 16,
            ..Options::new(address)
        })?;
        let (stream, _) = source.open("numbers", 0)?;
        for number in 1..=count {
            source.send(stream, number, format!("{number}\n").as_bytes())?;
        }
        source.end(stream);
        source.finish()
    })
}

/// At most once: the connection is closed, what it sent after the checkpoint is gone, and the port
/// takes the next one.
#[test]
fn plain_connections_are_closed_and_their_port_stays_open() {
    let scratch = Scratch::new("rollback-tcp");
    let mut app = App::start(
        "word_count",
        &format!(
            "--source lines=tcp://127.0.0.1:0?connections=2 --sink counts=file:{} --state {} \
             --checkpoint-ms 3600000 --cores 0,1 --admin 127.0.0.1:0",
            scratch.path("counts"),
            scratch.path("state")
        ),
    );
    let (address, admin) = (app.listening("lines"), app.admin());
    let came = |count: u64| {
        wait_for_status(admin, |status| named(status, "sources", "lines")["events"] == count);
    };
    let mut first = connect(address);
    first.write_all(b"a a b\n").expect("it reads");
    came(1);
    let epoch = checkpoint(admin);
    first.write_all(b"a b\n").expect("it reads");
    came(2);
    restore(admin, epoch).unwrap_or_else(|error| panic!("{error}"));
    let mut rest = Vec::new();
    // Closed or reset, since what it sent is not all read.
    assert!(!matches!(first.read_to_end(&mut rest), Ok(bytes) if bytes > 0), "{rest:?}");
    for words in ["a\n", "c\n"] {
        assert_eq!(exchange(address, words.as_bytes()), b"");
    }
    assert_eq!(app.finish().code, Some(0));
    let text = String::from_utf8(scratch.read("counts")).expect("it is text");
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a 1", "a 2", "a 3", "b 1", "c 1"]);
}

/// What was under way for a connection of the generation before is answered to none of the next,
/// though its slot is taken again.
#[test]
fn late_replies_reach_no_connection_of_the_next_generation() {
    let scratch = Scratch::new("rollback-replies");
    let application = || {
        let app = Application::new("echo");
        let hash =
            |line: &str| line.bytes().fold(7, |hash: u64, byte| hash * 31 % 997 + u64::from(byte));
        app.source("lines", LineText::new()).key_by(hash).reply(LineText::new());
        app
    };
    let config = Config {
        cores: vec![0, 1],
        progress: false,
        lane_bytes: 1 << 16,
        admin: Some("127.0.0.1:0".parse().expect("an address")),
        state: Some(PathBuf::from(scratch.path("state")).into()),
        ..Config::default()
    };
    let config = config.source("lines", "tcp://127.0.0.1:0".parse().expect("an address"));
    let running = potoroo::run(application, config).unwrap_or_else(|error| panic!("{error}"));
    let address = running.listening("lines").expect("it listens");
    let admin = running.admin().expect("it was given");
    let (over, connections) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers = [(); 6].map(|()| {
        let (over, connections) = (over.clone(), connections.clone());
        thread::spawn(move || {
            let mut replies = 0;
            while !over.load(Ordering::Relaxed) {
                let mut stream = connect(address);
                let mine = format!("{}-", connections.fetch_add(1, Ordering::Relaxed));
                while let Some(count) = call(&mut stream, &mine, &over) {
                    replies += count;
                }
            }
            replies
        })
    });
    for _ in 0..25 {
        let epoch = checkpoint(admin);
        restore(admin, epoch).unwrap_or_else(|error| panic!("{error}"));
    }
    over.store(true, Ordering::Relaxed);
    let replies: usize = callers.into_iter().map(|one| one.join().expect("its own replies")).sum();
    assert!(replies > 1000, "{replies} replies");
    let lost = running.status().snapshot.replies_without_connection;
    println!("{replies} replies, {lost} late ones");
}

/// Sends lines that begin with `mine`, and checks the replies; `None` when the connection is gone
/// or it is over.
fn call(stream: &mut TcpStream, mine: &str, over: &AtomicBool) -> Option<usize> {
    const LINES: usize = 2_000;
    if over.load(Ordering::Relaxed) {
        return None;
    }
    let lines: String = (0..LINES).map(|number| format!("{mine}{number}\n")).collect();
    stream.write_all(lines.as_bytes()).ok()?;
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 1 << 16]);
    while bytes.iter().filter(|byte| **byte == b'\n').count() < LINES {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    }
    let text = String::from_utf8(bytes).expect("it is text");
    // The last line may be cut off.
    let end = text.rfind('\n').map_or(0, |end| end + 1);
    let whole = &text[..end];
    let foreign = whole.lines().find(|line| !line.starts_with(mine));
    assert_eq!(foreign, None, "it is another connection's, this one's begin with {mine}");
    (whole.lines().count() == LINES).then_some(LINES)
}
