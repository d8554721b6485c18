//! Bad input and trouble: each gets a message that names the thing and the remedy, what is refused
//! is counted and kept, and nothing panics.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use support::{
    App, Scratch, accept, connect, example, exchange, market, named, receiver, wait_for_status,
};

const MARKET: &str = "market_spread";
const SINK: &str = "--sink rejections=null:";

/// A market check that keeps its dead letters in a file.
struct Market {
    app: App,
    scratch: Scratch,
    orders: SocketAddr,
    admin: SocketAddr,
}

impl Market {
    fn start(test: &str) -> Self {
        let scratch = Scratch::new(test);
        let arguments = format!(
            "--source quotes=gen:quotes?count=1 --source orders=tcp://127.0.0.1:0 --reply \
             --dead-letters file:{} --admin 127.0.0.1:0 --cores 0,1 --report json",
            scratch.path("letters")
        );
        let mut app = App::start(MARKET, &arguments);
        let orders = app.listening("orders");
        let admin = app.admin();
        Self { app, scratch, orders, admin }
    }

    /// A good order is still answered.
    fn check_alive(&self, id: usize) {
        // Not up to the end: the application waits a moment for late replies before it closes.
        let mut answer = [0; market::REJECTION_BYTES];
        let mut stream = connect(self.orders);
        stream.write_all(&market::order(id, b"ZZZ1", 2.0)).expect("the application reads");
        stream.read_exact(&mut answer).expect("the application answers");
        assert_eq!(answer[..], market::rejection(id, b"ZZZ1", 2.0, 0.0, 0.0));
    }

    fn wait_for_refused(&self, count: u64) {
        wait_for_status(self.admin, |status| {
            named(status, "sources", "orders")["refused"] == count
        });
    }

