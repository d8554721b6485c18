//! Real applications over real files and sockets: what goes out is what the rule demands.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};

use serde_json::Value;
use support::market::{self, QUOTE_COUNT, QUOTES};
use support::{App, Scratch, accept, connect, example, exchange, named, receiver, wait_for_status};

const MARKET: &str = "market_spread";

/// Sends the recorded quotes and waits until all of them have set their market.
fn send_quotes(quotes: SocketAddr, admin: SocketAddr) {
    assert_eq!(exchange(quotes, QUOTES), b"");
    let applied = |path: &Value| path["end"] == "markets" && path["events"] == QUOTE_COUNT;
    wait_for_status(admin, |status| {
        status["paths"].as_array().is_some_and(|paths| paths.iter().any(applied))
    });
}

#[test]
fn replies_are_the_rejections_that_the_rule_demands() {
    let (orders, rejections) = market::orders_and_rejections();
    for cores in ["0", "0,1", "0,0,1"] {
        let arguments = format!(
            "--source quotes=tcp://127.0.0.1:0?connections=1 \
             --source orders=tcp://127.0.0.1:0?connections=1 \
             --reply --admin 127.0.0.1:0 --cores {cores} --report json"
        );
        let mut app = App::start(MARKET, &arguments);
        let (quotes_at, orders_at) = (app.listening("quotes"), app.listening("orders"));
        let admin = app.admin();
        send_quotes(quotes_at, admin);
        let replies = exchange(orders_at, &orders);
        assert_eq!(market::sorted(&replies), market::sorted(&rejections), "cores {cores}");
        // Both sources ended with their only connection.
        let report = app.finish().report();
        assert_eq!(report["stop"], "ended");
        assert_eq!(named(&report, "sources", "quotes")["events"], QUOTE_COUNT);
        assert_eq!(named(&report, "sources", "orders")["refused"], 0);
        assert_eq!(report["replies_without_connection"], 0);
    }
}

#[test]
fn a_receiver_gets_the_rejections() {
    let (orders, rejections) = market::orders_and_rejections();
    let (listener, receiver) = receiver();
    let arguments = format!(
        "--source quotes=tcp://127.0.0.1:0?connections=1 \
         --source orders=tcp://127.0.0.1:0?connections=2 \
         --sink rejections=tcp://{receiver} --admin 127.0.0.1:0 --cores 0,1 --report json"
    );
    let mut app = App::start(MARKET, &arguments);
    let (quotes_at, orders_at) = (app.listening("quotes"), app.listening("orders"));
    let admin = app.admin();
    let mut receiver = accept(&listener);
    send_quotes(quotes_at, admin);
    // Two connections, on two cores: half of the orders each.
    let half = orders.len() / 114 * 57;
    assert_eq!(exchange(orders_at, &orders[..half]), b"");
    assert_eq!(exchange(orders_at, &orders[half..]), b"");
    let mut received = Vec::new();
    receiver.read_to_end(&mut received).expect("the application closes");
    assert_eq!(market::sorted(&received), market::sorted(&rejections));
    let report = app.finish().report();
    assert_eq!(named(&report, "sinks", "rejections")["bytes"], rejections.len());
}

#[test]
fn a_file_gets_the_rejections() {
    let (orders, rejections) = market::orders_and_rejections();
    let scratch = Scratch::new("wire-file");
    let quotes = scratch.write("quotes", QUOTES);
    for cores in ["0", "0,1"] {
        let arguments = format!(
            "--source quotes=file:{quotes} --source orders=tcp://127.0.0.1:0?connections=1 \
             --sink rejections=file:{} --admin 127.0.0.1:0 --cores {cores} --report json",
            scratch.path("rejections")
        );
        let mut app = App::start(MARKET, &arguments);
        let orders_at = app.listening("orders");
        let admin = app.admin();
        wait_for_status(admin, |status| status["paths"][0]["events"] == QUOTE_COUNT);
        assert_eq!(exchange(orders_at, &orders), b"");
        app.finish().report();
        let written = scratch.read("rejections");
        assert_eq!(market::sorted(&written), market::sorted(&rejections), "cores {cores}");
    }
}

