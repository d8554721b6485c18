//! The ends of a connection: with a link on it, and bare.
//!
//! A link has frames as the engine makes them: a header of 40 bytes and an event of 64. Its
//! receiver admits them as a core does, because they are bytes of another process: the event is
//! validated, its key is hashed, and the owner of that key looked up. A bare connection has the 64
//! bytes of the event, which are believed.

use std::io::IoSlice;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use potoroo::Config;
use potoroo::flow::{Core, CoreConfig, FrameEdge, Header, PartitionMap, SharedCounts};
use potoroo::sdk::host::{Cause, Origin, SourceId};
use potoroo::turn::LinkPort;
use potoroo_runtime::link::RECORDS_MAX;
use potoroo_runtime::{
    Connection, LaneLimits, LinkedLanes, Listener, Nanos, ReadOutcome, WriteOutcome, mesh,
};

use crate::engine::growth;
use crate::engine::load::scatter;
use crate::stamp;

/// Bytes of an event.
const EVENT_BYTES: usize = 64;
/// Bytes of its length word, as everywhere in a ring.
const LENGTH_BYTES: usize = 4;
/// Where the number of an event is in it: after its key.
const NUMBER_AT: usize = 8;
/// Bytes that are read at once: as much as a core does.
const READ_BYTES: usize = 64 * 1024;
/// Bytes of each lane.
const LANE_BYTES: usize = 256 * 1024;

/// One end of a connection, which sends and receives numbers in frames.
pub trait FrameEnd: Sized {
    /// One end of a connection.
    type Wire: Send;
    /// Both ends of a new connection over loopback.
    ///
    /// # Errors
    /// There is no loopback.
    fn connect() -> Result<(Self::Wire, Self::Wire)>;
    /// Takes over the connection of one of two seats.
    ///
    /// # Errors
    /// Its core cannot be made.
    fn new(wire: Self::Wire, seat: usize) -> Result<Self>;
    /// Adds a frame to what the next call of [`carry`](Self::carry) sends.
    fn append(&mut self, number: u64);
    /// Sends; returns whether there was anything to send.
    fn carry(&mut self) -> bool;
    /// Receives, and shows the number of each frame; returns whether anything came.
    fn bring(&mut self, see: impl FnMut(u64)) -> bool;
}

/// A connection that a link can have.
pub trait Wire: LinkPort + Sized {
    /// Both ends of a new one over loopback.
    ///
    /// # Errors
    /// There is no loopback.
    fn connect() -> Result<(Self, Self)>;
}

impl Wire for Connection {
    fn connect() -> Result<(Self, Self)> {
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).context("no port")?;
        let left = Self::connect_start(listener.local_addr()?).context("no loopback")?;
        let right = loop {
            if let Some(connection) = listener.accept()? {
                break connection;
            }
        };
        while !left.finish_connect()? {}
        Ok((left, right))
    }
}

/// With a link.
pub struct LinkEnd<W> {
    link: LinkedLanes,
    wire: W,
    buffer: Box<[u8]>,
    unpublished: bool,
    /// Admits what comes.
    core: Core,
    /// Frames for different keys of the peer, without their length words.
    frames: Vec<Vec<u8>>,
}

/// The lane of all frames.
const LEVEL: usize = 0;
/// Lanes of a link: of the exchange, and of outputs.
const LEVELS: usize = 2;
/// Keys that take turns.
const KEYS: usize = 64;
const SEATS: usize = 2;
const UNLIMITED: LaneLimits = LaneLimits { epoch: 0, end: None };

impl<W> LinkEnd<W> {
    /// A core that owns half of all keys, and has an exchange for events of 64 bytes.
    fn core(seat: usize) -> Result<Core> {
        let plan = growth::application(1).plan()?;
        ensure!(plan.levels() + 1 == LEVELS, "the lanes do not fit the application");
        let Config { lane_bytes, inlet_bytes, outlet_bytes, .. } = Config::default();
        let config = CoreConfig {
            core: seat,
            lanes: mesh(SEATS, LEVELS, LANE_BYTES).swap_remove(seat),
            map: Self::map(),
            sink_owners: Vec::new(),
            inlet_bytes,
            outlet_bytes,
            local_bytes: lane_bytes,
            keep_letters: false,
            readers: Vec::new(),
            tally: Arc::new(SharedCounts::new(&plan)),
        };
        Ok(Core::new(plan, config))
    }

    fn map() -> PartitionMap {
        let owners: Vec<u16> = (0..SEATS as u16).collect();
        PartitionMap::spread(Config::default().partitions as u32, &owners)
    }

