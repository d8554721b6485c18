//! Sources and sinks in other processes: real applications and real clients, killed in any order,
//! and what comes out is what comes out when nothing disturbs them.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use potoroo::checkpoint::store::{FolderView, StoreReader};
use potoroo::checkpoint::{Manifest, history};
use potoroo_connector::{Error, Options, Piece, Sink, Source};
use potoroo_sdk::random::Random;
use rustix::process::Signal;
use support::cluster::{Cluster, PATIENT_MS};
use support::kills::kill_behind;
use support::{
    App, LIMIT, Scratch, accept, check_windows, connect, example, free_port, receiver, root,
    sink_at,
};

/// Streams of a source: each has the numbers of its own keys, so their order is theirs.
const STREAMS: u64 = 4;

const WINDOWS: &str = "sequence_windows";

/// The numbers up to `count` that belong to a stream, as lines.
fn lines_of(stream: u64, count: u64) -> String {
    let numbers = (1..=count).filter(|number| number % STREAMS == stream);
    numbers.map(|number| format!("{number}\n")).collect()
}

fn options(port: u16) -> Options {
    Options {
        patience: LIMIT / 4,
        kept_bytes_max: 1 << 16,
        ..Options::new(format!("127.0.0.1:{port}"))
    }
}

/// Sends the numbers up to `count`, in pieces that begin and end anywhere. The id of a message is
/// where it ends in the text of its stream.
fn send_all(source: &mut Source, count: u64, seed: u64) -> Result<(), Error> {
    let mut random = Random::new(seed);
    let mut open = Vec::new();
    for stream in 0..STREAMS {
        let (number, after) = source.open(&format!("s{stream}"), 0)?;
        open.push((number, lines_of(stream, count), after as usize));
    }
    while !open.is_empty() {
        let at = random.below(open.len() as u64) as usize;
        let (number, text, sent) = &mut open[at];
        let end = (*sent + 1 + random.below(2000) as usize).min(text.len());
        if *sent < end {
            source.send(*number, end as u64, &text.as_bytes()[*sent..end])?;
        }
        *sent = end;
        if end == text.len() {
            source.end(*number);
            open.swap_remove(at);
        }
    }
    Ok(())
}

fn feed(port: u16, count: u64) -> JoinHandle<Result<(), Error>> {
    std::thread::spawn(move || {
        let mut source = Source::connect(options(port))?;
        send_all(&mut source, count, 3)?;
        source.finish()
    })
}

/// What may happen to a client of a sink at the end of a transaction.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Commits,
    /// It dies with nothing of it stored.
    DiesBefore,
    /// It dies when it has stored it, and cannot say so.
    DiesAfter,
    Refuses,
}

/// Takes output as the client of a sink that dies over and over, also in the middle of
/// transactions, until it is `over`.
fn collect(port: u16, over: Arc<AtomicBool>, seed: u64) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut random = Random::new(seed);
        let (mut stored, mut last) = (Vec::new(), 0);
        while !over.load(Ordering::Relaxed) {
            let mut sink = sink_at(port, "hush", last);
            while let Some((transaction, output)) = take_one(&mut sink, &over, &mut random) {
                let fates = [Fate::DiesBefore, Fate::DiesAfter, Fate::Refuses];
                let fate = fates.get(random.below(12) as usize).copied().unwrap_or(Fate::Commits);
                if matches!(fate, Fate::Commits | Fate::DiesAfter) {
                    stored.extend_from_slice(&output);
                    last = transaction;
                }
                match fate {
                    Fate::Commits => sink.commit(last),
                    Fate::Refuses => sink.refuse("the disk is full"),
                    Fate::DiesBefore | Fate::DiesAfter => break,
                }
            }
        }
        stored
    })
}

/// The next whole transaction; `None` if the client dies before that.
fn take_one(sink: &mut Sink, over: &AtomicBool, random: &mut Random) -> Option<(u128, Vec<u8>)> {
    let mut output = Vec::new();
    while !over.load(Ordering::Relaxed) {
        match sink.try_next().expect("it listens") {
            None => continue,
            Some(Piece::Begin { .. }) => output.clear(),
            Some(Piece::Data(bytes)) => output.extend_from_slice(bytes),
            Some(Piece::End { transaction }) => return Some((transaction, output)),
        }
        if random.below(40) == 0 {
            return None;
        }
    }
    None
}

