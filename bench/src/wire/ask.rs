//! The load side of `wire`, the same for every server.

use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::frames::{ORDER_ID, QUOTE_BYTES, REJECTION_BYTES, REJECTION_ID, order, quotes};
use super::market::{Market, MarketCounts};
use super::serve::{drain, fill};
use crate::gaps::{CoreGaps, GapLog, LoopGap, Watch};
use crate::place::{Chase, Gate, Place, join, start};
use crate::stamp;
use crate::take::Take;

/// When the trips of a slice ended, each of which began the next one.
#[derive(Debug)]
pub struct TripEnds {
    /// From the start on, on the clock of `stamp`.
    pub moments: Vec<u64>,
    /// When the loop stood still while it asked for an answer.
    pub gaps: CoreGaps,
}

impl TripEnds {
    /// Their latencies, judged also by the gaps that the server reported of itself.
    pub fn take(self, server: impl IntoIterator<Item = LoopGap>) -> Take {
        let (start_ns, end_ns) = (self.moments[0], self.moments[self.moments.len() - 1]);
        let server = CoreGaps::reported("answer", start_ns, end_ns, server);
        Take::of_moments(&self.moments, vec![self.gaps, server])
    }
}

/// Orders one at a time: each waits for the answer to the one before (closed loop).
///
/// # Errors
/// The connection broke, or an answer belongs to another order.
pub fn round_trips(place: Place, slice: Duration, server: SocketAddr) -> Result<TripEnds> {
    place.alone(move |gate| {
        let mut stream = connect(server)?;
        let mut log = Watch::new(1).log(0, "ask");
        // The accepting thread may need this CPU, which a sprint does not give away.
        for index in 0..WARM_TRIPS {
            round_trip(&mut stream, index, &mut log)?;
        }
        let slice_ns = slice.as_nanos() as u64;
        // Written once, so that no page fault falls into a trip.
        let mut moments = vec![u64::MAX; (slice_ns / TRIP_NS_MIN) as usize];
        moments.clear();
        let _sprint = gate.enter();
        let start = stamp::now();
        log.begin(start);
        moments.push(start);
        let mut now = start;
        while now - start < slice_ns {
            round_trip(&mut stream, moments.len() as u64 - 1, &mut log)?;
            now = stamp::now();
            log.skip(now);
            moments.push(now);
        }
        Ok(TripEnds { moments, gaps: log.finish() })
    })
}

#[inline]
fn round_trip(stream: &mut TcpStream, index: u64, log: &mut GapLog) -> Result<()> {
    let order = order(index);
    let mut answer = [0; REJECTION_BYTES];
    drain(stream, &order)?;
    // The call above did something; those after it that bring nothing are over at once.
    log.skip(stamp::now());
    ensure!(fill(stream, &mut answer, log)?, "the server closed the connection");
    ensure!(answer[REJECTION_ID] == order[ORDER_ID], "the answer belongs to another order");
    Ok(())
}

/// What a stream of quotes came to.
#[derive(Debug)]
pub struct ReceivedQuotes {
    /// Quotes sent and taken in.
    pub events: u64,
    /// Time until the server had taken in the last of them.
    pub nanos: u64,
}

impl ReceivedQuotes {
    /// Quotes per second.
    pub fn events_per_second(&self) -> f64 {
        self.events as f64 * 1e9 / self.nanos as f64
    }

    /// Nanoseconds per quote.
    pub fn event_ns(&self) -> f64 {
        self.nanos as f64 / self.events as f64
    }
}

