//! Greetings: how a connection becomes a link between two cores of two nodes.
//!
//! ```text
//!   dialler ── "PTRLINK1", secret, generation, from seat, to seat ──► listener
//!           ◄── 1 if it waits for that link ──
//! ```
//!
//! The node that comes first among the nodes of a generation dials. A listener keeps a link that
//! it does not wait for yet: the lead tells the nodes one after the other. Where links are
//! encrypted, the handshake comes first, and the node that has a seat is known when its link is
//! taken. Promises: a link of one generation never gets to a core of another; a stranger gets no
//! memory beyond one greeting and handshake, and is left after
//! [`PATIENCE`](super::timed::PATIENCE).

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, Builder};
use std::time::Duration;

use rustix::net::sockopt;

use super::channel::Channel;
use super::encryption::{Accepted, Encryption};
use super::knocking::{Knock, Knocking};
use super::timed::ended;

/// Who greets whom, and in which generation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Greeting {
    /// Of HEAD.
    pub generation: u64,
    /// What only the nodes of the cluster know.
    pub secret: u128,
    /// Seat of the dialler.
    pub from: u32,
    /// Seat of the listener.
    pub to: u32,
}

const MAGIC: [u8; 8] = *b"PTRLINK1";

/// Bytes of a greeting.
pub const GREETING_BYTES: usize = 40;

/// How often it is looked whether a link is still wanted.
const LOOK: Duration = Duration::from_millis(20);

/// Links that are kept before their generation begins here.
const KEPT_MAX: usize = 16 * 1024;

impl Greeting {
    fn write(self) -> [u8; GREETING_BYTES] {
        let mut bytes = [0; GREETING_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..24].copy_from_slice(&self.secret.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.generation.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.from.to_le_bytes());
        bytes[36..].copy_from_slice(&self.to.to_le_bytes());
        bytes
    }

    fn read(bytes: [u8; GREETING_BYTES]) -> Option<Self> {
        let u32_at = |at: usize| Some(u32::from_le_bytes(bytes[at..at + 4].try_into().ok()?));
        let greeting = Self {
            secret: u128::from_le_bytes(bytes[8..24].try_into().ok()?),
            generation: u64::from_le_bytes(bytes[24..32].try_into().ok()?),
            from: u32_at(32)?,
            to: u32_at(36)?,
        };
        (bytes[..8] == MAGIC).then_some(greeting)
    }

    /// Connects with `node` at `address`, and greets.
    ///
    /// # Errors
    /// No node listens there, or it is not the node that is meant.
    pub fn dial(
        self,
        address: SocketAddr,
        node: &str,
        encryption: &Encryption,
    ) -> io::Result<Channel> {
        let mut channel = encryption.dial(address, node)?;
        channel.write_all(&self.write())?;
        let mut answer = [0];
        channel.read_exact(&mut answer).map_err(ended)?;
        match answer {
            [ACCEPTED] => Ok(channel),
            _ => Err(io::Error::other("it takes no link of this generation")),
        }
    }
}

const ACCEPTED: u8 = 1;

/// Has the system break a connection on which the other machine has answered nothing for `limit`,
/// though bytes wait for it or it was asked. A process that stands still is not cut off: its system
/// answers.
///
/// # Errors
/// The system does not.
pub fn break_when_cut_off(stream: &TcpStream, limit: Duration) -> io::Result<()> {
    let limit = limit.max(SILENCE_MIN);
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, SILENCE_MIN)?;
    sockopt::set_tcp_keepintvl(stream, SILENCE_MIN)?;
    sockopt::set_tcp_user_timeout(stream, limit.as_millis() as u32)?;
    Ok(())
}

/// The system counts it in seconds.
const SILENCE_MIN: Duration = Duration::from_secs(1);

/// How long the other machine of a link may answer nothing: a suspended node, which reads nothing,
/// is waited for.
pub const LINK_SILENCE: Duration = Duration::from_secs(30);

/// Where a node takes links.
pub struct LinkListener {
    address: SocketAddr,
    kept: Arc<Kept>,
}

