//! The transactional sink in another process: brings it the output of committed checkpoints.
//!
//! ```text
//!   core ── pipe ──► spool of the epoch ─ marker ─► prepared: durable ──► committed: queued
//!                                                                            │
//!                            spool removed ◄── Committed ◄── client ◄── Begin, Data, Commit
//! ```
//!
//! Output is spooled as that of a file is, and that is the vote: it is durable here before the
//! checkpoint counts, whatever happens to the client. Prepared at the client instead, a client that
//! is slow or gone would abort checkpoints of the whole application. Behind the commit the client
//! gets it, again and again until it says that it has it, and says on connecting what it has. So:
//!
//! - gone before the marker or the commit: it gets the transaction when it is there again;
//! - an epoch that came to nothing: its transaction is carried into the next, and only then shown;
//! - gone or refusing before its answer: it drops what it got, and gets all of it again;
//! - gone behind its answer, whether that was heard or not: it has it, and does not get it again.
//!
//! Promises: the client sees committed output only, each transaction once. When more waits for it
//! than the configured backlog, or the disk is nearly full, nothing more is taken from sources;
//! what was taken goes on to its end, and checkpoints are taken as before. Must never do: remove a
//! spool that the client does not have.

mod session;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use potoroo_connector::{Error, Frame, Reader, Role, VERSION};
use potoroo_runtime::socket::keep_alive;

pub use self::session::Session;
use crate::connect::address::{HostPort, first_that_works};
use super::hold::Hold;
use crate::connect::lines::Lines;
use crate::connect::spool::{SpoolName, Target, first_id, transaction_id};
use crate::connect::token::Token;
use crate::connect::waiting::{STOP_CHECK, is_pause};
use crate::checkpoint::store::Head;
use crate::checkpoint::{Manifest, Transaction};

/// Transactions that may wait for a client before sources are held back, however small: each is a
/// file, and has some lines in each manifest.
const TRANSACTIONS_MAX: u64 = 16_384;

/// First and longest pause between two attempts to connect.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// How long one attempt to connect, and the answer to a hello, may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A client that takes longer for a transaction is told of, once for each.
const SLOW: Duration = Duration::from_secs(30);

/// Committed output on its way to the client of one sink.
pub struct Delivery {
    /// The sink, and where its spools lie.
    target: Target,
    /// Random number of the state folder: the upper half of its ids.
    state: u64,
    /// The greatest id that a client may have from earlier runs: the application has committed it.
    known: u128,
    /// Up to this id a client may lack what it had: the operator says that it is lost.
    lost: u128,
    hold: Arc<Hold>,
    /// Bytes of committed output that may wait before sources are held back.
    backlog_bytes_max: u64,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Bytes that they count.
    bytes: u64,
    /// The greatest id that was committed.
    committed: u128,
    /// The greatest id that was brought to its end in this life: no client can have a greater one.
    brought: u128,
    /// Everything up to this id is at the client.
    delivered: u128,
    /// What is left of the last spool that it has.
    taken: Option<PathBuf>,
    /// The transaction that came farthest, and how many of its bytes: one that is brought again
    /// gets nowhere before it is past that.
    farthest: (u128, u64),
    /// Committed output that is neither here nor at the client.
    lost: Option<String>,
    closed: bool,
}

#[derive(Clone)]
struct Waiting {
    id: u128,
    spool: PathBuf,
    transaction: Transaction,
    /// Bytes that it counts.
    counts: u64,
}

impl Queue {
    fn push(&mut self, one: Waiting) {
        self.bytes += one.counts;
        self.waiting.push_back(one);
    }

    /// Removes the spools of what the client has, but for the name of the last one.
    fn drop_delivered(&mut self, target: &Target) -> io::Result<()> {
        while let Some(one) = self.waiting.front().filter(|one| one.id <= self.delivered) {
            self.taken = target.take(&one.spool, self.taken.as_deref())?;
            self.bytes -= one.counts;
            self.waiting.pop_front();
        }
        Ok(())
    }
}

