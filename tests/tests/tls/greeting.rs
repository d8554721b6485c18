//! Greetings between encrypted nodes, and with others: each is refused with its reason, and holds
//! no other node up.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use potoroo::cluster::channel::Channel;
use potoroo::cluster::encryption::{Accepted, Encryption};
use potoroo::cluster::greeting::{Greeting, LinkListener};
use potoroo::cluster::knocking::WAITING_MAX;
use potoroo::cluster::refusal::is_refusal;
use potoroo::cluster::tls_files::TlsFiles;
use rustls::Stream;

use super::bare;
use crate::support::certificates::{Authority, Valid};
use crate::support::{LIMIT, Scratch};

const GREETING: Greeting = Greeting { generation: 7, secret: 0xabc, from: 1, to: 3 };

fn any() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn listener(encryption: Encryption) -> LinkListener {
    LinkListener::open(any(), GREETING.secret, encryption).expect("a port is free")
}

/// What a dialler with `own` encryption, which means `node`, is answered by `other`; and what that
/// makes of it.
fn meet(own: &Encryption, node: &str, other: &Encryption) -> (Result<Channel, String>, String) {
    let listener = TcpListener::bind(any()).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let other = other.clone();
    let accepting = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("it is dialled");
        match other.accept(stream) {
            Ok(Accepted::Alike(_)) => "a node".to_owned(),
            Ok(Accepted::InTheClear(_)) => "in the clear".to_owned(),
            Err(error) => format!("{}: {error}", if is_refusal(&error) { "refused" } else { "io" }),
        }
    });
    let dialled = own.dial(address, node).map_err(|error| {
        assert!(is_refusal(&error), "{error}");
        error.to_string()
    });
    (dialled, accepting.join().expect("it does not panic"))
}

#[test]
fn each_misfit_is_refused_with_its_reason_on_both_sides() {
    let scratch = Scratch::new("tls-misfits");
    let (ours, theirs) = (Authority::new(&scratch, "ours"), Authority::new(&scratch, "theirs"));
    let (a, b) = (ours.node("a"), ours.node("b"));
    let (fits, said) = meet(&a, "b", &b);
    fits.expect("both fit").check_peer("b").expect("it is b");
    assert_eq!(said, "a node");
    let refused = |own: &Encryption, node: &str, other: &Encryption| {
        let (refused, said) = meet(own, node, other);
        (refused.map(drop).expect_err("it does not fit"), said)
    };
    // Another node than the one that is meant.
    let (why, said) = refused(&a, "c", &b);
    assert!(why.contains("its certificate is for") && why.contains("not for node `c`"), "{why}");
    assert!(said.contains("refused: it refuses this node"), "{said}");
    // A certificate of another authority: the dialler's trust, and then the listener's.
    let (why, said) = refused(&theirs.node("a"), "b", &b);
    assert!(why.contains("was not issued by an authority of --tls-ca"), "{why}");
    assert!(said.contains("no authority that it knows"), "{said}");
    let (why, said) = refused(&mixed(&scratch, &ours, &theirs), "b", &b);
    assert!(why.contains("no authority that it knows: give all nodes one --tls-ca"), "{why}");
    assert!(said.contains("refused: its certificate was not issued by an authority"), "{said}");
    // One of them does not encrypt.
    let (why, said) = refused(&a, "b", &Encryption::InTheClear);
    assert!(why.contains("it does not speak TLS 1.3: give all nodes --tls-cert"), "{why}");
    assert!(said.contains("refused: it encrypts what nodes send each other"), "{said}");
}

/// A node that trusts `ours`, and shows a certificate of `theirs`, which it trusts as well.
fn mixed(scratch: &Scratch, ours: &Authority, theirs: &Authority) -> Encryption {
    let files = theirs.issue_as("mixed", &["a"], Valid::Now);
    let read = |files: &TlsFiles| std::fs::read(&files.authority).expect("it was written");
    let both = [read(&files), read(&ours.files("a"))].concat();
    let authority = scratch.write("both.pem", &both).into();
    Encryption::load(&TlsFiles { authority, ..files }, "a").expect("the files are sound")
}

/// What a client with these files reads, which checks nothing of its own.
fn read_as(files: &TlsFiles, node: &str, address: SocketAddr) -> String {
    let mut session = bare::client(files, node);
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    let read = Stream::new(&mut session, &mut stream).read(&mut [0; 16]);
    read.map_or_else(|error| error.to_string(), |count| format!("{count} bytes"))
}

