//! Clients that do not take their replies, end early, or are too many: none of them may hurt the
//! others, nothing is lost in silence, and the log says what to do.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use rustix::process::Signal;
use serde_json::Value;
use support::{App, connect, exchange, get, market, named, wait_for_status};

/// A market check that answers on the connections of its orders.
struct Market {
    app: App,
    orders: SocketAddr,
    admin: SocketAddr,
}

impl Market {
    fn start(more: &str) -> Self {
        let arguments = format!(
            "--source quotes=gen:quotes?count=1 --source orders=tcp://127.0.0.1:0 --reply \
             --admin 127.0.0.1:0 --report json {more}"
        );
        let mut app = App::start("market_spread", &arguments);
        let orders = app.listening("orders");
        let admin = app.admin();
        Self { app, orders, admin }
    }

    fn wait_for(&self, enough: impl FnMut(&Value) -> bool) -> Value {
        wait_for_status(self.admin, enough)
    }

    /// Stops it; returns report and log.
    fn stop(self) -> (Value, String) {
        self.app.signal(Signal::TERM);
        let ended = self.app.finish();
        assert!(!ended.log.contains("panicked"), "{}", ended.log);
        (ended.report(), ended.log)
    }
}

/// `count` orders, all of which are rejected.
fn orders(count: usize) -> Vec<u8> {
    (0..count).flat_map(|id| market::order(id % 1_000_000, b"ZZZ1", 2.0)).collect()
}

fn answers(count: usize) -> Vec<u8> {
    let answer = |id| market::rejection(id, b"ZZZ1", 2.0, 0.0, 0.0);
    (0..count).flat_map(answer).collect()
}

/// Asks and reads the answer, on a connection that goes on.
fn ask(stream: &mut TcpStream) {
    stream.write_all(&orders(1)).expect("the application reads");
    let mut answer = [0; market::REJECTION_BYTES];
    stream.read_exact(&mut answer).expect("the application answers");
    assert_eq!(answer[..], answers(1));
}

fn stalled(status: &Value) -> u64 {
    named(status, "sources", "orders")["stalled"].as_u64().expect("a count")
}

#[test]
fn a_client_that_reads_nothing_is_closed_and_the_others_are_served() {
    let market = Market::start("--cores 0 --outlet-bytes 4096 --reply-stall-ms 200");
    let mut deaf = connect(market.orders);
    let sender = thread::spawn(move || {
        let many = orders(1000);
        // Until it is closed; no buffers of a kernel hold as much as a gibibyte.
        let closed = (0..20_000).any(|_| deaf.write_all(&many).is_err());
        assert!(closed, "its orders are taken for ever");
    });
    market.wait_for(|status| stalled(status) == 1);
    sender.join().expect("it was closed");
    ask(&mut connect(market.orders));
    let metrics = get(market.admin, "/metrics");
    assert!(metrics.contains("potoroo_source_stalled_total{source=\"orders\"} 1"), "{metrics}");
    let (report, log) = market.stop();
    assert_eq!(stalled(&report), 1);
    assert_ne!(report["replies_without_connection"], 0);
    for part in ["source `orders` closed 127.0.0.1:", "--reply-stall-ms", "replies that waited"] {
        assert!(log.contains(part), "`{part}` is not in:\n{log}");
    }
}

/// A metric names what blocks a core, not only the core.
#[test]
fn a_client_that_reads_nothing_is_named() {
    let market = Market::start("--cores 0 --outlet-bytes 4096 --reply-stall-ms 600000");
    let deaf = connect(market.orders);
    let peer = deaf.local_addr().expect("it is connected");
    let mut sender = deaf.try_clone().expect("a descriptor");
    let sender = thread::spawn(move || while sender.write_all(&orders(1000)).is_ok() {});
    let named = |status: &Value| {
        let by = status["per_core"][0]["held"]["by"].as_str().unwrap_or_default();
        by.starts_with("connection ") && by.ends_with(&format!(" from {peer}"))
    };
    let status = market.wait_for(named);
    let core = &status["per_core"][0];
    assert!(core["held"]["seconds"].as_f64() > Some(0.0), "{core}");
    assert!(core["turn_ns"]["max"].as_u64() > Some(0), "{core}");
    assert!(core["stages"].to_string().contains("ingress of orders"), "{core}");
    let metrics = get(market.admin, "/metrics");
    assert!(metrics.contains(&format!(" from {peer}\"}}")), "{metrics}");
    deaf.shutdown(Shutdown::Both).expect("it is connected");
    sender.join().expect("it is closed");
    market.wait_for(|status| status["per_core"][0]["held"].is_null());
    market.stop();
}

/// As many orders that their replies fit no kernel, and an outlet that is never full.
const MANY: usize = 500_000;
const ROOMY: &str = "--cores 0 --outlet-bytes 67108864 --connections-max 4";

/// A client that has sent everything, and whose replies wait.
fn lingering(market: &Market) -> TcpStream {
    let mut deaf = connect(market.orders);
    deaf.write_all(&orders(MANY)).expect("the application reads");
    deaf.shutdown(Shutdown::Write).expect("it is connected");
    market.wait_for(|status| named(status, "sources", "orders")["events"] == MANY);
    deaf
}

#[test]
fn a_client_that_has_ended_is_not_waited_for_without_end() {
    let market = Market::start(&format!("{ROOMY} --reply-stall-ms 200"));
    let _deaf = lingering(&market);
    market.wait_for(|status| stalled(status) == 1);
    let (report, _) = market.stop();
    assert_ne!(report["replies_without_connection"], 0);
}

/// What is left of a connection that only waited for its replies must not close its successor.
#[test]
fn the_place_of_a_broken_connection_is_safe_for_the_next() {
    let market = Market::start(ROOMY);
    // It is reset, since there is something that it has not read.
    drop(lingering(&market));
    market.wait_for(|status| status["replies_without_connection"] != 0);
    let mut next = connect(market.orders);
    ask(&mut next);
    // This one began to wait for late replies after the broken one had: when it is closed, the
    // time of the other is over, too.
    assert!(exchange(market.orders, &[]).is_empty());
    ask(&mut next);
    market.stop();
}

#[test]
fn replies_to_what_came_before_a_broken_frame_are_delivered() {
    let market = Market::start("--cores 0,1");
    for _ in 0..5 {
        let mut stream = connect(market.orders);
        // More than is read before the frame is found to be broken.
        let bytes = [orders(500), vec![0xff; 40_000]].concat();
        stream.write_all(&bytes).expect("the application reads");
        let mut answered = Vec::new();
        stream.read_to_end(&mut answered).expect("it is closed, not reset");
        assert!(market::sorted(&answered) == market::sorted(&answers(500)), "{}", answered.len());
    }
    let (report, log) = market.stop();
    assert_eq!(report["replies_without_connection"], 0);
    assert!(log.contains("length is above the limit"), "{log}");
}

#[test]
fn connections_beyond_the_limit_wait() {
    let mut market = Market::start("--cores 0 --connections-max 3");
    let mut held: Vec<_> = (0..3).map(|_| connect(market.orders)).collect();
    held.iter_mut().for_each(ask);
    let mut fourth = connect(market.orders);
    let line = market.app.wait_for("cannot accept");
    assert!(line.contains("source `orders`") && line.contains("--connections-max"), "{line}");
    held.iter_mut().for_each(ask);
    drop(held);
    ask(&mut fourth);
    market.stop();
}