/// Quotes as fast as the receiver takes them, `send_bytes` per call, until the slice is over.
///
/// # Errors
/// The connection broke, or the receiver counted other bytes than were sent.
pub fn stream(
    place: Place,
    slice: Duration,
    server: SocketAddr,
    send_bytes: usize,
) -> Result<ReceivedQuotes> {
    place.alone(move |gate| {
        let mut stream = connect(server)?;
        let chunk = quotes(send_bytes);
        let _sprint = gate.enter();
        let start = stamp::now();
        let mut sends = 0;
        while stamp::now() - start < slice.as_nanos() as u64 {
            drain(&mut stream, &chunk)?;
            sends += 1;
        }
        let sent = sends * chunk.len() as u64;
        ensure!(taken(stream)? == sent, "the receiver counted other bytes than were sent");
        Ok(ReceivedQuotes { events: sent / QUOTE_BYTES as u64, nanos: stamp::now() - start })
    })
}

/// Quotes as [`stream`] sends them, to Market Spread. The rate is what the application itself
/// counts between two moments of the stream, so neither its start nor its end is in it.
///
/// # Errors
/// The connection broke, or quotes were lost.
pub fn market_stream(
    place: Place,
    slice: Duration,
    market: Market,
    send_bytes: usize,
    connections: usize,
) -> Result<ReceivedQuotes> {
    let open = |server| (0..connections).map(move |_| connect(server)).collect::<Result<Vec<_>>>();
    let (mut streams, orders) = (open(market.quotes())?, open(market.orders())?);
    let chunk = quotes(send_bytes);
    for stream in &mut streams {
        drain(stream, &chunk)?;
    }
    while market.counted()?.quotes == 0 {
        thread::yield_now();
    }
    let over = AtomicBool::new(false);
    let (counted, sends) = thread::scope(|scope| {
        let chase = Chase::start(place, market.process());
        let send = || place.alone(|gate| send_until(&mut streams, &chunk, gate, slice, &over));
        let sender = start(scope, send)?;
        let counted = count(&market, slice);
        over.store(true, Ordering::Relaxed);
        drop(chase?);
        let sends = join(sender);
        Ok::<_, anyhow::Error>((counted?, sends?))
    })?;
    drop((streams, orders));
    let (events, end) =
        ((sends + connections as u64) * (chunk.len() / QUOTE_BYTES) as u64, market.finish()?);
    ensure!(end.quotes == events, "{events} quotes were sent, {} taken in", end.quotes);
    let [before, after] = counted;
    let nanos = ((after.seconds - before.seconds) * 1e9) as u64;
    Ok(ReceivedQuotes { events: after.quotes - before.quotes, nanos })
}

/// The application's counts at the two ends of a slice that begins when the stream runs.
fn count(market: &Market, slice: Duration) -> Result<[MarketCounts; 2]> {
    thread::sleep(slice / 8);
    let before = market.counted()?;
    thread::sleep(slice);
    Ok([before, market.counted()?])
}

/// Sends until `over` is set. Returns the number of sends.
fn send_until(
    streams: &mut [TcpStream],
    chunk: &[u8],
    gate: &Gate,
    slice: Duration,
    over: &AtomicBool,
) -> Result<u64> {
    let _sprint = gate.enter();
    // The loop ends even when the other side fails: it must not hold this CPU for ever.
    let end = stamp::now() + 2 * slice.as_nanos() as u64;
    let mut sends = 0;
    while !over.load(Ordering::Relaxed) && stamp::now() < end {
        for stream in &mut *streams {
            drain(stream, chunk)?;
            sends += 1;
        }
    }
    Ok(sends)
}

/// Ends the stream and waits for the number of bytes that the receiver took in.
fn taken(mut stream: TcpStream) -> Result<u64> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_nonblocking(false)?;
    let mut total = [0; 8];
    stream.read_exact(&mut total).context("the receiver did not say what it took in")?;
    Ok(u64::from_le_bytes(total))
}

/// Connects without delay and without waiting calls.
///
/// # Errors
/// No process listens there.
pub fn connect(server: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(server).with_context(|| format!("no server at {server}"))?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// No trip over loopback TCP is as short, so that the moments of a slice have room.
const TRIP_NS_MIN: u64 = 1000;
/// Enough that connection, code and caches are as they stay.
const WARM_TRIPS: u64 = 200;
