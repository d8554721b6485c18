//! The load side of `wire`, the same for every server.

use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::frames::{ORDER_ID, QUOTE_BYTES, REJECTION_BYTES, REJECTION_ID, order, quotes};
use super::serve::{drain, fill};
use crate::place::Place;
use crate::recorder::Recorder;
use crate::stamp;

/// Orders one at a time: each waits for the answer to the one before (closed loop).
///
/// # Errors
/// The connection broke, or an answer belongs to another order.
pub fn round_trips(place: Place, slice: Duration, server: SocketAddr) -> Result<Recorder> {
    place.alone(move |gate| {
        let mut stream = connect(server)?;
        let mut latency = Recorder::new();
        let _sprint = gate.enter();
        let start = stamp::now();
        let (mut before, mut index) = (start, 0);
        while before - start < slice.as_nanos() as u64 {
            round_trip(&mut stream, index)?;
            let after = stamp::now();
            latency.record(after - before);
            before = after;
            index += 1;
        }
        Ok(latency)
    })
}

#[inline]
fn round_trip(stream: &mut TcpStream, index: u64) -> Result<()> {
    let order = order(index);
    let mut answer = [0; REJECTION_BYTES];
    drain(stream, &order)?;
    ensure!(fill(stream, &mut answer)?, "the server closed the connection");
    ensure!(answer[REJECTION_ID] == order[ORDER_ID], "the answer belongs to another order");
    Ok(())
}

/// What a stream of quotes came to.
#[derive(Debug)]
pub struct Stream {
    /// Quotes sent and taken in.
    pub events: u64,
    /// Time until the server had taken in the last of them.
    pub nanos: u64,
}

impl Stream {
    /// Quotes per second.
    pub fn events_per_second(&self) -> f64 {
        self.events as f64 * 1e9 / self.nanos as f64
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
) -> Result<Stream> {
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
        Ok(Stream { events: sent / QUOTE_BYTES as u64, nanos: stamp::now() - start })
    })
}

/// Ends the stream and waits for the number of bytes that the receiver took in.
fn taken(mut stream: TcpStream) -> Result<u64> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_nonblocking(false)?;
    let mut total = [0; 8];
    stream.read_exact(&mut total).context("the receiver did not say what it took in")?;
    Ok(u64::from_le_bytes(total))
}

fn connect(server: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(server).with_context(|| format!("no server at {server}"))?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}
