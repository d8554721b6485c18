//! The other process: a bare echo and a bare receiver, which do nothing but move bytes.
//!
//! It listens, prints its port as the first line of stdout, serves one connection, prints a line
//! for each gap of its loop (start and end on the clock of `stamp`, which the two processes share,
//! and involuntary switches), and ends. It is raised to real-time priority only while that
//! connection is open.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use anyhow::{Context, Result};
use clap::ValueEnum;

use super::frames::{ORDER_BYTES, echo};
use crate::gaps::{CoreGaps, GapLog, Watch};
use crate::place::{self, Gate};
use crate::stamp;

/// What the process does with its connection.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    /// Answers each 57-byte order with 59 bytes.
    Echo,
    /// Reads until the end, then says how many bytes came (u64, little-endian).
    Receive,
}

/// Serves one connection on `cpu`, polling without rest.
///
/// # Errors
/// No socket, no CPU of that number, or the connection broke.
pub fn serve(kind: Kind, cpu: usize, fifo: bool) -> Result<()> {
    place::pin(cpu)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port to listen on")?;
    println!("{}", listener.local_addr()?.port());
    let (stream, _) = listener.accept().context("no client connected")?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let sprint = Gate::new(1, fifo).enter();
    let gaps = match kind {
        Kind::Echo => serve_echo(stream)?.gaps,
        Kind::Receive => serve_receive(stream).map(|()| Vec::new())?,
    };
    drop(sprint);
    gaps.iter().for_each(|gap| println!("{} {} {}", gap.start_ns, gap.end_ns, gap.switches));
    Ok(())
}

fn serve_echo(mut stream: TcpStream) -> Result<CoreGaps> {
    let mut order = [0; ORDER_BYTES];
    let mut log = Watch::new(1).log(0, "answer");
    log.begin(stamp::now());
    while fill(&mut stream, &mut order, &mut log)? {
        drain(&mut stream, &echo(&order))?;
        log.skip(stamp::now());
    }
    Ok(log.finish())
}

fn serve_receive(mut stream: TcpStream) -> Result<()> {
    let mut buffer = vec![0; RECEIVE_BYTES];
    let mut total = 0u64;
    loop {
        match poll(stream.read(&mut buffer))? {
            Some(0) => break,
            Some(bytes) => total += bytes as u64,
            None => std::hint::spin_loop(),
        }
    }
    drain(&mut stream, &total.to_le_bytes())
}

/// Fills the buffer, polling; false when the peer closed before the first byte. The log sees each
/// call that brings nothing.
///
/// # Errors
/// The connection broke, or was closed in the middle of a frame.
#[inline]
pub fn fill(stream: &mut TcpStream, buffer: &mut [u8], log: &mut GapLog) -> Result<bool> {
    let mut done = 0;
    while done < buffer.len() {
        match poll(stream.read(&mut buffer[done..]))? {
            Some(0) if done == 0 => return Ok(false),
            Some(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            Some(bytes) => done += bytes,
            None => {
                log.see(stamp::now());
                std::hint::spin_loop();
            }
        }
    }
    Ok(true)
}

/// Writes the whole buffer, polling.
///
/// # Errors
/// The connection broke.
#[inline]
pub fn drain(stream: &mut TcpStream, buffer: &[u8]) -> Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match poll(stream.write(&buffer[done..]))? {
            Some(bytes) => done += bytes,
            None => std::hint::spin_loop(),
        }
    }
    Ok(())
}

/// `None` when the socket has nothing or no room now.
#[inline]
fn poll(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(None),
        Err(error) => Err(error),
    }
}

/// Larger made no difference to a receiver that does nothing.
const RECEIVE_BYTES: usize = 256 * 1024;
