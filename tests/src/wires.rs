//! Wires: the connections of simulated links, as bytes in memory that come and go in pieces.
//!
//! Promises: what one end writes the other reads, all of it and in order, some time later; a wire
//! holds few bytes, so that it is full again and again. Where ends are announced, as descriptors
//! are, it is once for each change.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use potoroo::turn::{LinkPort, NewLink, Readiness, Watching};
use potoroo_runtime::{Lanes, LinkedLanes, ReadOutcome, Ready, WriteOutcome};
use potoroo_sdk::random::Random;

use crate::workload::piece;

/// Bytes that a wire holds in each direction at most, and at least one.
const WIRE_BYTES_MAX: u64 = 3_000;

/// How links are simulated.
#[derive(Clone, Copy, Debug, Default)]
pub struct WireKind {
    /// Ends are announced; otherwise cores look at them in each turn.
    pub announced: bool,
    /// Something is wrong on purpose: markers come after frames that follow them.
    pub late_markers: bool,
}

/// What a core gets of a link, and who sees what is to be announced of it.
pub struct WiredCore {
    /// The core.
    pub core: usize,
    /// What its driver gets.
    pub link: NewLink,
    /// What is announced.
    pub watch: WireWatch,
}

/// One end of a wire.
struct WireEnd {
    to: Way,
    from: Way,
    random: Random,
    kind: WireKind,
    tamper: Tamper,
}

/// One direction.
#[derive(Clone)]
struct Way {
    state: Arc<Mutex<WayState>>,
    bytes_max: usize,
}

#[derive(Default)]
struct WayState {
    bytes: VecDeque<u8>,
    /// Under which its reader watches it.
    reader: Option<u64>,
    /// There is something that its reader does not know of.
    came: bool,
    /// Under which its writer waits for room.
    writer: Option<u64>,
}

impl Way {
    fn new(random: &mut Random) -> Self {
        Self { state: Arc::default(), bytes_max: 1 + random.below(WIRE_BYTES_MAX) as usize }
    }

    fn lock(&self) -> MutexGuard<'_, WayState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Links the cores in the place of the rings between them, if they are on different nodes: `node`
/// has that of each.
pub fn link_nodes(
    node: &[u64],
    lanes: &mut [Lanes],
    capacity_bytes: usize,
    random: &mut Random,
    kind: WireKind,
) -> Vec<WiredCore> {
    let mut wired = Vec::new();
    for left in 0..node.len() {
        for right in (left + 1..node.len()).filter(|right| node[*right] != node[left]) {
            let levels = lanes[left].outbound[right].levels();
            let (there, back) = (Way::new(random), Way::new(random));
            for (core, seat, to, from) in
                [(left, right, &there, &back), (right, left, &back, &there)]
            {
                let LinkedLanes { outbound, inbound, receiver } =
                    LinkedLanes::new(levels, capacity_bytes);
                (lanes[core].outbound[seat], lanes[core].inbound[seat]) = (outbound, inbound);
                let (to, from, random) = (to.clone(), from.clone(), Random::new(random.u64()));
                let watch = WireWatch { to: to.clone(), from: from.clone() };
                let port = Box::new(WireEnd { to, from, random, kind, tamper: Tamper::default() });
                let link = NewLink { seat, port, receiver, ahead_ns: 0, counts: Arc::default() };
                wired.push(WiredCore { core, link, watch });
            }
        }
    }
    wired
}

/// What of one end of a wire is announced.
pub struct WireWatch {
    to: Way,
    from: Way,
}

impl WireWatch {
    /// Whether there is something to announce.
    pub fn pending(&self) -> bool {
        let (from, to) = (self.from.lock(), self.to.lock());
        let has_room = to.bytes.len() < self.to.bytes_max;
        from.came && from.reader.is_some() || to.writer.is_some() && has_room
    }

    /// Announces it.
    pub fn announce(&self, ready: &mut Vec<Ready>) {
        let announced =
            |token, writable: bool| Ready { token, readable: !writable, writable, closed: false };
        let mut from = self.from.lock();
        if let Some(token) = from.reader.filter(|_| from.came) {
            from.came = false;
            ready.push(announced(token, false));
        }
        let mut to = self.to.lock();
        if to.bytes.len() < self.to.bytes_max
            && let Some(token) = to.writer.take()
        {
            ready.push(announced(token, true));
        }
    }
}

impl LinkPort for WireEnd {
    fn read(&mut self, room: &mut [u8]) -> ReadOutcome {
        if self.kind.late_markers {
            self.tamper.pass(&mut self.to.lock().bytes);
        }
        let mut from = self.from.lock();
        let count = piece(&mut self.random).min(from.bytes.len()).min(room.len());
        if count == 0 || self.random.chance(0.3) {
            // The rest is still under way.
            from.came = !from.bytes.is_empty();
            return ReadOutcome::WouldBlock;
        }
        from.bytes.drain(..count).zip(room).for_each(|(byte, to)| *to = byte);
        ReadOutcome::Bytes(count)
    }

    fn write(&mut self, parts: &[IoSlice<'_>]) -> WriteOutcome {
        let mut to = self.to.lock();
        let room = self.to.bytes_max.saturating_sub(to.bytes.len());
        let count = piece(&mut self.random).min(room);
        if count == 0 || self.random.chance(0.3) {
            return WriteOutcome::WouldBlock;
        }
        let written: Vec<u8> = parts.iter().flat_map(|part| &**part).copied().take(count).collect();
        match self.kind.late_markers {
            true => self.tamper.written.extend(&written),
            false => to.bytes.extend(&written),
        }
        to.came = true;
        WriteOutcome::Bytes(written.len())
    }

    fn watch(&mut self, _: &mut dyn Readiness, token: u64) -> Watching {
        self.from.lock().reader = Some(token);
        if self.kind.announced { Watching::Announced } else { Watching::EachTurn }
    }

    fn watch_room(&mut self, _: &mut dyn Readiness, token: u64) -> Watching {
        self.to.lock().writer = Some(token);
        if self.kind.announced { Watching::Announced } else { Watching::EachTurn }
    }
}

/// Passes each marker on after the frames that follow it, if some follow soon.
#[derive(Default)]
struct Tamper {
    written: VecDeque<u8>,
    /// The record of a marker, and how often it was kept back.
    marker: Option<(Vec<u8>, u32)>,
}

/// Kinds of records, and bytes of their headers.
const FRAMES: u8 = 1;
const MARK: u8 = 3;
const HEADER_BYTES: usize = 8;

/// Looks after which a marker is passed on although no frames follow it.
const LATE_MAX: u32 = 40;

impl Tamper {
    fn pass(&mut self, to: &mut VecDeque<u8>) {
        while let Some(record) = self.next() {
            let kind = record[0];
            if kind == MARK {
                self.marker = Some((record, 0));
                continue;
            }
            to.extend(record);
            if kind == FRAMES {
                to.extend(self.marker.take().into_iter().flat_map(|(marker, _)| marker));
            }
        }
        if let Some((marker, late)) = &mut self.marker {
            *late += 1;
            if *late > LATE_MAX {
                to.extend(marker.drain(..));
                self.marker = None;
            }
        }
    }

    /// The next record, if all of it was written.
    fn next(&mut self) -> Option<Vec<u8>> {
        let header: Vec<u8> = self.written.iter().take(HEADER_BYTES).copied().collect();
        let length = header.get(4..HEADER_BYTES)?.first_chunk()?;
        let bytes = HEADER_BYTES + u32::from_le_bytes(*length) as usize;
        (self.written.len() >= bytes).then(|| self.written.drain(..bytes).collect())
    }
}