#[test]
fn a_certificate_out_of_its_time_is_refused() {
    let scratch = Scratch::new("tls-times");
    let authority = Authority::new(&scratch, "ca");
    let b = listener(authority.node("b"));
    let old = authority.issue_as("old", &["a"], Valid::Before);
    let said = read_as(&old, "b", b.address());
    assert!(said.contains("CertificateExpired"), "{said}");
    let early = authority.issue_as("early", &["a"], Valid::Later);
    let said = read_as(&early, "b", b.address());
    assert!(said.contains("alert"), "{said}");
    assert_eq!(read_as(&authority.issue("c"), "b", b.address()), "1 bytes", "that one may");
    // A node notices at its own start.
    for (files, part) in [(old, "has expired"), (early, "is not valid yet")] {
        let refused = Encryption::load(&files, "a").expect_err("it is out of its time");
        assert!(refused.contains("--tls-cert") && refused.contains(part), "{refused}");
    }
}

#[test]
fn files_that_cannot_be_used_are_refused_by_name() {
    let scratch = Scratch::new("tls-files");
    let (ours, theirs) = (Authority::new(&scratch, "ours"), Authority::new(&scratch, "theirs"));
    let (good, other) = (ours.issue("a"), ours.issue("b"));
    let absent = || scratch.path("absent").into();
    let garbage = || scratch.write("garbage", b"no PEM at all").into();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let broken = || scratch.write("broken", broken.as_bytes()).into();
    let long = || scratch.write("long", &vec![b'x'; 2 << 20]).into();
    let refused = |files: TlsFiles, node: &str, parts: &[&str]| {
        let refused = Encryption::load(&files, node).expect_err("it cannot be used");
        parts.iter().for_each(|part| assert!(refused.contains(part), "`{part}`: {refused}"));
    };
    let with = |change: &dyn Fn(&mut TlsFiles)| {
        let mut files = good.clone();
        change(&mut files);
        files
    };
    let no_file = "there is no such file";
    refused(with(&|files| files.certificate = absent()), "a", &["--tls-cert", no_file]);
    refused(with(&|files| files.key = absent()), "a", &["--tls-key", no_file]);
    refused(with(&|files| files.authority = absent()), "a", &["--tls-ca", no_file]);
    refused(with(&|files| files.certificate = garbage()), "a", &["--tls-cert", "no certificate"]);
    refused(with(&|files| files.certificate = broken()), "a", &["--tls-cert", "broken"]);
    refused(with(&|files| files.certificate = long()), "a", &["--tls-cert", "too long"]);
    refused(with(&|files| files.key = garbage()), "a", &["--tls-key", "no private key"]);
    refused(with(&|files| files.authority = garbage()), "a", &["--tls-ca", "no certificate"]);
    let key = other.key;
    refused(with(&|files| files.key = key.clone()), "a", &["is not the key of --tls-cert"]);
    let its = &["--tls-cert", "is for", "`a`", "not for node `b`", "--node"];
    refused(good.clone(), "b", its);
    refused(good.clone(), "1", &["`1` is no DNS name", "`node-1`"]);
    let authority = theirs.files("a").authority;
    let foreign = &["was not issued by an authority of --tls-ca"];
    refused(with(&|files| files.authority = authority.clone()), "a", foreign);
    // A wildcard is as good as the name.
    let wild = ours.issue_as("wild", &["*.orders.example"], Valid::Now);
    Encryption::load(&wild, "a.orders.example").expect("it is for that name, too");
    refused(wild, "a.other.example", &["not for node"]);
}

#[test]
fn a_link_of_another_node_is_not_taken() {
    let scratch = Scratch::new("tls-seats");
    let authority = Authority::new(&scratch, "ca");
    let (a, c) = (authority.node("a"), authority.node("c"));
    let listener = listener(authority.node("b"));
    // Node `c` says that it has the seat of node `a`.
    GREETING.dial(listener.address(), "b", &c).expect("it is kept, as seats are not known yet");
    let refused = listener.take(GREETING, "a", &|| false).expect_err("it is c's");
    let text = refused.to_string();
    assert!(text.contains("but another node did") && text.contains("not for node `a`"), "{text}");
    let dialled = GREETING.dial(listener.address(), "b", &a).expect("it listens");
    let taken = listener.take(GREETING, "a", &|| true).expect("it is a's");
    assert_eq!(taken.tcp().peer_addr().ok(), dialled.tcp().local_addr().ok());
}