#[test]
fn a_sink_in_another_process_gets_everything_once_whichever_process_is_killed() {
    const COUNT: u64 = 200_000;
    let scratch = Scratch::new("connector-sink");
    example(WINDOWS);
    let (source, sink) = (free_port(), free_port());
    let over = Arc::new(AtomicBool::new(false));
    let (client, collector) = (feed(source, COUNT), collect(sink, over.clone(), 11));
    let arguments = format!(
        "--source numbers=potoroo://127.0.0.1:{source}?streams={STREAMS} \
         --sink windows=potoroo://127.0.0.1:{sink}?token=hush --drain-seconds 60"
    );
    let kills = kill_behind(WINDOWS, &arguments, &scratch, 6, "continues after message");
    assert!(kills > 0, "it was never killed");
    over.store(true, Ordering::Relaxed);
    scratch.write("windows", &collector.join().expect("it gets all"));
    check_windows(&scratch.path("windows"), COUNT);
    check_ended(client);
}

/// A plain receiver that remembers ids drops what comes again after a crash.
#[test]
fn repeats_over_plain_tcp_are_known_by_their_ids() {
    const COUNT: u64 = 100_000;
    let scratch = Scratch::new("connector-sequence");
    let (listener, address) = receiver();
    let arguments = |rate: u64| {
        format!(
            "--source numbers=gen:numbers?count={COUNT}&rate={rate} --sink \
             windows=tcp://{address}?sequence=true"
        )
    };
    let first = uncommitted(&arguments(100), &scratch, &listener);
    let receiving = std::thread::spawn(move || {
        let (mut seen, mut all, mut came) = (BTreeSet::new(), Vec::new(), 0);
        let mut bytes = first;
        while bytes != OVER {
            for (id, line) in numbered_lines(&bytes) {
                came += 1;
                if seen.insert(id) {
                    all.extend_from_slice(line);
                }
            }
            bytes.clear();
            // One that is reset has brought what it brought.
            let _ = accept(&listener).read_to_end(&mut bytes);
        }
        (all, came)
    });
    let kills = kill_behind(WINDOWS, &arguments(200_000), &scratch, 9, "is connected to");
    // After all connections of the application.
    connect(address).write_all(OVER).expect("it listens");
    let (all, came) = receiving.join().expect("it does not panic");
    assert!(kills > 0 && came > COUNT, "{kills} kills, {came} outputs: nothing came again");
    check_windows(&scratch.write("windows", &all), COUNT);
}

/// What a receiver gets of a run that is killed before anything is committed: it comes again in
/// the next.
fn uncommitted(arguments: &str, scratch: &Scratch, listener: &TcpListener) -> Vec<u8> {
    let state = scratch.path("state");
    let never = format!("{arguments} --state {state} --checkpoint-ms 3600000 --cores 0");
    let app = App::start(WINDOWS, &never);
    let mut bytes = vec![0; 1000];
    let mut connected = accept(listener);
    connected.read_exact(&mut bytes).expect("it brings windows");
    app.signal(Signal::KILL);
    let _ = connected.read_to_end(&mut bytes);
    assert!(!numbered_lines(&bytes).is_empty(), "a window has less than {} bytes", bytes.len());
    bytes
}

/// What ends a receiver.
const OVER: &[u8] = b"over";

/// Outputs with their ids; the last one may be cut off.
fn numbered_lines(mut bytes: &[u8]) -> Vec<([u8; 16], &[u8])> {
    let mut lines = Vec::new();
    while let Some((id, rest)) = bytes.split_first_chunk() {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { break };
        let (line, behind) = rest.split_at(end + 1);
        lines.push((*id, line));
        bytes = behind;
    }
    lines
}

/// The example in Python. Killed when it is dropped.
struct Python(Child);

