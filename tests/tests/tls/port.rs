//! The port of an encrypted link, between real sockets: whatever a network does to the bytes, they
//! come out as they went in, and a port that has something to send or to read never forgets it.

use std::io::IoSlice;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use potoroo::cluster::encryption::Accepted;
use potoroo::turn::{LinkPort, Readiness, Watching};
use potoroo_runtime::{Connection, Poller, ReadOutcome, Ready, WriteOutcome};
use potoroo_sdk::random::Random;

use crate::support::certificates::Authority;
use crate::support::{LIMIT, Scratch};

/// Two ports, and the network between them: what one port sends lies in the socket `near` it until
/// the test carries it to the other one.
struct Between {
    left: Box<dyn LinkPort>,
    right: Box<dyn LinkPort>,
    near_left: Connection,
    near_right: Connection,
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let dialled = TcpStream::connect(address).expect("it listens");
    let (accepted, _) = listener.accept().expect("it was dialled");
    (dialled, accepted)
}

fn adopt(stream: TcpStream) -> Connection {
    Connection::adopt(stream).expect("it is connected")
}

impl Between {
    /// Nodes `a` and `b`, whose handshake goes through a network that passes `chop` bytes at once.
    fn new(test: &str, chop: usize) -> Self {
        let scratch = Scratch::new(test);
        let authority = Authority::new(&scratch, "ca");
        let (a, b) = (authority.node("a"), authority.node("b"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let dialling = thread::spawn(move || a.dial(address, "b").expect("it is b"));
        let (near_left, _) = listener.accept().expect("it is dialled");
        let (near_right, right) = pair();
        let accepting = thread::spawn(move || match b.accept(right).expect("it is a node") {
            Accepted::Alike(channel) => channel,
            Accepted::InTheClear(_) => panic!("it encrypts"),
        });
        let (mut near_left, mut near_right) = (adopt(near_left), adopt(near_right));
        while !(dialling.is_finished() && accepting.is_finished()) {
            // A handshake has a deadline, and a yield may take long: all that is there is carried.
            while carry(&mut near_left, &mut near_right, chop) > 0 {}
            while carry(&mut near_right, &mut near_left, chop) > 0 {}
            thread::yield_now();
        }
        let (left, right) = (dialling.join().expect("it ended"), accepting.join().expect("too"));
        right.check_peer("a").expect("it is a");
        let refused = right.check_peer("c").expect_err("it is not c");
        assert!(refused.contains("DNS:c") || refused.contains("`c`"), "{refused}");
        let left = left.into_port().expect("it is connected");
        Self { left, right: right.into_port().expect("it is connected"), near_left, near_right }
    }

    /// Carries up to `chop` bytes from left to right. Returns how many.
    fn carry(&mut self, chop: usize) -> usize {
        carry(&mut self.near_left, &mut self.near_right, chop)
    }

    /// All that comes out on the right, of reads of `room` bytes.
    fn take(&mut self, room: usize) -> Vec<u8> {
        let (mut taken, mut buffer) = (Vec::new(), vec![0; room]);
        loop {
            match self.right.read(&mut buffer) {
                ReadOutcome::Bytes(count) => taken.extend_from_slice(&buffer[..count]),
                ReadOutcome::WouldBlock => return taken,
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Carries up to `chop` bytes, as a network does. Returns how many.
fn carry(from: &mut Connection, to: &mut Connection, chop: usize) -> usize {
    let mut buffer = vec![0; chop];
    let count = match from.try_read(&mut buffer) {
        ReadOutcome::Bytes(count) => count,
        _ => return 0,
    };
    let mut sent = 0;
    while sent < count {
        match to.try_write(&buffer[sent..count]) {
            WriteOutcome::Bytes(bytes) => sent += bytes,
            WriteOutcome::WouldBlock => thread::yield_now(),
            WriteOutcome::Failed(code) => panic!("the network is broken: {code}"),
        }
    }
    count
}

fn bytes(count: usize) -> Vec<u8> {
    let mut random = Random::new(count as u64);
    (0..count).map(|_| random.below(256) as u8).collect()
}

fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {LIMIT:?}");
        thread::yield_now();
    }
}

#[test]
fn bytes_come_through_one_by_one() {
    let mut between = Between::new("tls-chopped", 1);
    // More than one record, in parts as a link has them.
    let sent = bytes(20_000);
    let parts: Vec<IoSlice<'_>> = sent.chunks(1234).map(IoSlice::new).collect();
    assert_eq!(between.left.write(&parts), WriteOutcome::Bytes(sent.len()));
    let mut came = Vec::new();
    until(|| {
        between.carry(1);
        came.extend(between.take(7));
        (came.len() == sent.len()).then_some(())
    });
    assert!(came == sent, "they came changed");
    assert_eq!(between.take(7), b"");
}

#[test]
fn what_is_decrypted_is_read_without_further_bytes() {
    let mut between = Between::new("tls-rest", 4096);
    let sent = bytes(16 * 1024);
    assert_eq!(between.left.write(&[IoSlice::new(&sent)]), WriteOutcome::Bytes(sent.len()));
    let mut came = Vec::new();
    until(|| {
        between.carry(64 * 1024);
        let mut one = [0];
        (between.right.read(&mut one) == ReadOutcome::Bytes(1)).then(|| came.extend(one))
    });
    // A record is whole, and the network is silent: each further read has the next byte.
    for _ in 1..sent.len() {
        let mut one = [0];
        assert_eq!(between.right.read(&mut one), ReadOutcome::Bytes(1));
        came.extend(one);
    }
    assert!(came == sent, "they came changed");
    assert_eq!(between.right.read(&mut [0]), ReadOutcome::WouldBlock);
}

#[test]
fn what_finds_no_room_stays_with_the_sender_until_there_is_some() {
    let mut between = Between::new("tls-full", 4096);
    let sent = bytes(8 << 20);
    let (mut taken, mut came, mut refusals) = (0, Vec::new(), 0);
    while came.len() < sent.len() {
        // As a link: what was not taken is offered again, in other parts.
        let parts: Vec<IoSlice<'_>> =
            sent[taken..].chunks(5000 + refusals).map(IoSlice::new).take(16).collect();
        let all_taken = parts.is_empty();
        let outcome = if all_taken { WriteOutcome::WouldBlock } else { between.left.write(&parts) };
        match outcome {
            WriteOutcome::Bytes(count) => {
                assert!(count > 0, "it takes something or says that it cannot");
                taken += count;
            }
            WriteOutcome::WouldBlock => {
                refusals += usize::from(!all_taken);
                // Not a multiple of anything.
                between.carry(12_345);
            }
            WriteOutcome::Failed(code) => panic!("{code}"),
        }
        came.extend(between.take(10_000));
        assert!(came.len() <= taken + 2 * 64 * 1024, "more came than was offered");
    }
    assert!(refusals > 0, "the socket was never full");
    assert!(came == sent, "they came changed");
}

/// A core that sleeps is woken for what it could not send.
#[test]
fn room_is_announced_and_then_the_rest_goes() {
    let mut between = Between::new("tls-room", 4096);
    let mut poller = Poller::new().expect("this host has one");
    let sent = bytes(64 * 1024);
    let mut written = 0;
    until(|| match between.left.write(&[IoSlice::new(&sent)]) {
        WriteOutcome::Bytes(count) => {
            written += count;
            None
        }
        outcome => {
            assert_eq!(outcome, WriteOutcome::WouldBlock);
            Some(())
        }
    });
    assert_eq!(between.left.watch_room(&mut poller, 7), Watching::Announced);
    let mut came = 0;
    let mut ready: Vec<Ready> = Vec::new();
    until(|| {
        came += between.take_after_carrying();
        Readiness::poll(&mut poller, &mut ready);
        ready.iter().any(|one| one.token == 7 && one.writable).then_some(())
    });
    // The same bytes again, as the link has them: they were not taken.
    until(|| match between.left.write(&[IoSlice::new(&sent)]) {
        WriteOutcome::Bytes(count) => {
            written += count;
            Some(())
        }
        _ => {
            came += between.take_after_carrying();
            None
        }
    });
    until(|| {
        came += between.take_after_carrying();
        (came == written).then_some(())
    });
}

impl Between {
    fn take_after_carrying(&mut self) -> usize {
        self.carry(64 * 1024);
        self.take(64 * 1024).len()
    }
}

#[test]
fn each_end_of_the_connection_ends_the_link() {
    // Without goodbye: a process died.
    let mut between = Between::new("tls-end", 4096);
    drop(between.near_left);
    drop(between.near_right);
    let ended = until(|| match between.right.read(&mut [0; 64]) {
        ReadOutcome::WouldBlock => None,
        outcome => Some(outcome),
    });
    assert!(matches!(ended, ReadOutcome::Closed | ReadOutcome::Failed(_)), "{ended:?}");
    // A changed bit of a record.
    let mut between = Between::new("tls-changed", 4096);
    assert_eq!(between.left.write(&[IoSlice::new(&[7; 100])]), WriteOutcome::Bytes(100));
    let mut record = [0; 4096];
    let count = until(|| match between.near_left.try_read(&mut record) {
        ReadOutcome::Bytes(count) => Some(count),
        _ => None,
    });
    record[count / 2] ^= 1;
    assert_eq!(between.near_right.try_write(&record[..count]), WriteOutcome::Bytes(count));
    let mut room = [0; 200];
    let code = until(|| match between.right.read(&mut room) {
        ReadOutcome::WouldBlock => None,
        ReadOutcome::Failed(code) => Some(code),
        other => panic!("{other:?}"),
    });
    assert!(between.right.explain(code).contains("TLS"), "{}", between.right.explain(code));
    assert!(room == [0; 200], "nothing of it is believed");
    // The core writes once more before it closes the link.
    let late = between.right.write(&[IoSlice::new(b"late")]);
    assert!(matches!(late, WriteOutcome::Failed(_)), "{late:?}");
}

/// A core is woken by bytes, as in the clear.
#[test]
fn bytes_are_announced() {
    let mut between = Between::new("tls-announced", 4096);
    let mut poller = Poller::new().expect("this host has one");
    assert_eq!(between.right.watch(&mut poller, 3), Watching::Announced);
    assert_eq!(between.left.write(&[IoSlice::new(b"frames")]), WriteOutcome::Bytes(6));
    let mut ready: Vec<Ready> = Vec::new();
    until(|| {
        between.carry(4096);
        Readiness::poll(&mut poller, &mut ready);
        ready.iter().any(|one| one.token == 3 && one.readable).then_some(())
    });
    assert_eq!(between.take(64), b"frames");
}
