//! Both ends of both contenders: who sends events, and who takes what comes of them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use potoroo_connector::{Options, Piece, Sink, Source, StreamNumber};

use crate::recorder::Recorder;
use crate::stamp;

/// Sends events.
pub trait EventSender {
    /// Sends some; `last` counts those that were sent in all.
    fn send(&mut self, last: u64, events: &[u8]) -> Result<()>;
    /// Nothing of them waits here.
    fn flush(&mut self) -> Result<()>;
    /// Ends.
    fn finish(self) -> Result<()>;
}

/// Takes results.
pub trait ResultReceiver: Send {
    /// Takes them until they end, or the other side is gone.
    fn receive(self, over: &EndFlag) -> Result<Deliveries>;
}

/// Nothing more will come.
#[derive(Default)]
pub struct EndFlag(AtomicBool);

impl EndFlag {
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What was delivered.
pub struct Deliveries {
    /// Results, one for each event.
    pub events: u64,
    /// Sum of their values.
    pub sum: u64,
    /// From when an event was due to its delivery, of those that were due.
    pub delay: Recorder,
    /// When something was delivered first and last, and how many events by then.
    first: (u64, u64),
    last: (u64, u64),
}

impl Deliveries {
    fn new() -> Self {
        Self { events: 0, sum: 0, delay: Recorder::new(), first: (0, 0), last: (0, 0) }
    }

    /// Whole results are delivered.
    fn take(&mut self, results: &[u8]) {
        let now = stamp::now();
        for result in results.chunks_exact(RESULT_BYTES) {
            let (value, due) = result.split_at(8);
            let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
            self.sum = self.sum.wrapping_add(word(value));
            match word(due) {
                0 => {}
                due_ns => self.delay.record(now.saturating_sub(due_ns)),
            }
        }
        self.events += (results.len() / RESULT_BYTES) as u64;
        self.last = (now, self.events);
        if self.first == (0, 0) {
            self.first = self.last;
        }
    }

    /// Events per second from the first delivery to the last.
    pub fn events_per_second(&self) -> f64 {
        let (events, nanos) = (self.last.1 - self.first.1, self.last.0 - self.first.0);
        events as f64 * 1e9 / nanos as f64
    }
}

/// A client of a source.
pub struct ConnectorSource {
    source: Source,
    stream: StreamNumber,
}

impl ConnectorSource {
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let (patience, kept_bytes_max) = (PATIENCE, KEPT_BYTES_MAX);
        let options = Options { patience, kept_bytes_max, ..Options::new(address.to_string()) };
        let mut source = Source::connect(options)?;
        let (stream, _) = source.open("items", 0)?;
        Ok(Self { source, stream })
    }
}

impl EventSender for ConnectorSource {
    fn send(&mut self, last: u64, events: &[u8]) -> Result<()> {
        Ok(self.source.send(self.stream, last, events)?)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.source.flush()?)
    }

    fn finish(mut self) -> Result<()> {
        self.source.end(self.stream);
        Ok(self.source.finish()?)
    }
}

/// A client of a sink, for which a transaction is stored when it is counted.
pub struct ConnectorSink(Sink);

impl ConnectorSink {
    pub fn listen() -> Result<Self> {
        Ok(Self(Sink::listen((Ipv4Addr::LOCALHOST, 0), "", 0)?))
    }

    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.0.address()?)
    }
}

impl ResultReceiver for ConnectorSink {
    fn receive(mut self, over: &EndFlag) -> Result<Deliveries> {
        let (mut delivered, mut results) = (Deliveries::new(), Vec::new());
        while !over.0.load(Ordering::Relaxed) {
            match self.0.try_next()? {
                None => {}
                Some(Piece::Begin { .. }) => results.clear(),
                Some(Piece::Data(bytes)) => results.extend_from_slice(bytes),
                Some(Piece::End { transaction }) => {
                    delivered.take(&results);
                    self.0.commit(transaction);
                }
            }
        }
        Ok(delivered)
    }
}

/// Who sends over a plain connection, in writes as large as those of a connector's client.
pub struct TcpSender {
    to: TcpStream,
    out: Vec<u8>,
}

impl TcpSender {
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let to = TcpStream::connect(address).context("the engine does not listen")?;
        to.set_nodelay(true)?;
        Ok(Self { to, out: Vec::new() })
    }
}

impl EventSender for TcpSender {
    fn send(&mut self, _: u64, events: &[u8]) -> Result<()> {
        self.out.extend_from_slice(events);
        if self.out.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.to.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        self.flush()?;
        Ok(self.to.shutdown(Shutdown::Both)?)
    }
}

/// Who takes what comes over a plain connection.
pub struct TcpReceiver(TcpListener);

impl TcpReceiver {
    pub fn listen() -> Result<Self> {
        Ok(Self(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?))
    }

    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.0.local_addr()?)
    }
}

impl ResultReceiver for TcpReceiver {
    fn receive(self, _: &EndFlag) -> Result<Deliveries> {
        let (mut stream, _) = self.0.accept().context("the engine does not connect")?;
        let (mut delivered, mut bytes, mut end) = (Deliveries::new(), vec![0; 1 << 18], 0);
        loop {
            let read = stream.read(&mut bytes[end..])?;
            if read == 0 {
                return Ok(delivered);
            }
            end += read;
            let whole = end / RESULT_BYTES * RESULT_BYTES;
            delivered.take(&bytes[..whole]);
            bytes.copy_within(whole..end, 0);
            end -= whole;
        }
    }
}

/// A value, and when its event was due.
const RESULT_BYTES: usize = 16;
/// What the client of a source gathers before it writes.
const WRITE_BYTES: usize = 32 * 1024;
/// What the client of a source keeps: all that it can send between two checkpoints, or it would
/// wait for them.
const KEPT_BYTES_MAX: usize = 256 << 20;
/// How long a client waits for an engine that is gone.
const PATIENCE: Duration = Duration::from_secs(5);