impl Python {
    fn start(arguments: &[&str]) -> Self {
        let script = root().join("engine/examples/connector.py");
        let mut command = Command::new("python3");
        command.arg(script).args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("there is Python"))
    }

    fn is_there() -> bool {
        let asked = Command::new("python3").arg("--version").stdout(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Keeps a client running, and kills it at random moments, until it is `over`.
fn keep_killing(arguments: Vec<String>, over: Arc<AtomicBool>, seed: u64) -> JoinHandle<u64> {
    std::thread::spawn(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut random = Random::new(seed);
        let mut kills = 0;
        while !over.load(Ordering::Relaxed) {
            let mut client = Python::start(&arguments);
            // Longer and longer, so that it gets to its end on the busiest machine.
            let length = Duration::from_millis(100 + random.below(400) + 20 * kills);
            let until = Instant::now() + length;
            while Instant::now() < until && !over.load(Ordering::Relaxed) {
                if client.0.try_wait().expect("it was started").is_some() {
                    // Everything of it is acknowledged: another one receives the same.
                    break;
                }
                std::thread::park_timeout(Duration::from_millis(5));
            }
            kills += 1;
        }
        kills
    })
}

/// Three sides in two languages, and all of them killed over and over.
#[test]
fn clients_in_python_lose_and_double_nothing() {
    const COUNT: u64 = 40_000;
    if !Python::is_there() {
        eprintln!("skipped: there is no python3 to run engine/examples/connector.py");
        return;
    }
    let scratch = Scratch::new("connector-python");
    example(WINDOWS);
    let (source, sink) = (free_port(), free_port());
    let over = Arc::new(AtomicBool::new(false));
    let (from, to) = (format!("127.0.0.1:{source}"), format!("127.0.0.1:{sink}"));
    let mut clients = Vec::new();
    for stream in 0..STREAMS {
        let file = scratch.write(&format!("s{stream}"), lines_of(stream, COUNT).as_bytes());
        let name = format!("--stream=s{stream}");
        let arguments = ["source", &from, &file, &name].map(str::to_owned).to_vec();
        clients.push(keep_killing(arguments, over.clone(), stream));
    }
    let output = scratch.path("windows");
    let token = format!("--token-file={}", scratch.write("token", b"hush\n"));
    let arguments = ["sink", &to, &output, &token].map(str::to_owned).to_vec();
    clients.push(keep_killing(arguments, over.clone(), STREAMS));
    let arguments = format!(
        "--source numbers=potoroo://{from}?streams={STREAMS} --sink \
         windows=potoroo://{to}?token=hush --drain-seconds 60"
    );
    let kills = kill_behind(WINDOWS, &arguments, &scratch, 8, "continues after message");
    over.store(true, Ordering::Relaxed);
    let kills_of_clients = clients.into_iter().map(|one| one.join().expect("no panic"));
    let kills_of_clients: Vec<u64> = kills_of_clients.collect();
    assert!(kills > 0 && kills_of_clients.iter().all(|kills| *kills > 1), "{kills_of_clients:?}");
    check_windows(&scratch.path("windows"), COUNT);
}

/// An operator goes back to an older checkpoint, on another number of cores: what came after it is
/// requested and processed a second time; a client that cannot send it again is refused.
#[test]
fn clients_send_again_what_came_after_the_checkpoint_that_is_restored() {
    const COUNT: u64 = 20_000;
    let scratch = Scratch::new("connector-restore");
    example(WINDOWS);
    let (port, state) = (free_port(), scratch.path("state"));
    let start = |more: &str| {
        let arguments = format!(
            "--source numbers=potoroo://127.0.0.1:{port}?streams={STREAMS} --sink windows=file:{} \
             --state {state} --checkpoint-ms 20 --checkpoints-kept 1000 --report json {more}",
            scratch.path("windows")
        );
        App::start(WINDOWS, &arguments)
    };
    let app = start("--cores 0,1,0");
    let half = send_halves(port, COUNT).expect("the application runs");
    app.finish().report();
    check_windows(&scratch.path("windows"), COUNT);

    let view = FolderView::open(Path::new(&state)).expect("it is there");
    let past = history(&view, view.head().expect("it is whole").as_ref()).expect("it can be read");
    let manifests = past.into_iter().map(|past| past.manifest.expect("it is whole"));
    let at = |manifest: &Manifest| {
        let streams = manifest.sources.iter().filter_map(|source| source.stream.clone());
        streams.map(|stream| (stream.name, (stream.id, stream.into))).collect::<BTreeMap<_, _>>()
    };
    let halves = half.iter().map(|(name, id)| (name.clone(), (*id, 0))).collect();
    let mut older = manifests.skip_while(|manifest| at(manifest) != halves).peekable();
    let epoch = older.peek().expect("its halves were acknowledged").epoch;
    // Not all that was read by then: events under way to other cores were stored with it.
    let ends = older.flat_map(|manifest| manifest.transactions);
    let committed = ends.map(|one| one.offset + one.bytes).max().unwrap_or(0) as usize;
    let mut app = start(&format!("--cores 0 --restore {epoch}"));
    app.wait_for("source `numbers` listens on");
    let mut forgetful = Source::connect(options(port)).expect("it listens");
    let refused = forgetful.open("s1", half["s1"] + 1).expect_err("something is missing");
    assert!(refused.to_string().contains("make the client send them again"), "{refused}");
    let client = feed(port, COUNT);
    let report = app.finish().report();
    check_ended(client);

    let output = String::from_utf8(scratch.read("windows")).expect("it is text");
    let lines: Vec<&str> = output.lines().collect();
    let (first, again) = lines.split_at(COUNT as usize);
    let uncommitted = first.len() - output[..committed].lines().count();
    let unread_of = |stream: u64| {
        let half = half[&format!("s{stream}")] as usize;
        lines_of(stream, COUNT)[half..].lines().count()
    };
    let unread: usize = (0..STREAMS).map(unread_of).sum();
    assert_eq!((again.len(), report["events"].as_u64()), (uncommitted, Some(unread as u64)));
    assert!(uncommitted >= unread, "{uncommitted} lines of {unread} events");
    for key in 0..64 {
        let of = |lines: &[&str]| {
            let own = lines.iter().filter(|line| line.starts_with(&format!("{key}: ")));
            own.map(|line| line.to_string()).collect::<Vec<_>>()
        };
        assert!(of(first).ends_with(&of(again)), "key {key}");
    }
}

/// Sends the first half of each stream, waits until it is acknowledged, and sends the rest. Returns
/// the ids of the halves, by stream.
fn send_halves(port: u16, count: u64) -> Result<BTreeMap<String, u64>, Error> {
    let mut source = Source::connect(options(port))?;
    let mut halves = Vec::new();
    for stream in 0..STREAMS {
        let (name, text) = (format!("s{stream}"), lines_of(stream, count));
        let (number, _) = source.open(&name, 0)?;
        // To the end of a line: what is read of one that is cut off is not acknowledged.
        let half = lines_of(stream, count / 2).len();
        source.send(number, half as u64, &text.as_bytes()[..half])?;
        halves.push((name, number, text, half));
    }
    for (_, number, _, half) in &halves {
        source.wait(*number, *half as u64)?;
    }
    for (_, number, text, half) in &halves {
        source.send(*number, text.len() as u64, &text.as_bytes()[*half..])?;
        source.end(*number);
    }
    check_finished(source.finish());
    Ok(halves.into_iter().map(|(name, _, _, half)| (name, half as u64)).collect())
}

#[track_caller]
fn check_ended(client: JoinHandle<Result<(), Error>>) {
    check_finished(client.join().expect("it does not panic"));
}

/// The application may end before it says that the last ends are acknowledged.
#[track_caller]
fn check_finished(finished: Result<(), Error>) {
    match finished {
        Ok(()) | Err(Error::Io(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_source_in_another_process_is_read_once_however_often_the_application_is_killed() {
    const COUNT: u64 = 200_000;
    let scratch = Scratch::new("connector-source");
    let port = free_port();
    // Built before the client's patience begins.
    example(WINDOWS);
    let client = feed(port, COUNT);
    let arguments = format!(
        "--source numbers=potoroo://127.0.0.1:{port}?streams={STREAMS} --sink windows=file:{}",
        scratch.path("windows")
    );
    let kills = kill_behind(WINDOWS, &arguments, &scratch, 5, "continues after message");
    assert!(kills > 0, "it was never killed");
    check_windows(&scratch.path("windows"), COUNT);
    check_ended(client);
}

/// Clients come to whichever node leads, since all are started with the same addresses.
#[test]
fn clients_of_a_cluster_lose_and_double_nothing_whichever_node_is_killed() {
    const COUNT: u64 = 200_000;
    let scratch = Scratch::new("connector-cluster");
    example(WINDOWS);
    let (source, sink) = (free_port(), free_port());
    let over = Arc::new(AtomicBool::new(false));
    let (client, collector) = (feed(source, COUNT), collect(sink, over.clone(), 12));
    let arguments = format!(
        "--source numbers=potoroo://127.0.0.1:{source}?streams={STREAMS} \
         --sink windows=potoroo://127.0.0.1:{sink}?token=hush --drain-seconds 60 \
         --checkpoint-ms 30 --idle park --cores 0,0"
    );
    let (place, lease_ms) = (scratch.path("cluster"), PATIENT_MS);
    let cluster = Cluster { scratch, example: WINDOWS, arguments, place, lease_ms };
    assert!(cluster.survive(7, 6) > 0, "none was killed");
    over.store(true, Ordering::Relaxed);
    cluster.scratch.write("windows", &collector.join().expect("it gets all"));
    cluster.check(COUNT);
    check_ended(client);
}