    /// As the core of the other seat would send them.
    fn frames(core: &Core, seat: usize) -> Result<Vec<Vec<u8>>> {
        let (map, stage) = (Self::map(), &core.plan().exchanges[0].stage);
        let mut frames = Vec::new();
        for key in (0..).map(scatter) {
            let body: Vec<u8> =
                [key, 0, 0, 0, 0, 0, 0, 0].into_iter().flat_map(u64::to_le_bytes).collect();
            let hash = stage.hash(&body)?;
            if map.owner(hash) == seat {
                continue;
            }
            let origin = Origin { connection: 1, position: 1 };
            let cause = Cause { ingress: stamp::now(), origin, source: SourceId(0) };
            let mut frame = vec![0; Header::frame_bytes(EVENT_BYTES) - LENGTH_BYTES];
            let room = Header::write(FrameEdge::Exchange(0), hash, &cause, &mut frame);
            room.copy_from_slice(&body);
            frames.push(frame);
            if frames.len() == KEYS {
                break;
            }
        }
        Ok(frames)
    }
}

impl<W: Wire> FrameEnd for LinkEnd<W> {
    type Wire = W;

    fn connect() -> Result<(W, W)> {
        W::connect()
    }

    fn new(wire: W, seat: usize) -> Result<Self> {
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        let core = Self::core(seat)?;
        let frames = Self::frames(&core, seat)?;
        let link = LinkedLanes::new(LEVELS, LANE_BYTES);
        Ok(Self { link, wire, buffer, unpublished: false, core, frames })
    }

    fn append(&mut self, number: u64) {
        let frame = &self.frames[number as usize % KEYS];
        let room = self.link.outbound.try_append(LEVEL, LENGTH_BYTES + frame.len());
        let (room, _) = room.expect("a batch is shorter than a lane, and is taken before the next");
        room.copy_from_slice(frame);
        set_number(room, number);
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
        match self.wire.write(&slices[..count]) {
            WriteOutcome::Bytes(bytes) => sender.sent(bytes),
            WriteOutcome::WouldBlock => {}
            WriteOutcome::Failed(errno) => panic!("the connection failed: {errno}"),
        }
        true
    }

    fn bring(&mut self, mut see: impl FnMut(u64)) -> bool {
        let Some(count) = came(self.wire.read(&mut self.buffer)) else { return false };
        let (core, now) = (&self.core, Nanos(stamp::now()));
        let admit = |level, frame: &mut [u8]| {
            core.admit(level, frame, 0, now).map_err(|fault| fault.to_string())
        };
        let taken = self.link.receiver.take(&mut self.buffer[..count], admit);
        taken.unwrap_or_else(|fault| panic!("{fault}"));
        let mut lane = self.link.inbound.drain(LEVEL, UNLIMITED);
        let mut position = lane.head();
        while let Some((frame, next)) = lane.frame_at(position) {
            see(number_of(frame));
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
    type Wire = Connection;

    fn connect() -> Result<(Connection, Connection)> {
        Connection::connect()
    }

    fn new(connection: Connection, _: usize) -> Result<Self> {
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        Ok(Self { connection, out: Vec::with_capacity(LANE_BYTES), buffer, rest: 0 })
    }

    fn append(&mut self, number: u64) {
        let begin = self.out.len();
        self.out.resize(begin + EVENT_BYTES, 0);
        set_number(&mut self.out[begin..], number);
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
        let read = self.connection.try_read(&mut self.buffer[self.rest..]);
        let Some(count) = came(read) else { return false };
        let have = self.rest + count;
        let whole = have / EVENT_BYTES * EVENT_BYTES;
        self.buffer[..whole].chunks_exact(EVENT_BYTES).for_each(|frame| see(number_of(frame)));
        self.buffer.copy_within(whole..have, 0);
        self.rest = have - whole;
        true
    }
}

/// Bytes that came. An end whose peer has failed fails, too: it would wait for ever.
fn came(read: ReadOutcome) -> Option<usize> {
    match read {
        ReadOutcome::Bytes(count) => Some(count),
        ReadOutcome::WouldBlock => None,
        ReadOutcome::Closed => panic!("the other end has failed"),
        ReadOutcome::Failed(errno) => panic!("the connection failed: {errno}"),
    }
}

/// Sets the number of the event at the end of `bytes`.
fn set_number(bytes: &mut [u8], number: u64) {
    let at = bytes.len() - EVENT_BYTES + NUMBER_AT;
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

/// The number of the event at the end of `bytes`.
fn number_of(bytes: &[u8]) -> u64 {
    let at = bytes.len() - EVENT_BYTES + NUMBER_AT;
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("an event has 64 bytes"))
}