/// To whom it goes.
pub struct Peer {
    /// Where the client listens.
    pub address: HostPort,
    /// What it has to know of us.
    pub token: Token,
    /// Name of the application.
    pub application: String,
}

/// Why a client is served no longer.
#[derive(Debug)]
pub enum Over {
    /// The application ends.
    Stopped,
    /// It is to be tried again.
    Lost(String),
}

impl Delivery {
    /// What was spooled for `target` and committed by `manifest`, in the state folder that `head`
    /// belongs to. All other spools of it are dropped. More than `backlog_bytes_max` of it hold
    /// back sources.
    ///
    /// # Errors
    /// The folder of the spools cannot be written, or the manifest names no spool.
    pub fn open(
        target: &Target,
        head: &Head,
        manifest: Option<&Manifest>,
        hold: Arc<Hold>,
        backlog_bytes_max: u64,
    ) -> io::Result<Self> {
        let transactions = manifest.map_or(&[][..], |manifest| &manifest.transactions);
        target.keep_spools(transactions)?;
        let mut delivery = Self::new(target, head.folder, hold, backlog_bytes_max);
        let mut committed = Vec::new();
        for one in transactions {
            if target.is_of(one)? {
                committed.extend(transaction_id(head.folder, &one.spool));
            }
        }
        let mut delivered = manifest.map_or(0, |manifest| manifest.delivered_to(&target.sink));
        // Were it compared, an id of another folder would say that the client has everything.
        if delivered >> 64 != u128::from(head.folder) {
            delivered = 0;
        }
        let mut left = target.taken()?;
        let last = left.last().and_then(|path| SpoolName::parse_taken(path.file_name()?.to_str()?));
        // Of an epoch that was gone back from it says nothing.
        let last = last.and_then(|last| last.id(head.folder)).filter(|id| committed.contains(id));
        let taken = if last.is_some() { left.pop() } else { None };
        left.iter().try_for_each(|path| target.disk().remove(path))?;
        delivered = delivered.max(last.unwrap_or(0));
        // Whoever went back has forgotten what was committed in generations before.
        let rewound = first_id(head.folder, head.rewound.unwrap_or(head.generation));
        let known = committed.into_iter().max().unwrap_or(0).max(delivered);
        let forgotten = if head.rewound == Some(0) { 0 } else { rewound - 1 };
        delivery.known = known.max(forgotten);
        let queue = delivery.queue.get_mut().unwrap_or_else(PoisonError::into_inner);
        (queue.delivered, queue.taken) = (delivered, taken);
        Ok(delivery)
    }

    fn new(target: &Target, state: u64, hold: Arc<Hold>, backlog_bytes_max: u64) -> Self {
        let (target, known, lost) = (target.clone(), 0, 0);
        let (queue, changed) = (Mutex::default(), Condvar::new());
        Self { target, state, known, lost, hold, backlog_bytes_max, queue, changed }
    }

    /// A client that had everything up to the transaction `lost` need not have it any more.
    #[must_use]
    pub fn forgive(self, lost: u128) -> Self {
        Self { lost, ..self }
    }

    /// Those of `transactions` that were spooled for this sink, and may not be with its client.
    pub fn waiting(&self, transactions: &[Transaction]) -> Vec<Transaction> {
        let is_of = |one: &&Transaction| self.target.is_of(one).unwrap_or(false);
        transactions.iter().filter(is_of).cloned().collect()
    }

    /// The last transaction that the client has.
    pub fn delivered(&self) -> u128 {
        self.lock().delivered
    }

    /// Name of the sink.
    pub fn sink(&self) -> &str {
        &self.target.sink
    }

