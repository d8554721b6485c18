//! A core with many links: a turn sends over some of them, and none waits for another one's peer.

use std::io::IoSlice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, LazyLock};

use potoroo::flow::{Core, CoreConfig, PartitionMap, SharedCounts};
use potoroo::turn::{
    Command, Driver, Fill, InletKind, InletPort, LinkPort, NewInlet, NewLink, Readiness, Watching,
    mailbox,
};
use potoroo_runtime::{Lanes, LinkedLanes, Nanos, Poller, ReadOutcome, Waker, WriteOutcome, mesh};
use potoroo_sdk::host::SourceId;
use potoroo_sdk::prelude::*;

const LANE_BYTES: usize = 4096;
const SEATS: usize = 14;

fn lengths() -> Application {
    let app = Application::new("lengths");
    let lengths = app.table::<u64, u64>("lengths");
    app.source("in", LineText::new())
        .map(|line: &str| line.len() as u64)
        .key_by(|length| length)
        .update(&lengths, |lines, _| *lines += 1);
    app
}

/// A connection that takes nothing, or everything.
struct Peer {
    full: bool,
    taken: Arc<AtomicUsize>,
}

impl LinkPort for Peer {
    fn read(&mut self, _: &mut [u8]) -> ReadOutcome {
        ReadOutcome::WouldBlock
    }

    fn write(&mut self, parts: &[IoSlice<'_>]) -> WriteOutcome {
        if self.full {
            return WriteOutcome::WouldBlock;
        }
        let bytes = parts.iter().map(|part| part.len()).sum();
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        WriteOutcome::Bytes(bytes)
    }

    fn watch(&mut self, _: &mut dyn Readiness, _: u64) -> Watching {
        Watching::Announced
    }

    fn watch_room(&mut self, _: &mut dyn Readiness, _: u64) -> Watching {
        Watching::Announced
    }
}

/// Lines of many lengths, all at once.
struct Lines(bool);

impl InletPort for Lines {
    fn fill(&mut self, room: &mut [u8], now: Nanos) -> Fill {
        if std::mem::replace(&mut self.0, true) {
            return Fill::Ended;
        }
        let lines: String = (1..70).map(|length| format!("{}\n", "a".repeat(length))).collect();
        room[..lines.len()].copy_from_slice(lines.as_bytes());
        Fill::Bytes(lines.len(), now)
    }
}

static WAKER: LazyLock<Waker> = LazyLock::new(|| Poller::new().expect("this host has one").waker());

/// The core at the first seat, alone on its node, with a driver; only the last peer takes anything.
fn core() -> (Core, Driver, Arc<AtomicUsize>) {
    let plan = lengths().plan().expect("it is sound");
    let mut lanes: Lanes = mesh(1, plan.levels() + 1, LANE_BYTES).remove(0).among(0, SEATS);
    let (mut links, taken) = (Vec::new(), Arc::new(AtomicUsize::new(0)));
    for seat in 1..SEATS {
        let LinkedLanes { outbound, inbound, receiver } =
            LinkedLanes::new(plan.levels() + 1, LANE_BYTES);
        lanes.link(seat, outbound, inbound);
        let port = Box::new(Peer { full: seat + 1 < SEATS, taken: taken.clone() });
        links.push(NewLink { seat, port, receiver, ahead_ns: 0, counts: Arc::default() });
    }
    let owners: Vec<u16> = (0..SEATS as u16).collect();
    let config = CoreConfig {
        core: 0,
        lanes,
        map: PartitionMap::spread(SEATS as u32, &owners),
        sink_owners: Vec::new(),
        inlet_bytes: LANE_BYTES,
        outlet_bytes: LANE_BYTES,
        local_bytes: LANE_BYTES,
        keep_letters: false,
        readers: Vec::new(),
        tally: Arc::new(SharedCounts::new(&plan)),
    };
    let ((commands, mail), (notices, _)) = (mailbox(WAKER.clone()), channel());
    let (source, kind, port) = (SourceId(0), InletKind::Bytes, Box::new(Lines(false)));
    commands.send(Command::Inlet(NewInlet { source, kind, port, taken: None }));
    let mut driver = Driver::new(mail, notices, Arc::default(), None, 0, false, u64::MAX);
    links.into_iter().for_each(|link| driver.add_link(link));
    (Core::new(plan, config), driver, taken)
}

/// A core that finds nothing to do sleeps: it must have sent what some peer has room for.
#[test]
fn a_core_does_not_sleep_while_a_peer_has_room_for_what_waits() {
    let (mut core, mut driver, taken) = core();
    let mut poller = Poller::new().expect("this host has one");
    let turns = 1..1_000;
    let mut idle = turns.map(|now| driver.turn(&mut core, Nanos(now), &mut poller, |_| ()));
    assert!(idle.any(|turned| turned.is_idle()), "it comes to rest");
    assert!(taken.load(Ordering::Relaxed) > 0, "frames wait for a peer that would take them");
}
