//! Hosts with several addresses, of which only one answers.

mod support;

use std::io::Read;
use std::net::{TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use potoroo_connector::{Options, Piece, Source};
use support::{App, Scratch, accept, free_port, sink_at};

const WINDOWS: &str = "sequence_windows";

/// Whether something stands in front of 127.0.0.1.
fn has_several() -> bool {
    let found = ("localhost", 9).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    let several = found.is_ok_and(|found| found.iter().any(|at| at.is_ipv6()));
    if !several {
        eprintln!("skipped: here localhost is 127.0.0.1 only (/etc/hosts)");
    }
    several
}

#[test]
fn a_receiver_at_the_second_address_of_its_name_is_found() {
    if !has_several() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let app = App::start(
        WINDOWS,
        &format!(
            "--source numbers=gen:numbers?count=100 --sink windows=tcp://localhost:{port} \
             --cores 0 --report json"
        ),
    );
    let mut got = String::new();
    accept(&listener).read_to_string(&mut got).expect("it is text");
    assert_eq!(got.lines().count(), 100);
    app.finish().report();
}

#[test]
fn clients_at_the_second_address_of_their_name_are_found_and_find() {
    if !has_several() {
        return;
    }
    let scratch = Scratch::new("host-names");
    let port = free_port();
    let mut app = App::start(
        WINDOWS,
        &format!(
            "--source numbers=potoroo://127.0.0.1:0?streams=1 --sink \
             windows=potoroo://localhost:{port} --cores 0 --report json --state {}",
            scratch.path("state")
        ),
    );
    let source = app.listening("numbers").port();
    let over = Arc::new(AtomicBool::new(false));
    let of_thread = over.clone();
    let taking = std::thread::spawn(move || {
        let mut sink = sink_at(port, "", 0);
        let mut got = Vec::new();
        while !of_thread.load(Ordering::Relaxed) {
            match sink.try_next().expect("it listens") {
                Some(Piece::Data(bytes)) => got.extend_from_slice(bytes),
                Some(Piece::End { transaction }) => sink.commit(transaction),
                _ => {}
            }
        }
        got
    });
    let mut client = Source::connect(Options::new(format!("localhost:{source}"))).expect("found");
    let (stream, _) = client.open("numbers", 0).expect("it is opened");
    client.send(stream, 1, b"1\n2\n").expect("it is taken");
    client.end(stream);
    client.finish().expect("it is committed");
    app.finish().report();
    over.store(true, Ordering::Relaxed);
    let got = taking.join().expect("no panic");
    assert_eq!(String::from_utf8(got).expect("it is text").lines().count(), 2);
}
