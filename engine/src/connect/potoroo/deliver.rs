//! The transactional sink in another process: brings it the output of committed checkpoints.
//!
//! ```text
//!   core ── pipe ──► scratch file ─ marker ─► object stored ──► committed: queued
//!                                                                     │
//!                           mark ◄── Committed ◄── client ◄── Begin, Data, Commit
//! ```
//!
//! Output is gathered and stored as that of a file is, and that is the vote: it is durable in the
//! store before the checkpoint counts, whatever happens to the client. Prepared at the client
//! instead, a client that is slow or gone would abort checkpoints of the whole application. After
//! the commit the client gets it, again and again until it says that it has it, and says on
//! connecting what it has. So:
//!
//! - gone before the marker or the commit: it gets the transaction when it is there again;
//! - an epoch that is aborted: its transaction is carried into the next, and only then shown;
//! - gone or refusing before its answer: it drops what it got, and gets all of it again;
//! - gone after its answer, even if that was not received: it has it, and does not get it again.
//!
//! Promises: the client sees committed output only, each transaction once. When more waits for it
//! than the configured backlog, or the disk is nearly full, nothing more is taken from sources;
//! what was taken goes on to its end, and checkpoints are taken as before. Must never do: forget
//! what the client does not have.

mod delivery;
mod session;

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use potoroo_connector::{Error, Frame, FrameReader, Role, VERSION};
use potoroo_runtime::socket::keep_alive;

pub use self::delivery::{Delivery, DeliveryEnd};
pub use self::session::Session;
use crate::connect::address::{HostPort, first_that_works};
use crate::connect::edge_lease::EdgeLease;
use crate::connect::lines::LineLimiter;
use crate::connect::stopping::Stopping;
use crate::connect::token::Token;
use crate::connect::waiting::{STOP_CHECK, is_pause};

/// First and longest pause between two attempts to connect.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// How long one attempt to connect, and the answer to a hello, may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A client that takes longer for a transaction is logged, once for each transaction.
const SLOW: Duration = Duration::from_secs(30);

/// The client that output goes to.
pub struct Recipient {
    /// Where the client listens.
    pub address: HostPort,
    /// What it has to know of us.
    pub token: Token,
    /// Name of the application.
    pub application: String,
}

/// Delivers committed output to `peer`, until `stop` has begun, and while `lease` stands: after its
/// end the client belongs to the next lead.
///
/// # Errors
/// The thread cannot be started.
pub fn deliver(
    delivery: Arc<Delivery>,
    peer: Recipient,
    (stop, lease): (Stopping, EdgeLease),
) -> io::Result<JoinHandle<()>> {
    let run = move || Courier::new(delivery, peer, (stop, lease)).run();
    Builder::new().name("potoroo-deliver".into()).spawn(run)
}

/// The thread that delivers it.
struct Courier {
    delivery: Arc<Delivery>,
    peer: Recipient,
    stop: Stopping,
    lease: EdgeLease,
    /// A client may accept and go as often as it likes.
    connected: LineLimiter,
    lost: LineLimiter,
}

impl Courier {
    fn new(delivery: Arc<Delivery>, peer: Recipient, (stop, lease): (Stopping, EdgeLease)) -> Self {
        let (connected, lost) = (LineLimiter::new(), LineLimiter::new());
        Self { delivery, peer, stop, lease, connected, lost }
    }

    fn run(&self) {
        let (sink, address) = (self.delivery.sink(), &self.peer.address);
        let (mut logged, mut pause) = (String::new(), PAUSE.0);
        while let Err(DeliveryEnd::Lost(reason)) = self.serve(&mut pause) {
            if reason != logged
                && let Some(left_out) = self.lost.admit()
            {
                tracing::warn!(
                    "sink `{sink}` at {address}: {reason}; committed output waits in the store, \
                     and it is tried again{left_out}"
                );
                logged = reason;
            }
            let until = Instant::now() + pause;
            while Instant::now() < until && !self.stopped() {
                std::thread::sleep(STOP_CHECK.min(pause));
            }
            pause = (pause * 2).min(PAUSE.1);
        }
        self.delivery.close(None);
    }

