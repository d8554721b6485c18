//! Nodes that come and go while clients are connected by plain TCP: no connection is closed, each
//! event is answered once, and each sink gets each output once.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use potoroo_sdk::random::Random;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::process::Signal;
use serde_json::Value;
use support::cluster::{Cluster, PATIENT_MS, nodes};
use support::ledger::{by_symbol, check_lines};
use support::{App, LIMIT, Scratch, accept, connect, free_port, receiver, wait_for_status};

/// A cluster whose lead is `a`: orders over plain TCP, answers on the same connections, and each
/// line to a receiver and to a file.
struct Ledger {
    cluster: Cluster,
    orders: SocketAddr,
    receiver: TcpListener,
}

impl Ledger {
    fn new(test: &str) -> Self {
        let scratch = Scratch::new(test);
        let orders = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (receiver, at) = receiver();
        let arguments = format!(
            "--source orders=tcp://{orders} --sink totals=file:{} --sink copies=tcp://{at} \
             --checkpoint-ms 50 --idle park --cores 0,0",
            scratch.path("totals")
        );
        let place = scratch.path("cluster");
        let (example, lease_ms) = ("ledger answers", PATIENT_MS);
        let cluster = Cluster { scratch, example, arguments, place, lease_ms };
        Self { cluster, orders, receiver }
    }

    fn start(&self, node: &str) -> App {
        self.cluster.start(node)
    }

    /// Has one node come, or go, and waits until the others are these.
    fn come(&self, node: &str, then: &[&str]) -> App {
        let app = self.start(node);
        self.cluster.wait_for_nodes(then);
        app
    }

    fn leave(&self, app: App, node: &str, then: &[&str]) {
        let (text, done) = self.cluster.ask(&format!("leave {node}"));
        assert!(done, "{text}");
        let ended = app.finish();
        assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.log);
        self.cluster.wait_for_nodes(then);
    }

    fn stop(&self, apps: impl IntoIterator<Item = App>) {
        let (text, done) = self.cluster.ask("stop");
        assert!(done, "{text}");
        for app in apps {
            let ended = app.finish();
            assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.log);
        }
    }

    /// What happened, the oldest first.
    fn history(&self) -> Vec<Value> {
        let (text, done) = self.cluster.ask("history --json");
        assert!(done, "{text}");
        serde_json::from_str(&text).expect("it is JSON")
    }

    fn written(&self) -> String {
        String::from_utf8(self.cluster.scratch.read("totals")).expect("it is text")
    }
}

/// Takes what comes over the one connection of a sink, to its end.
fn take_all(receiver: &TcpListener) -> JoinHandle<String> {
    let mut stream = accept(receiver);
    // Between two events may be more than a moment.
    stream.set_read_timeout(None).expect("no limit");
    thread::spawn(move || {
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("lines come");
        text
    })
}

/// Clients that send orders of symbols of their own, and wait for the answers.
struct Clients {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<(String, String)>>,
}

const CLIENTS: u64 = 3;

