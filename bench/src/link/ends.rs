//! The ends of a connection: with a link on it, and bare.

use std::io::IoSlice;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use potoroo_runtime::link::RECORDS_MAX;
use potoroo_runtime::{Connection, LaneLimits, LinkedLanes, Listener, ReadOutcome, WriteOutcome};

/// Bytes of a frame, length word included.
const FRAME_BYTES: usize = 64;
/// Bytes that are read at once: as much as a core does.
const READ_BYTES: usize = 64 * 1024;
/// Bytes of each lane.
const LANE_BYTES: usize = 256 * 1024;

/// One end of a connection, which sends and receives numbers in frames.
pub trait FrameEnd: Sized + Send {
    /// Takes over a connection.
    fn new(connection: Connection) -> Self;
    /// Adds a frame to what the next call of [`carry`](Self::carry) sends.
    fn append(&mut self, number: u64);
    /// Sends; returns whether there was anything to send.
    fn carry(&mut self) -> bool;
    /// Receives, and shows the number of each frame; returns whether anything came.
    fn bring(&mut self, see: impl FnMut(u64)) -> bool;
}

/// Both ends of a new connection over loopback.
///
/// # Errors
/// There is no loopback.
pub fn connect<E: FrameEnd>() -> Result<(E, E)> {
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).context("no port")?;
    let left = Connection::connect_start(listener.local_addr()?).context("no loopback")?;
    let right = loop {
        if let Some(connection) = listener.accept()? {
            break connection;
        }
    };
    while !left.finish_connect()? {}
    Ok((E::new(left), E::new(right)))
}

/// With a link.
pub struct LinkEnd {
    link: LinkedLanes,
    connection: Connection,
    buffer: Box<[u8]>,
    unpublished: bool,
}

/// The lane of all frames.
const LEVEL: usize = 0;
const UNLIMITED: LaneLimits = LaneLimits { epoch: 0, end: None };

impl FrameEnd for LinkEnd {
    fn new(connection: Connection) -> Self {
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        Self { link: LinkedLanes::new(2, LANE_BYTES), connection, buffer, unpublished: false }
    }

    fn append(&mut self, number: u64) {
        let room = self.link.outbound.try_append(LEVEL, FRAME_BYTES);
        let (room, _) = room.expect("a batch is shorter than a lane, and is taken before the next");
        fill(&mut room[FRAME_BYTES - 4 - 56..], number);
        self.unpublished = true;
    }

    fn carry(&mut self) -> bool {
        if std::mem::take(&mut self.unpublished) {
            self.link.outbound.publish(LEVEL);
        }
        let sender = self.link.outbound.link().expect("it is the end of a link");
        if !sender.plan(&mut self.link.receiver) {
            return false;
        }
        let mut slices = [IoSlice::new(&[]); 2 * RECORDS_MAX];
        let count = sender.gather(&mut slices);
        match self.connection.try_write_parts(&slices[..count]) {
            WriteOutcome::Bytes(bytes) => sender.sent(bytes),
            WriteOutcome::WouldBlock => {}
            WriteOutcome::Failed(errno) => panic!("the connection failed: {errno}"),
        }
        true
    }

    fn bring(&mut self, mut see: impl FnMut(u64)) -> bool {
        let ReadOutcome::Bytes(count) = self.connection.try_read(&mut self.buffer) else {
            return false;
        };
        // As an engine does it, which cannot trust what comes from elsewhere.
        let admit = |_, frame: &mut [u8]| match frame.len() {
            FRAME_BYTES => Ok(()),
            other => Err(format!("it has {other} bytes")),
        };
        let taken = self.link.receiver.take(&mut self.buffer[..count], admit);
        taken.unwrap_or_else(|fault| panic!("{fault}"));
        let mut lane = self.link.inbound.drain(LEVEL, UNLIMITED);
        let mut position = lane.head();
        while let Some((frame, next)) = lane.frame_at(position) {
            see(number(frame));
            position = next;
        }
        lane.consume_to(position);
        true
    }
}

/// Without one.
pub struct BareEnd {
    connection: Connection,
    out: Vec<u8>,
    buffer: Box<[u8]>,
    /// Bytes at the beginning of the buffer that were read and are no whole frame.
    rest: usize,
}

impl FrameEnd for BareEnd {
    fn new(connection: Connection) -> Self {
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        Self { connection, out: Vec::with_capacity(LANE_BYTES), buffer, rest: 0 }
    }

    fn append(&mut self, number: u64) {
        let begin = self.out.len();
        self.out.resize(begin + FRAME_BYTES, 0);
        fill(&mut self.out[begin + 8..], number);
    }

    fn carry(&mut self) -> bool {
        if self.out.is_empty() {
            return false;
        }
        match self.connection.try_write(&self.out) {
            WriteOutcome::Bytes(bytes) => drop(self.out.drain(..bytes)),
            WriteOutcome::WouldBlock => {}
            WriteOutcome::Failed(errno) => panic!("the connection failed: {errno}"),
        }
        true
    }

    fn bring(&mut self, mut see: impl FnMut(u64)) -> bool {
        let ReadOutcome::Bytes(count) = self.connection.try_read(&mut self.buffer[self.rest..])
        else {
            return false;
        };
        let have = self.rest + count;
        let whole = have / FRAME_BYTES * FRAME_BYTES;
        self.buffer[..whole].chunks_exact(FRAME_BYTES).for_each(|frame| see(number(frame)));
        self.buffer.copy_within(whole..have, 0);
        self.rest = have - whole;
        true
    }
}

/// Seven equal words.
fn fill(words: &mut [u8], number: u64) {
    words.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&number.to_le_bytes()));
}

fn number(frame: &[u8]) -> u64 {
    let word = frame[FRAME_BYTES - 8..FRAME_BYTES].first_chunk();
    u64::from_le_bytes(*word.expect("a frame has 64 bytes"))
}