#[derive(Default)]
struct Kept {
    secret: u128,
    encryption: Encryption,
    /// One of each peer that greets so: which of them has the seat is known later.
    links: Mutex<BTreeMap<Greeting, Vec<Channel>>>,
    came: Condvar,
    ended: AtomicBool,
}

impl LinkListener {
    /// Listens at `address` for nodes that know the `secret`, from now until this is dropped.
    ///
    /// # Errors
    /// It cannot.
    pub fn open(address: SocketAddr, secret: u128, encryption: Encryption) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let kept = Arc::new(Kept { secret, encryption, ..Kept::default() });
        let of_thread = kept.clone();
        Builder::new()
            .name("potoroo-links".to_owned())
            .spawn(move || accept(&listener, &of_thread))?;
        Ok(Self { address, kept })
    }

    /// One to which no link ever comes, in the place of that at `address`.
    pub fn closed(address: SocketAddr) -> Self {
        let kept = Kept { ended: AtomicBool::new(true), ..Kept::default() };
        Self { address, kept: Arc::new(kept) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the link of `node` that `greeting` announces, while it `is_wanted`: a node that
    /// still frees or loads the state of the generation before is slower than the others. Links of
    /// other nodes with the same greeting are closed.
    ///
    /// # Errors
    /// It is not wanted any more.
    pub fn take(
        &self,
        greeting: Greeting,
        node: &str,
        is_wanted: &dyn Fn() -> bool,
    ) -> io::Result<Channel> {
        let mut links = self.kept.links.lock().unwrap_or_else(PoisonError::into_inner);
        let mut other = String::new();
        loop {
            let mut taken = None;
            for channel in links.remove(&greeting).unwrap_or_default() {
                match channel.check_peer(node) {
                    Ok(()) => taken = taken.or(Some(channel)),
                    Err(reason) => {
                        tracing::warn!("a link that is to be of node `{node}` is closed: {reason}");
                        other = format!(", but another node did: {reason}");
                    }
                }
            }
            if let Some(channel) = taken {
                return Ok(channel);
            }
            if !is_wanted() {
                let Greeting { from, to, .. } = greeting;
                let text = format!("core {from} made no link to core {to}{other}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            let waited = self.kept.came.wait_timeout(links, LOOK);
            links = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether links are encrypted.
    pub fn encryption(&self) -> &Encryption {
        &self.kept.encryption
    }

    /// Closes links of generations before `generation`.
    pub fn forget_before(&self, generation: u64) {
        let mut links = self.kept.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|greeting, _| greeting.generation >= generation);
    }
}

impl Drop for LinkListener {
    fn drop(&mut self) {
        if !self.kept.ended.swap(true, Ordering::Relaxed) {
            wake(self.address);
        }
    }
}

/// Has a thread that waits for a connection at `address` look whether it is to end.
pub fn wake(address: SocketAddr) {
    let _ = TcpStream::connect_timeout(&address, Duration::from_secs(1));
}

fn accept(listener: &TcpListener, kept: &Arc<Kept>) {
    let waiting = Arc::new(Knocking::default());
    while !kept.ended.load(Ordering::Relaxed) {
        let Ok((stream, _)) = listener.accept() else {
            // No descriptor is free: some will be.
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        let of_thread = kept.clone();
        waiting.serve("potoroo-greet", stream, move |stream, knock| {
            // A stranger gets no answer.
            let _ = greet(stream, &of_thread, knock);
        });
    }
}

fn greet(stream: TcpStream, kept: &Kept, knock: Knock) -> io::Result<()> {
    // In the clear it would show what others may not know.
    let Accepted::Alike(mut channel) = kept.encryption.accept(stream)? else { return Ok(()) };
    let mut bytes = [0; GREETING_BYTES];
    channel.read_exact(&mut bytes)?;
    let known = Greeting::read(bytes).filter(|greeting| greeting.secret == kept.secret);
    let Some(greeting) = known else { return Ok(()) };
    // What is accepted is not closed for another one.
    drop(knock);
    let mut links = kept.links.lock().unwrap_or_else(PoisonError::into_inner);
    if links.values().map(Vec::len).sum::<usize>() < KEPT_MAX {
        channel.write_all(&[ACCEPTED])?;
        let of_greeting = links.entry(greeting).or_default();
        // A node that dials once more has closed what it dialled before.
        of_greeting.retain(|one| !one.has_peer_of(&channel));
        of_greeting.push(channel);
        kept.came.notify_all();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::cluster::knocking::WAITING_MAX;

    const GREETING: Greeting = Greeting { generation: 7, secret: 0xabc, from: 1, to: 3 };

    fn listener() -> LinkListener {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        LinkListener::open(address, 0xabc, Encryption::InTheClear).expect("a port is free")
    }

    fn dial(listener: &LinkListener) -> Channel {
        let dialled = GREETING.dial(listener.address(), "b", &Encryption::InTheClear);
        dialled.expect("it listens")
    }

    #[test]
    fn a_link_that_comes_early_is_kept_for_its_generation_only() {
        let listener = listener();
        let dialled = dial(&listener);
        let later = Greeting { generation: 8, ..GREETING };
        let refused = listener.take(later, "a", &|| false).expect_err("that is another one");
        assert!(refused.to_string().contains("core 1 made no link to core 3"), "{refused}");
        let taken = listener.take(GREETING, "a", &|| true).expect("it was dialled");
        assert_eq!(taken.tcp().peer_addr().ok(), dialled.tcp().local_addr().ok());
        let _old = dial(&listener);
        listener.forget_before(8);
        listener.take(GREETING, "a", &|| false).expect_err("it was closed");
    }

    #[test]
    fn silent_strangers_hold_no_link_up() {
        let listener = listener();
        let connect = || TcpStream::connect(listener.address()).expect("it listens");
        let silent: Vec<_> = (0..3 * WAITING_MAX).map(|_| connect()).collect();
        // All of them were accepted before it.
        dial(&listener);
        let mut first = &silent[0];
        assert_eq!(first.read(&mut [0]).ok(), Some(0), "the oldest one is closed");
    }

    #[test]
    fn strangers_of_one_address_close_no_connection_of_another_one() {
        let listener = listener();
        let mut early = TcpStream::connect(listener.address()).expect("it listens");
        let (start, rest) = (GREETING.write(), MAGIC.len());
        early.write_all(&start[..rest]).expect("it reads");
        let strangers: Vec<_> =
            (0..2 * WAITING_MAX).map(|_| connect_from(2, listener.address())).collect();
        let mut first = &strangers[0];
        assert_eq!(first.read(&mut [0]).ok(), Some(0), "the oldest one of that address is closed");
        early.write_all(&start[rest..]).expect("it reads");
        let mut answer = [0];
        early.read_exact(&mut answer).expect("it is not closed");
        assert_eq!(answer, [ACCEPTED]);
    }

    /// Connects from another address of loopback.
    fn connect_from(last: u8, to: SocketAddr) -> TcpStream {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
        let from = SocketAddr::from(([127, 0, 0, last], 0));
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("there is one");
        bind(&socket, &from).expect("it is an address of loopback");
        connect(&socket, &to).expect("it listens");
        socket.into()
    }

    #[test]
    fn a_port_is_closed_with_its_listener() {
        let address = listener().address();
        // Its thread ends a moment later.
        while TcpStream::connect(address).is_ok() {
            thread::yield_now();
        }
    }

    #[test]
    fn a_stranger_gets_no_answer_and_nothing_is_kept() {
        let listener = listener();
        let guess = Greeting { secret: 0xabd, ..GREETING }.write();
        let http = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";
        for garbage in [&http[..], &[0; GREETING_BYTES], &guess] {
            let mut stream = TcpStream::connect(listener.address()).expect("it listens");
            stream.write_all(garbage).expect("it reads");
            let mut answer = Vec::new();
            // What it did not read may be answered by a reset.
            let _ = stream.read_to_end(&mut answer);
            assert_eq!(answer, b"");
        }
        let half = TcpStream::connect(listener.address()).expect("it listens");
        (&half).write_all(&MAGIC).expect("it reads");
        drop(half);
        assert!(listener.kept.links.lock().expect("no thread panics").is_empty());
    }
}
