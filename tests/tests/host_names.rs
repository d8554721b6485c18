//! Hosts with several addresses, of which only one answers.

mod support;

use std::io::Read;
use std::net::{TcpListener, ToSocketAddrs};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use potoroo_connector::{Options, Piece, Source};
use support::{App, Scratch, accept, example, free_port, sink_at};

const WINDOWS: &str = "sequence_windows";

/// Addresses of the names that the application looks up: no process listens at the first one.
const HOSTS: &str = "::1 twofold\n127.0.0.1 localhost twofold\n";

/// Starts the application where [`HOSTS`] stand in `/etc/hosts`; `None` where that is not possible.
fn start(scratch: &Scratch, arguments: &str) -> Option<App> {
    let hosts = scratch.write("hosts", HOSTS.as_bytes());
    let within = |program: &str, arguments: &str| {
        let mut command = Command::new("unshare");
        let mounted = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
        command.args(["--mount", "sh", "-c", mounted, &hosts, program]);
        command.args(arguments.split_whitespace());
        command
    };
    if !within("true", "").output().is_ok_and(|ended| ended.status.success()) {
        eprintln!("skipped: only root can give a name two addresses");
        return None;
    }
    let program = example(WINDOWS).display().to_string();
    Some(App::spawn(within(&program, &format!("--no-progress {arguments}"))))
}

#[test]
fn a_receiver_at_the_second_address_of_its_name_is_found() {
    let scratch = Scratch::new("host-receiver");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let arguments = format!(
        "--source numbers=gen:numbers?count=100 --sink windows=tcp://twofold:{port} --cores 0 \
         --report json"
    );
    let Some(app) = start(&scratch, &arguments) else { return };
    let mut got = String::new();
    accept(&listener).read_to_string(&mut got).expect("it is text");
    assert_eq!(got.lines().count(), 100);
    app.finish().report();
}

/// The client looks up `localhost`, which has a second address on many hosts.
#[test]
fn clients_at_the_second_address_of_their_name_are_found_and_find() {
    let scratch = Scratch::new("host-clients");
    let port = free_port();
    let arguments = format!(
        "--source numbers=potoroo://127.0.0.1:0?streams=1 --sink windows=potoroo://twofold:{port} \
         --cores 0 --report json --state {}",
        scratch.path("state")
    );
    let Some(mut app) = start(&scratch, &arguments) else { return };
    let found = ("localhost", 9).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    if !found.is_ok_and(|found| found.iter().any(|at| at.is_ipv6())) {
        eprintln!("in part: here localhost is 127.0.0.1 only (/etc/hosts)");
    }
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