impl Clients {
    fn start(at: SocketAddr) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let client = |number| {
            let (stop, answered) = (stop.clone(), answered.clone());
            let stream = connect(at);
            thread::spawn(move || run_client(number, stream, &stop, &answered))
        };
        let threads = (0..CLIENTS).map(client).collect();
        Self { stop, answered, threads }
    }

    /// Waits until `count` more orders were answered.
    fn go_on(&self, count: usize) {
        let until = self.answered.load(Ordering::Relaxed) + count;
        let deadline = Instant::now() + LIMIT;
        while self.answered.load(Ordering::Relaxed) < until {
            assert!(Instant::now() < deadline, "no answers within {LIMIT:?}");
            thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// Ends them; returns all orders. Each was answered as it should be.
    fn end(self) -> String {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = String::new();
        for thread in self.threads {
            let (orders, answers) = thread.join().expect("it was connected to the end");
            check_lines(answers.lines(), &orders);
            all += &orders;
        }
        all
    }
}

/// Sends batches, each of which ends within a line whose rest comes with the next: when a batch is
/// answered, that part has been read. Returns orders and answers.
fn run_client(
    number: u64,
    mut stream: TcpStream,
    stop: &AtomicBool,
    answered: &AtomicUsize,
) -> (String, String) {
    let mut random = Random::new(number);
    let mut from = BufReader::new(stream.try_clone().expect("a descriptor"));
    let (mut orders, mut answers, mut sent) = (String::new(), String::new(), 0);
    let mut open = 0;
    loop {
        let last = stop.load(Ordering::Relaxed);
        let count = 1 + random.below(20);
        for _ in 0..count {
            let symbol = number + CLIENTS * random.below(16);
            orders += &format!("{symbol} {}\n", 1 + random.below(100));
        }
        let until = if last { orders.len() } else { orders.len() - 2 };
        stream.write_all(&orders.as_bytes()[sent..until]).expect("it stays connected");
        let whole = if last { count + open } else { count - 1 + open };
        (sent, open) = (until, 1);
        for _ in 0..whole {
            let read = from.read_line(&mut answers).expect("an answer comes");
            assert!(read > 0, "client {number} was closed");
        }
        answered.fetch_add(whole as usize, Ordering::Relaxed);
        if last {
            stream.shutdown(Shutdown::Write).expect("it is connected");
            let rest = from.read_to_string(&mut answers).expect("it is closed in order");
            assert_eq!(rest, 0, "no answer comes twice");
            return (orders, answers);
        }
    }
}

#[test]
fn plain_connections_stay_through_joins_and_leaves() {
    let ledger = Ledger::new("change-plain");
    let a = ledger.come("a", &["a"]);
    let copies = take_all(&ledger.receiver);
    let b = ledger.come("b", &["a", "b"]);
    let clients = Clients::start(ledger.orders);
    for _ in 0..10 {
        let c = ledger.come("c", &["a", "b", "c"]);
        clients.go_on(200);
        ledger.leave(c, "c", &["a", "b"]);
        clients.go_on(200);
    }
    let changes = ledger.history();
    let planned = changes.iter().filter(|change| {
        let cause = change["cause"].as_str().expect("it is text");
        cause == "node c joined" || cause == "node c left"
    });
    let mut count = 0;
    for change in planned {
        let phases = change["phases"].as_array().expect("a list");
        let names: Vec<_> = phases.iter().filter_map(|phase| phase[0].as_str()).collect();
        assert!(names.starts_with(&["drain", "checkpoint"]), "{change}");
        let sum: u64 = phases.iter().filter_map(|phase| phase[1].as_u64()).sum();
        assert!(sum <= change["ms"].as_u64().expect("a number"), "{change}");
        count += 1;
    }
    assert_eq!(count, 20, "{changes:?}");
    let orders = clients.end();
    ledger.stop([a, b]);
    check_lines(ledger.written().lines(), &orders);
    check_lines(copies.join().expect("it took all").lines(), &orders);
}

/// SIGTERM of one while another comes: the first is not ready when the second asks.
#[test]
fn nodes_may_leave_while_others_come() {
    let ledger = Ledger::new("change-both");
    let a = ledger.come("a", &["a"]);
    let copies = take_all(&ledger.receiver);
    let mut present = ("b", ledger.come("b", &["a", "b"]));
    let clients = Clients::start(ledger.orders);
    for next in ["c", "b", "c", "b"] {
        let come = ledger.start(next);
        present.1.signal(Signal::TERM);
        let ended = present.1.finish();
        assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.log);
        ledger.cluster.wait_for_nodes(&["a", next]);
        clients.go_on(100);
        present = (next, come);
    }
    let orders = clients.end();
    ledger.stop([a, present.1]);
    check_lines(ledger.written().lines(), &orders);
    check_lines(copies.join().expect("it took all").lines(), &orders);
}