    /// One connection, from its beginning to its end.
    fn serve(&self, pause: &mut Duration) -> Result<(), DeliveryEnd> {
        self.check()?;
        let failed = |error: io::Error| DeliveryEnd::Lost(error.to_string());
        let addresses = self.peer.address.addresses().map_err(failed)?;
        let dial = |address| TcpStream::connect_timeout(&address, CONNECT_MAX);
        let stream = first_that_works(&addresses, dial).map_err(failed)?;
        stream.set_nodelay(true).and_then(|()| keep_alive(&stream)).map_err(failed)?;
        stream.set_read_timeout(Some(STOP_CHECK)).map_err(failed)?;
        stream.set_write_timeout(Some(STOP_CHECK)).map_err(failed)?;
        let mut reader = FrameReader::new(&stream).until(Instant::now() + CONNECT_MAX);
        let last = self.greet(&mut reader, &stream)?;
        let mut session = Session::new(self.delivery.clone(), last)?;
        if let Some(left_out) = self.connected.admit() {
            let (sink, address) = (self.delivery.sink(), &self.peer.address);
            tracing::info!("sink `{sink}` is connected to {address}{left_out}");
        }
        let mut out = Vec::new();
        loop {
            out.clear();
            session.send(&mut out)?;
            match session.awaits() {
                _ if !out.is_empty() => self.write(&out, &stream)?,
                Some(transaction) => {
                    self.receive(&mut session, transaction, &mut reader)?;
                    // One that is welcome and takes nothing is no reason to hurry.
                    *pause = PAUSE.0;
                }
                None => self.delivery.wait(),
            }
            self.check()?;
        }
    }

    /// Whether it is to stop. Each call also looks at the free room of the disk, which other
    /// processes may fill or free.
    fn stopped(&self) -> bool {
        self.delivery.hold().look(self.delivery.waits());
        self.stop.has_begun()
    }

    /// # Errors
    /// It is to stop, or its client is to be left to the next lead.
    fn check(&self) -> Result<(), DeliveryEnd> {
        let lost = || DeliveryEnd::Lost("the lease of this node is over".to_owned());
        match (self.stopped(), self.lease.is_over()) {
            (true, _) => Err(DeliveryEnd::Stopped),
            (false, true) => Err(lost()),
            (false, false) => Ok(()),
        }
    }

    /// Says hello; returns the last transaction that the client has.
    fn greet(
        &self,
        reader: &mut FrameReader<&TcpStream>,
        stream: &TcpStream,
    ) -> Result<u128, DeliveryEnd> {
        let Recipient { token, application, .. } = &self.peer;
        let (token, endpoint) = (token.reveal(), self.delivery.sink());
        let hello =
            Frame::Hello { version: VERSION, role: Role::Sink, token, application, endpoint };
        let mut out = Vec::new();
        hello.encode(&mut out);
        self.write(&out, stream)?;
        let until = Instant::now() + CONNECT_MAX;
        let last = loop {
            match self.read(reader)? {
                Some(Frame::Welcome { last, .. }) => break last,
                Some(other) => return Err(session::unexpected(&other)),
                None if Instant::now() > until => {
                    return Err(DeliveryEnd::Lost(
                        "it does not answer; is it a connector?".to_owned(),
                    ));
                }
                None => {}
            }
        };
        reader.welcome();
        Ok(last)
    }

    /// Waits for the client to answer to `transaction`.
    fn receive(
        &self,
        session: &mut Session,
        transaction: u128,
        reader: &mut FrameReader<&TcpStream>,
    ) -> Result<(), DeliveryEnd> {
        let (begun, mut logged) = (Instant::now(), false);
        loop {
            match self.read(reader)? {
                Some(frame) => return session.handle(frame),
                None if begun.elapsed() > SLOW && !logged => {
                    logged = true;
                    tracing::warn!(
                        "sink `{}` at {} has not committed transaction {transaction:x} for \
                         {SLOW:?}: output waits for it in the store",
                        self.delivery.sink(),
                        self.peer.address,
                    );
                }
                None => {}
            }
        }
    }

    /// A frame, or `None` if there is none for a while.
    fn read<'r>(
        &self,
        reader: &'r mut FrameReader<&TcpStream>,
    ) -> Result<Option<Frame<'r>>, DeliveryEnd> {
        self.check()?;
        match reader.read() {
            Ok(Some(frame)) => Ok(Some(frame)),
            Ok(None) => Err(DeliveryEnd::Lost("it closed the connection".to_owned())),
            Err(Error::Io(error)) if is_pause(&error) => Ok(None),
            Err(error) => Err(DeliveryEnd::Lost(error.to_string())),
        }
    }

    /// Writes what is said, however slowly it is taken.
    fn write(&self, mut out: &[u8], mut stream: &TcpStream) -> Result<(), DeliveryEnd> {
        while !out.is_empty() {
            self.check()?;
            match stream.write(out) {
                Ok(bytes) => out = &out[bytes..],
                Err(error) if is_pause(&error) => {}
                Err(error) => return Err(DeliveryEnd::Lost(error.to_string())),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
