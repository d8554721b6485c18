//! PacedLoad: events that a client of the connector protocol sends at a fixed rate, whatever the
//! application does meanwhile.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use potoroo_connector::{Options, Source, StreamNumber};

use super::application::item;
use crate::engine::load::{Item, Load};
use crate::load::Traffic;
use crate::stamp;

/// What is sent: each key once, as fast as it is taken, and then the load.
#[derive(Clone, Copy, Debug)]
pub struct PacedPlan {
    /// Port of the source on loopback.
    pub port: u16,
    /// Different keys.
    pub keys: u64,
    /// Events per second.
    pub rate: u32,
}

/// A load under way; it ends when it is dropped.
pub struct PacedLoad {
    plan: PacedPlan,
    of_thread: Arc<Shared>,
    thread: Option<JoinHandle<Result<u64>>>,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    /// When the first event of the load is due; 0 before that is known.
    start_ns: AtomicU64,
}

impl PacedLoad {
    /// Begins.
    ///
    /// # Errors
    /// The system gives no further thread.
    pub fn start(plan: PacedPlan) -> Result<Self> {
        let of_thread = Arc::new(Shared::default());
        let shared = of_thread.clone();
        let thread = thread::Builder::new().spawn(move || send_all(plan, &shared));
        let thread = thread.context("the system gives no further thread")?;
        Ok(Self { plan, of_thread, thread: Some(thread) })
    }

    /// Number of the first event after all keys.
    pub fn first(&self) -> u64 {
        self.plan.keys
    }

    /// When the load begins, as soon as each key was sent once.
    pub fn start_ns(&self) -> Option<u64> {
        Some(self.of_thread.start_ns.load(Ordering::Acquire)).filter(|start| *start > 0)
    }

    /// Events of the load that are due within this time of its start.
    pub fn events_until(&self, after_ns: u64) -> usize {
        (after_ns as f64 / 1e9 * f64::from(self.plan.rate)) as usize
    }

    /// Whether it has failed.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends it. Returns how many events were sent in all.
    ///
    /// # Errors
    /// The application was away for too long, or refused the client.
    pub fn finish(mut self) -> Result<u64> {
        self.of_thread.over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("it ends once")?;
        thread.join().map_err(|_| anyhow!("the load has panicked"))?
    }
}

impl Drop for PacedLoad {
    fn drop(&mut self) {
        // Its connection may wait for a node that has ended: the thread ends with its patience.
        self.of_thread.over.store(true, Ordering::Relaxed);
    }
}

fn send_all(plan: PacedPlan, shared: &Shared) -> Result<u64> {
    let PacedPlan { port, keys, rate } = plan;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string();
    let options =
        Options { kept_bytes_max: KEPT_BYTES_MAX, patience: PATIENCE, ..Options::new(address) };
    let mut source = Source::connect(options)?;
    let (stream, _) = source.open("items", 0)?;
    let mut sender = Sender { source, stream, sent: 0, batch: Vec::new() };
    for index in 0..keys {
        if shared.over.load(Ordering::Relaxed) {
            return Ok(sender.sent);
        }
        sender.put(&item(index, index, 0))?;
    }
    sender.send()?;
    let start_ns = stamp::now();
    shared.start_ns.store(start_ns, Ordering::Release);
    let mut departures = Traffic::constant(rate).departures(0, start_ns, FOR_EVER);
    let mut order = Load::new(keys);
    while !shared.over.load(Ordering::Relaxed) {
        while let Some(due_ns) = departures.due(stamp::now()) {
            let index = order.next(0).rest[0];
            let number = sender.sent;
            sender.put(&item(number, index, due_ns))?;
        }
        sender.send()?;
        sender.source.flush()?;
        thread::sleep(TICK);
    }
    Ok(sender.sent)
}

struct Sender {
    source: Source,
    stream: StreamNumber,
    /// Events that were put in.
    sent: u64,
    batch: Vec<u8>,
}

impl Sender {
    fn put(&mut self, item: &Item) -> Result<()> {
        let words = [item.key, item.value, item.intended_ns].into_iter().chain(item.rest);
        self.batch.extend(words.flat_map(u64::to_le_bytes));
        self.sent += 1;
        if self.batch.len() >= BATCH * size_of::<Item>() { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<()> {
        if !self.batch.is_empty() {
            self.source.send(self.stream, self.sent, &self.batch)?;
            self.batch.clear();
        }
        Ok(())
    }
}

/// Events of a message.
const BATCH: usize = 64;
/// How often it looks what is due.
const TICK: Duration = Duration::from_millis(1);
/// Seconds of a load that are not acknowledged: more than any change of nodes should take.
const KEPT_BYTES_MAX: usize = 256 << 20;
/// How long the application may be away.
const PATIENCE: Duration = Duration::from_secs(60);
/// A load ends when it is ended.
const FOR_EVER: Duration = Duration::from_secs(86_400);