/// The connections of a lead that leaves are closed, after all that it had read was processed,
/// answered and committed.
#[test]
fn what_a_lead_that_leaves_has_taken_is_not_lost() {
    let ledger = Ledger::new("change-lead");
    let a = ledger.come("a", &["a"]);
    let copies = accept(&ledger.receiver);
    let b = ledger.come("b", &["a", "b"]);
    let client = connect(ledger.orders);
    let (sent, answers) = (send_on(&client), take_lines(&client));
    let copies = take_lines(&copies);
    ledger.cluster.wait(|status| status["epoch"].as_u64() > Some(5));
    ledger.leave(a, "a", &["b"]);
    let (sent, answers) = (sent.join().expect("it sends"), answers.join().expect("it reads"));
    let copies = copies.join().expect("it reads");
    // What was sent and not read is not taken.
    let taken: String = sent.split_inclusive('\n').take(copies.lines().count()).collect();
    check_lines(copies.lines(), &taken);
    ledger.stop([b]);
    check_lines(ledger.written().lines(), &taken);
    // Who goes on sending while it is closed may lose the last answers on their way.
    let (answers, copies) = (by_symbol(answers.lines()), by_symbol(copies.lines()));
    for (symbol, lines) in &answers {
        assert!(copies[symbol].starts_with(lines), "symbol {symbol}");
    }
    assert_eq!(answers.len(), 20, "each symbol was answered");
}

/// Sends orders until the connection is closed; returns them.
fn send_on(client: &TcpStream) -> JoinHandle<String> {
    let mut to = client.try_clone().expect("a descriptor");
    thread::spawn(move || {
        let (mut random, mut orders) = (Random::new(7), String::new());
        loop {
            let sent = orders.len();
            for _ in 0..10 {
                orders += &format!("{} {}\n", random.below(20), 1 + random.below(9));
            }
            if to.write_all(&orders.as_bytes()[sent..]).is_err() {
                return orders;
            }
        }
    })
}

/// Takes what comes until the connection is closed.
fn take_lines(from: &TcpStream) -> JoinHandle<String> {
    let mut from = from.try_clone().expect("a descriptor");
    thread::spawn(move || {
        let mut text = Vec::new();
        // What came before the end counts.
        let _ = from.read_to_end(&mut text);
        String::from_utf8(text).expect("it is text")
    })
}

/// Until the sink has taken nothing for a while.
fn wait_until_held(admin: SocketAddr) {
    wait_for_status(admin, |status| {
        let mut cores = status["per_core"].as_array().into_iter().flatten();
        cores.any(|core| {
            let held = &core["held"];
            held["by"] == "sink copies" && held["seconds"].as_f64() > Some(0.5)
        })
    });
}

/// What it has not committed the others process again, as after its death.
#[test]
fn a_node_leaves_though_a_sink_takes_nothing() {
    let ledger = Ledger::new("change-leave-stuck");
    set_socket_recv_buffer_size(&ledger.receiver, 4096).expect("a buffer");
    let drain = "--drain-seconds 1 --admin 127.0.0.1:0";
    let mut a = ledger.cluster.start_with("a", drain);
    let (admin, _copies) = (a.admin(), accept(&ledger.receiver));
    ledger.cluster.wait_for_nodes(&["a"]);
    let b = ledger.cluster.start_with("b", drain);
    ledger.cluster.wait_for_nodes(&["a", "b"]);
    let client = connect(ledger.orders);
    client.set_read_timeout(None).expect("no limit");
    let (sent, answers) = (send_on(&client), take_lines(&client));
    wait_until_held(admin);
    ledger.leave(b, "b", &["a"]);
    a.wait_for("go on from the last checkpoint without node `b`");
    // As after a death, plain connections are closed.
    sent.join().expect("it sends");
    answers.join().expect("it reads");
}