    /// A transaction is committed. Returns whether the client has it; until then it is brought.
    ///
    /// # Errors
    /// Committed output is gone (`InvalidData`): nothing can bring it.
    pub fn show(&self, transaction: &Transaction) -> io::Result<bool> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        let spool = self.target.beside(transaction)?;
        let id = transaction_id(self.state, &transaction.spool);
        let id = id.ok_or_else(|| invalid(format!("{} has no id", spool.display())))?;
        let mut queue = self.lock();
        if let Some(lost) = &queue.lost {
            return Err(invalid(lost.clone()));
        }
        if id > queue.committed {
            queue.committed = id;
            let counts = transaction.bytes.max(self.backlog_bytes_max / TRANSACTIONS_MAX);
            queue.push(Waiting { id, spool, transaction: transaction.clone(), counts });
            self.hold.committed();
            self.changed(&mut queue)?;
        }
        Ok(id <= queue.delivered && queue.waiting.front().is_none_or(|next| id < next.id))
    }

    /// Whether a client can have `last` as its last transaction.
    fn check_last(&self, last: u128) -> Result<(), String> {
        let Queue { delivered, brought, .. } = *self.lock();
        // One of an earlier run may be there though that run did not get the answer.
        let known = self.known.max(brought);
        if last != 0 && (last >> 64 != u128::from(self.state) || last > known) {
            return Err(format!(
                "it has transaction {last:x}, which is not of this state folder (the last one of \
                 that is {known:x}): start with the folder that it belongs to, or empty what the \
                 client has"
            ));
        }
        if last < delivered && delivered > self.lost {
            return Err(format!(
                "it has transaction {last:x} only, and has committed {delivered:x}: give it back \
                 what it had, or start with `lost={delivered:x}` in the address of the sink if \
                 that is lost for good"
            ));
        }
        Ok(())
    }

    /// How far output has come: grows as long as the client takes something that is new to it.
    pub fn farthest(&self) -> (u128, u64) {
        self.lock().farthest
    }

    fn come(&self, transaction: u128, bytes: u64) {
        let mut queue = self.lock();
        queue.farthest = queue.farthest.max((transaction, bytes));
    }

    /// The client has everything up to `last`.
    fn settle(&self, last: u128) -> io::Result<()> {
        let mut queue = self.lock();
        queue.delivered = last.max(queue.delivered);
        queue.farthest = queue.farthest.max((last, u64::MAX));
        self.changed(&mut queue)
    }

    /// More waits for the client, or less.
    fn changed(&self, queue: &mut Queue) -> io::Result<()> {
        let dropped = queue.drop_delivered(&self.target);
        self.hold.backlog(queue.bytes, self.backlog_bytes_max);
        self.changed.notify_all();
        dropped
    }

    /// Whether something waits for the client.
    fn waits(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    /// What holds sources back while too much waits.
    pub fn hold(&self) -> &Arc<Hold> {
        &self.hold
    }

    /// Waits until something is to be brought, or for a while.
    fn wait(&self) {
        let empty = |queue: &mut Queue| queue.waiting.is_empty();
        // Whoever waits looks again.
        let _ = self.changed.wait_timeout_while(self.lock(), STOP_CHECK, empty);
    }

    fn close(&self, lost: Option<String>) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.lost = queue.lost.take().or(lost);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Each change is whole before the next may panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Brings what is committed to `peer`, until told to stop.
///
/// # Errors
/// The thread cannot be started.
pub fn deliver(
    delivery: Arc<Delivery>,
    peer: Peer,
    stop: Arc<AtomicBool>,
) -> io::Result<JoinHandle<()>> {
    let run =
        move || Courier { delivery, peer, stop, connected: Lines::new(), lost: Lines::new() }.run();
    Builder::new().name("potoroo-deliver".into()).spawn(run)
}

/// Who brings it.
struct Courier {
    delivery: Arc<Delivery>,
    peer: Peer,
    stop: Arc<AtomicBool>,
    /// A client may accept and go as often as it likes.
    connected: Lines,
    lost: Lines,
}

impl Courier {
    fn run(&self) {
        let (sink, address) = (self.delivery.sink(), &self.peer.address);
        let (mut told, mut pause) = (String::new(), PAUSE.0);
        while let Err(Over::Lost(reason)) = self.serve(&mut pause) {
            if reason != told
                && let Some(left_out) = self.lost.admit()
            {
                tracing::warn!(
                    "sink `{sink}` at {address}: {reason}; committed output waits in the state \
                     folder, and it is tried again{left_out}"
                );
                told = reason;
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
    fn serve(&self, pause: &mut Duration) -> Result<(), Over> {
        if self.stopped() {
            return Err(Over::Stopped);
        }
        let failed = |error: io::Error| Over::Lost(error.to_string());
        let addresses = self.peer.address.addresses().map_err(failed)?;
        let dial = |address| TcpStream::connect_timeout(&address, CONNECT_MAX);
        let stream = first_that_works(&addresses, dial).map_err(failed)?;
        stream.set_nodelay(true).and_then(|()| keep_alive(&stream)).map_err(failed)?;
        stream.set_read_timeout(Some(STOP_CHECK)).map_err(failed)?;
        stream.set_write_timeout(Some(STOP_CHECK)).map_err(failed)?;
        let mut reader = Reader::new(&stream).until(Instant::now() + CONNECT_MAX);
        let last = self.greet(&mut reader, &stream)?;
        let mut session = Session::new(self.delivery.clone(), last)?;
        if let Some(left_out) = self.connected.admit() {
            let (sink, address) = (self.delivery.sink(), &self.peer.address);
            tracing::info!("sink `{sink}` is connected to {address}{left_out}");
        }
        let mut out = Vec::new();
        loop {
            out.clear();
            session.say(&mut out)?;
            match session.awaits() {
                _ if !out.is_empty() => self.write(&out, &stream)?,
                Some(transaction) => {
                    self.hear(&mut session, transaction, &mut reader)?;
                    // One that is welcome and takes nothing is no reason to hurry.
                    *pause = PAUSE.0;
                }
                None => self.delivery.wait(),
            }
            if self.stopped() {
                return Err(Over::Stopped);
            }
        }
    }

    /// Whether it is to stop. It is asked all the time, and each time the disk is looked at:
    /// somebody else may fill or free it.
    fn stopped(&self) -> bool {
        self.delivery.hold.look(self.delivery.waits());
        self.stop.load(Ordering::Relaxed)
    }

    /// Says hello; returns the last transaction that the client has.
    fn greet(&self, reader: &mut Reader<&TcpStream>, stream: &TcpStream) -> Result<u128, Over> {
        let Peer { token, application, .. } = &self.peer;
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
                    return Err(Over::Lost("it does not answer; is it a connector?".to_owned()));
                }
                None => {}
            }
        };
        reader.welcome();
        Ok(last)
    }

    /// Waits for the client to answer to `transaction`.
    fn hear(
        &self,
        session: &mut Session,
        transaction: u128,
        reader: &mut Reader<&TcpStream>,
    ) -> Result<(), Over> {
        let (begun, mut told) = (Instant::now(), false);
        loop {
            match self.read(reader)? {
                Some(frame) => return session.hear(frame),
                None if begun.elapsed() > SLOW && !told => {
                    told = true;
                    tracing::warn!(
                        "sink `{}` at {} has not committed transaction {transaction:x} for \
                         {SLOW:?}: output waits for it in the state folder",
                        self.delivery.sink(),
                        self.peer.address,
                    );
                }
                None => {}
            }
        }
    }

    /// A frame, or `None` if there is none for a while.
    fn read<'r>(&self, reader: &'r mut Reader<&TcpStream>) -> Result<Option<Frame<'r>>, Over> {
        if self.stopped() {
            return Err(Over::Stopped);
        }
        match reader.read() {
            Ok(Some(frame)) => Ok(Some(frame)),
            Ok(None) => Err(Over::Lost("it closed the connection".to_owned())),
            Err(Error::Io(error)) if is_pause(&error) => Ok(None),
            Err(error) => Err(Over::Lost(error.to_string())),
        }
    }

    /// Writes what is said, however slowly it is taken.
    fn write(&self, mut out: &[u8], mut stream: &TcpStream) -> Result<(), Over> {
        while !out.is_empty() {
            if self.stopped() {
                return Err(Over::Stopped);
            }
            match stream.write(out) {
                Ok(bytes) => out = &out[bytes..],
                Err(error) if is_pause(&error) => {}
                Err(error) => return Err(Over::Lost(error.to_string())),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