    /// Stops it; returns report, dead letters and log.
    fn stop(self) -> (Value, Vec<Value>, String) {
        self.app.signal(Signal::TERM);
        let ended = self.app.finish();
        let report = ended.report();
        assert!(!ended.log.contains("panicked"), "{}", ended.log);
        let letters = String::from_utf8(self.scratch.read("letters")).expect("JSON is text");
        let parse = |line| serde_json::from_str(line).expect("a JSON object per line");
        (report, letters.lines().map(parse).collect(), ended.log)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sends `bytes` on a connection of its own: a letter with this reason and these bytes follows.
fn check_refused(test: &str, bytes: &[u8], reason: &str, refused: &[u8]) {
    let market = Market::start(&format!("bad-{test}"));
    market.check_alive(1);
    connect(market.orders).write_all(bytes).expect("it is connected");
    market.wait_for_refused(1);
    market.check_alive(2);
    let (report, letters, log) = market.stop();
    assert_eq!(named(&report, "sources", "orders")["refused"], 1, "{test}");
    assert_eq!(named(&report, "sources", "orders")["events"], 2, "{test}");
    let [letter] = &letters[..] else { panic!("{test}: {letters:?}") };
    assert_eq!(letter["source"], "orders", "{test}");
    let connection = letter["connection"].as_str().expect("a text");
    assert!(log.contains(&format!(" of connection {connection}: ")), "{test}: {log}");
    assert!(!log.contains("left out"), "nothing was: {log}");
    let said = letter["reason"].as_str().expect("a text");
    assert!(said.contains(reason), "{test}: {said}");
    assert_eq!(letter["bytes"], hex(refused), "{test}");
}

/// An order with some of its bytes replaced; the frame begins with its length.
fn spoilt(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = market::order(7, b"ZZZ1", 2.0);
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

#[test]
fn a_frame_above_the_limit_is_refused() {
    let frame = [&[0, 0, 1, 0][..], &[7; 256]].concat();
    check_refused("long", &frame, "length is above the limit", &frame);
}

/// Each is counted, the trouble is said once, and the end says that not everything was delivered.
#[test]
fn dead_letters_that_find_a_full_disk_are_reported() {
    let scratch = Scratch::new("bad-full");
    let input = scratch.write("orders", &[0xff; 300]);
    let arguments = format!(
        "--source quotes=gen:quotes?count=1 --source orders=file:{input} {SINK} --dead-letters \
         file:/dev/full --cores 0 --report json"
    );
    let ended = App::start(MARKET, &arguments).finish();
    assert_eq!(ended.code, Some(3), "{}", ended.log);
    let said = ended.log.matches("dead letters cannot be written").count();
    assert_eq!(said, 1, "{}", ended.log);
    let report = ended.last_line();
    assert_eq!(
        (&report["failures"], &named(&report, "sources", "orders")["refused"]),
        (&1.into(), &1.into())
    );
}

#[test]
fn garbage_is_refused() {
    let garbage = b"GET / HTTP/1.1\r\nHost: potoroo\r\n\r\n";
    check_refused("garbage", garbage, "length is above the limit", garbage);
}

#[test]
fn a_length_of_zero_is_refused() {
    check_refused("zero", &[0; 4], "length is zero", &[0; 4]);
}

#[test]
fn a_frame_cut_off_by_a_disconnect_is_refused() {
    let frame = &market::order(7, b"ZZZ1", 2.0)[..30];
    check_refused("cut", frame, "cut off by the end of the stream", frame);
    check_refused("cut-length", &frame[..2], "cut off by the end of the stream", &frame[..2]);
}

#[test]
fn an_unknown_type_is_refused() {
    let frame = spoilt(4, &[9]);
    check_refused("type", &frame, "type is not 1 (order)", &frame);
}

#[test]
fn numbers_that_are_none_are_refused() {
    let price = 4 + 1 + 1 + 4 + 6 + 4 + 8;
    let frame = spoilt(price, &f64::NAN.to_be_bytes());
    check_refused("nan", &frame, "finite", &frame);
    let frame = spoilt(price - 8, &f64::INFINITY.to_be_bytes());
    check_refused("infinite", &frame, "finite", &frame);
}

#[test]
fn what_follows_a_refused_frame_is_understood() {
    let market = Market::start("bad-between");
    let good = |id| market::order(id, b"ZZZ1", 2.0);
    let answer = |id| market::rejection(id, b"ZZZ1", 2.0, 0.0, 0.0);
    let bytes = [good(1), spoilt(4, &[9]), good(2), vec![0; 4], good(3)].concat();
    assert!(exchange(market.orders, &bytes) == [answer(1), answer(2), answer(3)].concat());
    market.wait_for_refused(2);
    let (report, letters, _) = market.stop();
    assert_eq!(named(&report, "sources", "orders")["refused"], 2);
    let positions: Vec<_> = letters.iter().map(|letter| letter["position"].as_u64()).collect();
    assert_eq!(positions, [Some(57), Some(3 * 57)]);
    assert_eq!(letters[0]["connection"], letters[1]["connection"]);
}

#[test]
fn many_refused_frames_are_all_kept_and_few_are_logged() {
    const FRAMES: usize = 20_000;
    let market = Market::start("bad-many");
    let bytes: Vec<u8> = (0..FRAMES).flat_map(|_| spoilt(4, &[9])).collect();
    exchange(market.orders, &bytes);
    market.wait_for_refused(FRAMES as u64);
    market.check_alive(1);
    let Market { app, scratch, .. } = market;
    app.signal(Signal::TERM);
    let ended = app.finish();
    ended.report();
    let lines = ended.log.lines().filter(|line| line.contains("refused")).count();
    assert!((1..1000).contains(&lines), "{lines} lines in the log");
    for part in ["source `orders` refused 57 bytes", " such lines left out"] {
        assert!(ended.log.contains(part), "`{part}` is not in:\n{}", ended.log);
    }
    let letters = scratch.read("letters");
    assert_eq!(letters.split(|byte| *byte == b'\n').count() - 1, FRAMES);
}

#[test]
fn a_connection_may_send_one_byte_at_a_time() {
    let market = Market::start("bad-slow");
    let mut stream = connect(market.orders);
    for byte in market::order(1, b"ZZZ1", 2.0) {
        stream.write_all(&[byte]).expect("the application reads");
    }
    let mut answer = [0; market::REJECTION_BYTES];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer[..], market::rejection(1, b"ZZZ1", 2.0, 0.0, 0.0));
    market.check_alive(2);
    market.stop();
}

#[test]
fn ten_thousand_connections_come_and_go() {
    let market = Market::start("bad-connections");
    for index in 0..10_000 {
        let mut stream = connect(market.orders);
        // Some say nothing, some half a frame; some end, some break off.
        if index % 3 == 0 {
            stream.write_all(&[0, 0]).expect("it is connected");
        }
        if index % 2 == 0 {
            stream.shutdown(Shutdown::Both).expect("it is connected");
        }
    }
    market.check_alive(1);
    market.wait_for_refused(10_000_u64.div_ceil(3));
    let (report, letters, _) = market.stop();
    assert_eq!(named(&report, "sources", "orders")["events"], 1);
    assert_eq!(letters.len(), 10_000_usize.div_ceil(3));
}

#[test]
fn a_connection_that_breaks_off_before_its_answers_costs_only_them() {
    let market = Market::start("bad-answers");
    let orders: Vec<u8> = (0..1000).flat_map(|id| market::order(id, b"ZZZ1", 2.0)).collect();
    for _ in 0..20 {
        connect(market.orders).write_all(&orders).expect("it is connected");
    }
    market.check_alive(1);
    market.stop();
}

/// Starts it with these arguments: it refuses to run and says all parts, and promises nothing.
fn check_message(arguments: &str, parts: &[&str]) {
    let ended = App::start(MARKET, arguments).finish();
    ended.refused(1, parts);
    assert!(!ended.log.contains("orders → rejections"), "{}", ended.log);
}

#[test]
fn a_port_in_use_is_named() {
    let (_listener, address) = receiver();
    let arguments = format!("--source quotes=gen:quotes --source orders=tcp://{address} {SINK}");
    let parts = ["source `orders`", &address.to_string(), "in use", "free the port", "port 0"];
    check_message(&arguments, &parts);
    let arguments =
        format!("--source quotes=gen:quotes --source orders=gen:orders {SINK} --admin {address}");
    check_message(&arguments, &["admin port", &address.to_string(), "another process has that"]);
}

#[test]
fn a_missing_file_is_named() {
    let scratch = Scratch::new("bad-missing");
    let file = scratch.path("no-such-file");
    let arguments = format!("--source quotes=file:{file} --source orders=gen:orders {SINK}");
    check_message(&arguments, &["source `quotes`", &file, "No such file", "give the path"]);
    let arguments = format!(
        "--source quotes=gen:quotes --source orders=gen:orders --sink rejections=file:{file}/x"
    );
    check_message(&arguments, &["sink `rejections`", &file, "folder that can be written"]);
    check_message(&format!("--config {file}"), &["configuration file", &file, "--config"]);
}

#[test]
fn a_folder_is_no_source() {
    let scratch = Scratch::new("bad-folder");
    let folder = scratch.path("");
    let arguments = format!("--source quotes=file:{folder} --source orders=gen:orders {SINK}");
    check_message(&arguments, &["source `quotes`", &folder]);
}

#[test]
fn a_wrong_address_is_named() {
    let with = |orders: &str| format!("--source quotes=gen:quotes --source orders={orders} {SINK}");
    check_message(&with("ftp://x"), &["source `orders`", "scheme `ftp`", "`tcp://HOST:PORT`"]);
    check_message(&with("null:"), &["source `orders`", "that scheme is for sinks"]);
    check_message(&with("orders"), &["source `orders`", "has no scheme", "`file:PATH`"]);
    check_message(&with("gen:absent"), &["source `orders`", "`absent`", "`orders`"]);
    check_message(&with("gen:quotes"), &["source `orders`", "quotes"]);
    check_message(&with("tcp://absent.invalid:1"), &["source `orders`", "absent.invalid"]);
    let foreign = &["source `orders`", "192.0.2.1", "this host has no such address"];
    check_message(&with("tcp://192.0.2.1:0"), foreign);
    check_message(&with("potoroo://192.0.2.1:0?token=hush"), foreign);
}

/// A refusal of the system is reported with its own remedy, not with that of another one.
#[test]
fn each_refusal_of_the_system_has_its_own_remedy() {
    let scratch = Scratch::new("bad-remedies");
    let (file, link) = (scratch.write("file", b""), scratch.path("link"));
    std::os::unix::fs::symlink(&link, &link).expect("the folder is ours");
    let quotes = |path: &str| format!("--source quotes=file:{path} --source orders=gen:orders");
    let source = |path: &str| format!("{} {SINK}", quotes(path));
    check_message(&source(&link), &["source `quotes`", &link, "lead in a circle"]);
    let below = format!("{file}/x");
    check_message(&source(&below), &["source `quotes`", &below, "is a file, no folder"]);
    check_message(&source(&scratch.path("")), &["source `quotes`", "it is a folder"]);
    let sink = |path: &str| {
        format!(
            "--source quotes=gen:quotes --source orders=gen:orders --sink rejections=file:{path}"
        )
    };
    check_message(&sink(&link), &["sink `rejections`", &link, "lead in a circle"]);
    check_message(&sink(&scratch.path("")), &["sink `rejections`", "it is a folder"]);
    check_message(&sink(&scratch.path("no/x")), &["sink `rejections`", "its folder is not there"]);
    check_message(&format!("--config {}", scratch.path("")), &["--config", "it is a folder"]);
}

/// The memory bill is compared with what the process may take, not only with what the host has.
#[test]
fn a_limit_of_memory_is_named() {
    let arguments = "--seconds 1 --cores 0,0 --lane-bytes 268435456";
    let parts = ["RLIMIT_AS", "ulimit -v", "MiB", "--lane-bytes"];
    limited("-v 1000000", arguments).finish().refused(1, &parts);
}

#[test]
fn a_missing_address_is_named() {
    check_message(SINK, &["source `orders` has no address", "--source orders=gen:orders"]);
    let sources = "--source quotes=gen:quotes --source orders=gen:orders";
    check_message(sources, &["sink `rejections` has no address", "--sink rejections=null:"]);
}

#[test]
fn an_unknown_key_is_named() {
    let scratch = Scratch::new("bad-key");
    let file = scratch.write("deploy.toml", b"corse = '0'\n");
    check_message(&format!("--config {file}"), &[&file, "`corse`", "`cores`", "line 1"]);
}

#[test]
fn a_core_that_cannot_be_had_is_named() {
    check_message("--cores 0,1000", &["CPU 1000", "does not exist or is not allowed", "allowed"]);
    let ended = App::start(MARKET, "--cores 0,1000-1009").finish();
    ended.refused(1, &["CPU 1000-1009, which"]);
    assert_eq!(ended.log.matches("`cores` names").count(), 1, "{}", ended.log);
    let mut confined = Command::new("taskset");
    confined.args(["--cpu-list", "0"]).arg(example(MARKET)).args(["--cores", "1"]);
    App::spawn(confined).finish().refused(1, &["CPU 1", "not allowed", "allowed are 0", "taskset"]);
}

/// Starts an example with a limit of the shell.
fn limited(limit: &str, arguments: &str) -> App {
    let mut shell = Command::new("sh");
    let run = format!("ulimit {limit} && exec \"$0\" {arguments}");
    shell.args(["-c", &run]).arg(example(MARKET));
    App::spawn(shell)
}

#[test]
fn too_few_descriptors_are_named() {
    for descriptors in [6, 13, 14, 15, 16, 17, 20, 24] {
        let app = limited(&format!("-n {descriptors}"), "--seconds 1 --cores 0,0");
        app.finish().refused(1, &["limit of open files", &descriptors.to_string(), "ulimit -n"]);
    }
    let app = limited("-n 64", "--seconds 1 --cores 0,0 --report json");
    app.finish().report();
}

/// Connections beyond the limit wait until others are closed.
#[test]
fn connections_beyond_the_descriptors_wait() {
    let arguments = "--no-progress --source quotes=gen:quotes?count=1 --cores 0 --reply \
                     --source orders=tcp://127.0.0.1:0 --report json";
    let mut app = limited("-n 64", arguments);
    let orders = app.listening("orders");
    let held: Vec<_> = (0..100).map(|_| connect(orders)).collect();
    let line = app.wait_for("cannot accept");
    assert!(line.contains("source `orders`") && line.contains("ulimit -n"), "{line}");
    drop(held);
    let answer = exchange(orders, &market::order(1, b"ZZZ1", 2.0));
    assert_eq!(answer, market::rejection(1, b"ZZZ1", 2.0, 0.0, 0.0));
    app.signal(Signal::TERM);
    app.finish().report();
}

/// A full disk is not waited for: the process ends and says what it could not write.
#[test]
fn a_file_that_cannot_be_written_ends_the_process() {
    let arguments = "--source quotes=gen:quotes?count=1 --source orders=gen:orders?rate=max \
                     --sink rejections=file:/dev/full --cores 0 --report json";
    let ended = App::start(MARKET, arguments).finish();
    assert_eq!(ended.code, Some(3), "{}", ended.log);
    for part in ["sink `rejections` cannot be written", "`rejections`: No space left"] {
        assert!(ended.log.contains(part), "`{part}` is not in:\n{}", ended.log);
    }
    assert_eq!(ended.last_line()["stop"], "sink_failed");
}

#[test]
fn a_receiver_that_sends_is_not_minded() {
    let (listener, address): (TcpListener, _) = receiver();
    let arguments = format!(
        "--source quotes=gen:quotes?count=1 --source orders=gen:orders?count=5000&rate=max \
         --sink rejections=tcp://{address} --cores 0 --report json"
    );
    let app = App::start(MARKET, &arguments);
    let mut receiver = accept(&listener);
    receiver.write_all(&[7; 1000]).expect("it is connected");
    let mut bytes = Vec::new();
    receiver.read_to_end(&mut bytes).expect("the application closes");
    let report = app.finish().report();
    assert_eq!(named(&report, "sinks", "rejections")["bytes"], bytes.len());
}