/// A join waits for a sink that takes nothing, and names it; nothing is lost, and it is done when
/// the sink takes its output again.
#[test]
fn a_join_waits_for_a_sink_that_takes_nothing() {
    const ORDERS: u64 = 300_000;
    let ledger = Ledger::new("change-stuck");
    set_socket_recv_buffer_size(&ledger.receiver, 4096).expect("a buffer");
    let mut a = ledger.cluster.start_with("a", "--admin 127.0.0.1:0");
    let admin = a.admin();
    let copies = accept(&ledger.receiver);
    let client = connect(ledger.orders);
    let order = |at: u64| format!("{} 1\n", (1 << 50) + at % 100);
    let orders: String = (0..ORDERS).map(order).collect();
    let (mut to, all) = (client.try_clone().expect("a descriptor"), orders.clone());
    let sender = thread::spawn(move || {
        to.write_all(all.as_bytes()).expect("it is read in the end");
        to.shutdown(Shutdown::Write).expect("it is connected");
    });
    client.set_read_timeout(None).expect("no limit");
    let answers = take_lines(&client);
    wait_until_held(admin);
    let c = ledger.start("c");
    a.wait_for("(held back by sink copies)");
    copies.set_read_timeout(None).expect("no limit");
    let copies = take_lines(&copies);
    ledger.cluster.wait_for_nodes(&["a", "c"]);
    sender.join().expect("all is sent");
    check_lines(answers.join().expect("all is answered").lines(), &orders);
    ledger.stop([a, c]);
    check_lines(ledger.written().lines(), &orders);
    check_lines(copies.join().expect("all comes").lines(), &orders);
}

#[test]
fn a_lead_leaves_to_a_node_that_is_about_to_join() {
    let ledger = Ledger::new("change-joiner");
    set_socket_recv_buffer_size(&ledger.receiver, 4096).expect("a buffer");
    let mut a = ledger.cluster.start_with("a", "--admin 127.0.0.1:0");
    let admin = a.admin();
    let copies = accept(&ledger.receiver);
    let client = connect(ledger.orders);
    let answers = take_lines(&client);
    let sent = send_on(&client);
    wait_for_status(admin, |status| {
        let mut cores = status["per_core"].as_array().into_iter().flatten();
        cores.any(|core| core["held"]["by"] == "sink copies")
    });
    let b = ledger.start("b");
    a.wait_for("(held back by sink copies)");
    a.signal(Signal::TERM);
    copies.set_read_timeout(None).expect("no limit");
    let copies = take_lines(&copies).join().expect("it reads");
    let ended = a.finish();
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.log);
    ledger.cluster.wait_for_nodes(&["b"]);
    ledger.stop([b]);
    let taken: String = sent.join().expect("it sends");
    let taken: String = taken.split_inclusive('\n').take(copies.lines().count()).collect();
    check_lines(copies.lines(), &taken);
    check_lines(ledger.written().lines(), &taken);
    drop(answers.join());
}

/// After a death the rule is another one: plain connections are closed, and the state is that of
/// the last checkpoint, also in the midst of a join.
#[test]
fn a_node_may_die_while_another_comes() {
    const COUNT: u64 = 60_000;
    let cluster = Cluster::windows("change-death", COUNT, "10000");
    let mut random = Random::new(11);
    let a = cluster.start("a");
    let mut present = ("b", cluster.start("b"));
    cluster.wait_for_nodes(&["a", "b"]);
    for next in ["c", "b", "c", "b", "c", "b"] {
        let come = cluster.start(next);
        // Before it is seen, while it waits, or when it takes part.
        let enough = random.below(3);
        cluster.wait(|status| {
            let states = nodes(status).filter(|node| node["node"] == next);
            let state = states.map(|node| node["state"].as_str()).next().flatten();
            enough == 0 || state.is_some() && (enough == 1 || state == Some("member"))
        });
        present.1.signal(Signal::KILL);
        present = (next, come);
    }
    for app in [a, present.1] {
        let ended = app.finish();
        assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.log);
    }
    cluster.check(COUNT);
}
