//! 64 bytes over loopback, there and back, by TCP and by UDP.

use std::hint::spin_loop;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::readings::Readings;
use crate::place::{Gate, Place};
use crate::recorder::Recorder;
use crate::stamp;

/// Round trips over a TCP connection without delay.
///
/// # Errors
/// There is no loopback, or bytes came back changed.
pub fn tcp(place: Place, slice: Duration) -> Result<Readings> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port to listen on")?;
    let left = TcpStream::connect(listener.local_addr()?).context("no connection to loopback")?;
    let (right, _) = listener.accept().context("no connection from loopback")?;
    for stream in [&left, &right] {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
    }
    let latency = round_trips(place, slice, left, right)?;
    Ok(vec![
        ("tcp_rtt_p50_ns", latency.quantile(0.5)),
        ("tcp_rtt_p999_ns", latency.quantile(0.999)),
    ])
}

/// Round trips between two connected UDP sockets.
///
/// # Errors
/// As [`tcp`].
pub fn udp(place: Place, slice: Duration) -> Result<Readings> {
    let open = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no UDP port");
    let (left, right) = (open()?, open()?);
    left.connect(right.local_addr()?)?;
    right.connect(left.local_addr()?)?;
    left.set_nonblocking(true)?;
    right.set_nonblocking(true)?;
    let latency = round_trips(place, slice, Datagrams(left), Datagrams(right))?;
    Ok(vec![
        ("udp_rtt_p50_ns", latency.quantile(0.5)),
        ("udp_rtt_p999_ns", latency.quantile(0.999)),
    ])
}

/// Datagrams of one frame each look like a stream.
struct Datagrams(UdpSocket);

impl Read for Datagrams {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer)
    }
}

impl Write for Datagrams {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.send(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn round_trips<S: Read + Write + Send>(
    place: Place,
    slice: Duration,
    mut left: S,
    mut right: S,
) -> Result<Recorder> {
    let over = AtomicBool::new(false);
    let asking = |gate: &Gate| {
        let outcome = ask(gate, slice, &mut left);
        over.store(true, Ordering::Release);
        outcome
    };
    let answering = |gate: &Gate| {
        let _sprint = gate.enter();
        let mut frame = [0; FRAME_BYTES];
        let running = || !over.load(Ordering::Acquire);
        while receive(&mut right, &mut frame, running)? {
            send(&mut right, &frame, running)?;
        }
        Ok::<_, anyhow::Error>(())
    };
    let (latency, answered) = place.pair(asking, answering)?;
    answered?;
    latency
}

fn ask(gate: &Gate, slice: Duration, left: &mut impl ReadWrite) -> Result<Recorder> {
    let mut latency = Recorder::new();
    let _sprint = gate.enter();
    let start = stamp::now();
    let slice_ns = slice.as_nanos() as u64;
    // A datagram may be lost: the wait for it ends.
    let running = || stamp::now() - start < slice_ns + PATIENCE_NS;
    let (mut before, mut sequence) = (start, 0u64);
    while before - start < slice_ns {
        let question = [sequence.to_le_bytes(); FRAME_BYTES / 8].concat();
        let mut answer = [0; FRAME_BYTES];
        send(left, &question, running)?;
        ensure!(receive(left, &mut answer, running)?, "a message was lost on loopback");
        ensure!(answer[..] == question, "a message came back changed");
        let after = stamp::now();
        latency.record(after - before);
        before = after;
        sequence += 1;
    }
    ensure!(sequence > 0, "no message came back");
    Ok(latency)
}

trait ReadWrite: Read + Write {}
impl<S: Read + Write> ReadWrite for S {}

/// Sends all of a frame, polling while there is no room.
fn send(socket: &mut impl Write, frame: &[u8], running: impl Fn() -> bool) -> Result<()> {
    let mut done = 0;
    while done < frame.len() && running() {
        match socket.write(&frame[done..]) {
            Ok(bytes) => done += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => spin_loop(),
            Err(error) => return Err(error).context("sending over loopback failed"),
        }
    }
    Ok(())
}

/// Fills a frame, polling; false when it is over before it is full.
fn receive(socket: &mut impl Read, frame: &mut [u8], running: impl Fn() -> bool) -> Result<bool> {
    let mut done = 0;
    while done < frame.len() {
        match socket.read(&mut frame[done..]) {
            Ok(0) => return Ok(false),
            Ok(bytes) => done += bytes,
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                return Err(error).context("receiving over loopback failed");
            }
            Err(_) if !running() => return Ok(false),
            Err(_) => spin_loop(),
        }
    }
    Ok(true)
}

const FRAME_BYTES: usize = 64;
/// Another program may hold the other side's CPU; longer than this it does not.
const PATIENCE_NS: u64 = 3_000_000_000;