#[test]
fn a_link_of_another_node_does_not_replace_the_right_one() {
    let scratch = Scratch::new("tls-guessed");
    let authority = Authority::new(&scratch, "ca");
    let (a, c) = (authority.node("a"), authority.node("c"));
    let listener = listener(authority.node("b"));
    let dial = |node: &Encryption| GREETING.dial(listener.address(), "b", node).expect("kept");
    // Node `a` dials twice: the second one counts.
    let (before, dialled, guessed) = (dial(&a), dial(&a), dial(&c));
    let taken = listener.take(GREETING, "a", &|| false).expect("it is kept");
    assert_eq!(taken.tcp().peer_addr().ok(), dialled.tcp().local_addr().ok());
    for mut closed in [before, guessed] {
        let read = closed.read(&mut [0]).map_err(|error| error.kind());
        assert!(!matches!(read, Ok(1) | Err(ErrorKind::TimedOut)), "it is not closed: {read:?}");
    }
    listener.take(GREETING, "c", &|| false).expect_err("it is closed");
}

#[test]
fn strangers_on_an_encrypted_port_hold_no_link_up() {
    let scratch = Scratch::new("tls-strangers");
    let authority = Authority::new(&scratch, "ca");
    let a = authority.node("a");
    let listener = listener(authority.node("b"));
    let connect = || TcpStream::connect(listener.address()).expect("it listens");
    // Silent, in the midst of a handshake, and in the clear.
    let mut strangers: Vec<_> = (0..WAITING_MAX).map(|_| connect()).collect();
    for beginning in [&[22, 3, 1][..], &[22, 3, 1, 64, 0, 1, 0, 63, 252], b"GET / HTTP/1.1\r\n\r\n"]
    {
        let mut stranger = connect();
        stranger.write_all(beginning).expect("it reads");
        strangers.push(stranger);
    }
    GREETING.dial(listener.address(), "b", &a).expect("it is taken at once");
    listener.take(GREETING, "a", &|| true).expect("it is kept");
    // Garbage ends with an alert or without a word.
    let mut garbage = connect();
    garbage.write_all(&[22, 3, 1, 0, 5, 9, 9, 9, 9, 9]).expect("it reads");
    let mut answer = Vec::new();
    let _ = garbage.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
}

/// Each byte of a handshake comes late: its thread ends at the deadline all the same.
#[test]
fn a_handshake_has_one_deadline() {
    let scratch = Scratch::new("tls-slow");
    let authority = Authority::new(&scratch, "ca");
    let listener = listener(authority.node("b"));
    let mut slow = TcpStream::connect(listener.address()).expect("it listens");
    slow.set_read_timeout(Some(Duration::from_millis(20))).expect("a limit");
    let deadline = Instant::now() + LIMIT;
    slow.write_all(&[22, 3, 1, 64, 0]).expect("it reads");
    loop {
        assert!(Instant::now() < deadline, "it is not left within {LIMIT:?}");
        match slow.read(&mut [0]) {
            Ok(0) => break,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => break drop(other),
        }
        if slow.write_all(&[0]).is_err() {
            break;
        }
    }
}

/// The system ends calls of a process that was stopped and goes on.
#[test]
fn a_handshake_outlasts_a_stop_of_its_process() {
    let scratch = Scratch::new("tls-stopped");
    let authority = Authority::new(&scratch, "ca");
    let (a, b) = (authority.node("a"), authority.node("b"));
    let listener = TcpListener::bind(any()).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let dialling = thread::spawn(move || a.dial(address, "b").map(drop));
    let (stream, _) = listener.accept().expect("it is dialled");
    // The dialler waits for its answer meanwhile.
    for _ in 0..5 {
        let mut shell = Command::new("sh");
        shell.args(["-c", "kill -STOP $PPID; kill -CONT $PPID"]);
        assert!(shell.status().expect("there is one").success());
    }
    b.accept(stream).expect("it is a node");
    dialling.join().expect("it does not panic").expect("it is b");
}

#[test]
fn a_peer_that_says_nothing_or_goes_is_named() {
    let scratch = Scratch::new("tls-silent");
    let a = Authority::new(&scratch, "ca").node("a");
    let listener = TcpListener::bind(any()).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (own, other) = (a.clone(), a);
    let silent = thread::spawn(move || own.dial(address, "b").map(drop));
    let (stream, _) = listener.accept().expect("it is dialled");
    let gone = thread::spawn(move || other.dial(address, "b").map(drop));
    drop(listener.accept().expect("it is dialled"));
    let text = |dialled: thread::JoinHandle<std::io::Result<()>>| {
        dialled.join().expect("it does not panic").expect_err("it is no node").to_string()
    };
    let said = text(gone);
    assert!(said.contains("it ended the connection") || said.contains("reset"), "{said}");
    let said = text(silent);
    assert!(said.contains("it did not answer within"), "{said}");
    drop(stream);
}