/// Both streams from files: then their order is not defined, so each order comes with a symbol
/// that only it has, or that has no quote at all.
#[test]
fn orders_from_a_file_are_rejected_without_a_quote() {
    let scratch = Scratch::new("wire-orders");
    let quotes = scratch.write("quotes", QUOTES);
    let symbol = |id: usize| format!("{id:04}").into_bytes();
    let orders: Vec<u8> = (0..5000).flat_map(|id| market::order(id, &symbol(id), 1.0)).collect();
    let orders = scratch.write("orders", &orders);
    let arguments = format!(
        "--source quotes=file:{quotes} --source orders=file:{orders} \
         --sink rejections=file:{} --cores 0,1 --report json",
        scratch.path("rejections")
    );
    let report = App::start(MARKET, &arguments).finish().report();
    let expected: Vec<u8> =
        (0..5000).flat_map(|id| market::rejection(id, &symbol(id), 1.0, 0.0, 0.0)).collect();
    assert_eq!(market::sorted(&scratch.read("rejections")), market::sorted(&expected));
    assert_eq!(named(&report, "tables", "markets")["rows"], 5000 + QUOTE_COUNT);
}

#[test]
fn sequence_windows_are_right_on_any_cores() {
    let scratch = Scratch::new("wire-windows");
    let numbers: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    let numbers = scratch.write("numbers", numbers.as_bytes());
    let windows = scratch.path("windows");
    for cores in ["0", "0,1", "0,1,0,1,0,1,0,1"] {
        for idle in ["adaptive", "park"] {
            let arguments = format!(
                "--source numbers=file:{numbers} --sink windows=file:{windows} \
                 --cores {cores} --idle {idle} --report json"
            );
            let report = App::start("sequence_windows", &arguments).finish().report();
            assert_eq!(named(&report, "sinks", "windows")["events"], 100_000, "cores {cores}");
            let mut validate = std::process::Command::new(example("sequence_windows"));
            validate.args(["--validate", &windows]);
            let judged = App::spawn(validate).finish();
            assert_eq!(judged.code, Some(0), "cores {cores}: {}", judged.log);
            assert!(judged.out.contains("all 100000 windows are right"), "{}", judged.out);
        }
    }
}

/// Replies that do not fit the buffers of the connection: the peer reads them late.
#[test]
fn a_peer_that_reads_late_gets_every_reply() {
    const ORDERS: usize = 200_000;
    let arguments = "--source quotes=tcp://127.0.0.1:0?connections=1 --cores 0,1 --reply \
                     --source orders=tcp://127.0.0.1:0?connections=1 --report json";
    let mut app = App::start(MARKET, arguments);
    let (quotes_at, orders_at) = (app.listening("quotes"), app.listening("orders"));
    drop(connect(quotes_at));
    let mut peer = connect(orders_at);
    let mut writer = peer.try_clone().expect("a descriptor");
    let (begun_in, begun) = std::sync::mpsc::channel();
    let sender = std::thread::spawn(move || {
        for id in 0..ORDERS {
            writer.write_all(&market::order(id, b" ZZZ", 1.0)).expect("the application reads");
            if id == ORDERS / 10 {
                begun_in.send(()).expect("the test waits");
            }
        }
        writer.shutdown(Shutdown::Write).expect("it is connected");
    });
    begun.recv_timeout(support::LIMIT).expect("buffers take the first orders");
    let mut replies = Vec::new();
    peer.read_to_end(&mut replies).expect("the application closes");
    sender.join().expect("the sender ends");
    // All orders have one symbol and so one decider: their order is kept.
    let expected: Vec<u8> =
        (0..ORDERS).flat_map(|id| market::rejection(id, b" ZZZ", 1.0, 0.0, 0.0)).collect();
    assert!(replies == expected, "{} bytes of {}", replies.len(), expected.len());
    app.finish().report();
}
