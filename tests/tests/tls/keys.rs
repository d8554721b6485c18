//! Keys that change while a link is open: each side asks for that after a number of records that no
//! test can send, so a peer that is no node asks for it.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use potoroo::cluster::encryption::Accepted;
use potoroo::turn::LinkPort;
use potoroo_runtime::{ReadOutcome, WriteOutcome};
use potoroo_sdk::random::Random;
use rustls::Connection;

use super::bare;
use crate::support::certificates::Authority;
use crate::support::{LIMIT, Scratch};

/// A peer that is no node, and what it has received.
struct BarePeer {
    session: Connection,
    wire: TcpStream,
    came: Vec<u8>,
}

impl BarePeer {
    /// A peer whose handshake is over.
    fn new(mut session: Connection, mut wire: TcpStream) -> Self {
        while session.is_handshaking() || session.wants_write() {
            session.complete_io(&mut wire).expect("they fit");
        }
        Self { session, wire, came: Vec::new() }
    }

    /// Receives the first byte of a listener, as a dialler does.
    fn read_first(&mut self) {
        let mut first = [0];
        while self.session.reader().read(&mut first).is_err() {
            self.session.complete_io(&mut self.wire).expect("it is accepted");
        }
        assert_eq!(first, [1]);
    }

    /// Sends as much as the socket takes, and receives all that is there.
    fn go_on(&mut self) {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.wire) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                written => drop(written.expect("it is connected")),
            }
        }
        loop {
            match self.session.read_tls(&mut self.wire) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                read => assert!(read.expect("it is connected") > 0, "it has ended"),
            }
            self.session.process_new_packets().expect("the records are sound");
            // Its error says that no more is there.
            let _ = self.session.reader().read_to_end(&mut self.came);
        }
    }

    /// Changes the keys of its records, asks for a change of the others, and sends a byte.
    fn change_keys(&mut self, byte: u8) {
        self.session.refresh_traffic_keys().expect("a handshake is over");
        self.session.writer().write_all(&[byte]).expect("it takes one");
    }
}

/// Changes keys each time when the port owes what it has encrypted.
fn change_keys_of(mut port: Box<dyn LinkPort>, mut peer: BarePeer) {
    const CHANGES: usize = 9;
    peer.wire.set_nonblocking(true).expect("it is a socket");
    let mut random = Random::new(7);
    let sent: Vec<u8> = (0..8 << 20).map(|_| random.below(256) as u8).collect();
    let (mut taken, mut changes, mut read) = (0, Vec::new(), Vec::new());
    let deadline = Instant::now() + LIMIT;
    let mut room = [0; 64];
    while peer.came.len() < sent.len() || read.len() < changes.len() {
        assert!(Instant::now() < deadline, "{} bytes came within {LIMIT:?}", peer.came.len());
        let rest: Vec<IoSlice<'_>> = sent[taken..].chunks(9000).map(IoSlice::new).take(9).collect();
        let all_taken = rest.is_empty();
        match if all_taken { WriteOutcome::WouldBlock } else { port.write(&rest) } {
            WriteOutcome::Bytes(count) => {
                taken += count;
                continue;
            }
            WriteOutcome::WouldBlock => {}
            WriteOutcome::Failed(code) => panic!("{}", port.explain(code)),
        }
        if !all_taken && changes.len() < CHANGES {
            changes.push(changes.len() as u8);
            peer.change_keys(changes.len() as u8 - 1);
        }
        match port.read(&mut room) {
            ReadOutcome::Bytes(count) => read.extend_from_slice(&room[..count]),
            ReadOutcome::WouldBlock => {}
            ReadOutcome::Failed(code) => panic!("{}", port.explain(code)),
            other => panic!("{other:?}"),
        }
        peer.go_on();
    }
    assert!(changes.len() > 1, "the socket was never full");
    assert_eq!(read, changes);
    assert!(peer.came == sent, "they came changed");
}

#[test]
fn keys_change_while_a_port_that_was_dialled_owes_bytes() {
    let scratch = Scratch::new("tls-keys-accepted");
    let authority = Authority::new(&scratch, "ca");
    let (a, b) = (authority.issue("a"), authority.node("b"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let wire = TcpStream::connect(listener.local_addr().expect("it is bound"));
    let (stream, _) = listener.accept().expect("it was dialled");
    let accepting = thread::spawn(move || match b.accept(stream).expect("it is a node") {
        Accepted::Alike(channel) => channel.into_port().expect("it is connected"),
        Accepted::InTheClear(_) => panic!("it encrypts"),
    });
    let mut peer = BarePeer::new(bare::client(&a, "b").into(), wire.expect("it listens"));
    peer.read_first();
    change_keys_of(accepting.join().expect("it ended"), peer);
}

#[test]
fn keys_change_while_a_port_that_dialled_owes_bytes() {
    let scratch = Scratch::new("tls-keys-dialled");
    let authority = Authority::new(&scratch, "ca");
    let (a, b) = (authority.node("a"), authority.issue("b"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let dialling = thread::spawn(move || {
        a.dial(address, "b").expect("it is b").into_port().expect("it is connected")
    });
    let (wire, _) = listener.accept().expect("it is dialled");
    let mut peer = BarePeer::new(bare::server(&b).into(), wire);
    peer.session.writer().write_all(&[1]).expect("it takes one");
    peer.session.complete_io(&mut peer.wire).expect("it is connected");
    change_keys_of(dialling.join().expect("it ended"), peer);
}
