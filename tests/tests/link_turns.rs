//! How a core serves many links: how often it reads and sends, and what it waits for.

use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use potoroo::flow::{Core, CoreConfig, PartitionMap, SharedCounts};
use potoroo::turn::{Driver, LinkPort, NewLink, Readiness, Watching, mailbox};
use potoroo_runtime::poller::Error;
use potoroo_runtime::{LinkedLanes, Nanos, Poller, ReadOutcome, Ready, WriteOutcome, mesh};
use potoroo_sdk::host::SourceId;
use potoroo_sdk::prelude::*;

const LINKS: usize = 6;
const LANE_BYTES: usize = 1 << 14;

fn lengths() -> Application {
    let app = Application::new("lengths");
    let lengths = app.table::<u64, u64>("lengths");
    app.source("in", LineText::new())
        .map(|line: &str| line.len() as u64)
        .key_by(|length| length)
        .update(&lengths, |lines, _| *lines += 1);
    app
}

/// What happens at the connection of a link.
#[derive(Default)]
struct State {
    token: u64,
    reads: usize,
    writes: usize,
    full: bool,
    waits: usize,
}

/// A connection whose peer sends nothing, and takes everything unless it is full.
#[derive(Clone, Default)]
struct Port(Arc<Mutex<State>>);

impl Port {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LinkPort for Port {
    fn read(&mut self, _: &mut [u8]) -> ReadOutcome {
        self.lock().reads += 1;
        ReadOutcome::WouldBlock
    }

    fn write(&mut self, parts: &[IoSlice<'_>]) -> WriteOutcome {
        let mut state = self.lock();
        state.writes += 1;
        match state.full {
            true => WriteOutcome::WouldBlock,
            false => WriteOutcome::Bytes(parts.iter().map(|part| part.len()).sum()),
        }
    }

    fn watch(&mut self, _: &mut dyn Readiness, token: u64) -> Watching {
        self.lock().token = token;
        Watching::Announced
    }

    fn watch_room(&mut self, _: &mut dyn Readiness, token: u64) -> Watching {
        let mut state = self.lock();
        assert_eq!(state.token, token);
        state.waits += 1;
        Watching::Announced
    }
}

/// Announces what a test puts there.
#[derive(Default)]
struct Announced(Vec<Ready>);

impl Readiness for Announced {
    fn poll(&mut self, ready: &mut Vec<Ready>) {
        ready.append(&mut self.0);
    }

    fn watch(&mut self, _: BorrowedFd<'_>, _: u64) -> Result<(), Error> {
        unreachable!("no port has a descriptor")
    }

    fn watch_writable(&mut self, _: BorrowedFd<'_>, _: u64) -> Result<(), Error> {
        unreachable!("no port has a descriptor")
    }

    fn unwatch(&mut self, _: u64) {}
}

/// The first of cores that are on nodes of their own.
struct First {
    core: Core,
    driver: Driver,
    ports: Vec<Port>,
    announced: Announced,
    now: u64,
}

impl First {
    /// Linked to as many others. It looks at links that are hot by itself if it is `hot`.
    fn new(links: usize, hot: bool) -> Self {
        let plan = lengths().plan().expect("it is sound");
        let mut lanes = mesh(1, plan.levels() + 1, LANE_BYTES).remove(0).among(0, 1 + links);
        let (mailbox, mail) = mailbox(Poller::new().expect("this host has one").waker());
        drop(mailbox);
        let letters = Arc::new(AtomicUsize::new(0));
        let mut driver = Driver::new(mail, channel().0, letters, None, 0, hot, u64::MAX);
        let ports: Vec<Port> = (0..links).map(|_| Port::default()).collect();
        for (seat, port) in (1..).zip(&ports) {
            let linked = LinkedLanes::new(plan.levels() + 1, LANE_BYTES);
            lanes.link(seat, linked.outbound, linked.inbound);
            let (port, receiver) = (Box::new(port.clone()), linked.receiver);
            driver.add_link(NewLink { seat, port, receiver, ahead_ns: 0 });
        }
        let owners: Vec<u16> = (0..=links as u16).collect();
        let tally = Arc::new(SharedCounts::new(&plan));
        let config = CoreConfig {
            core: 0,
            lanes,
            map: PartitionMap::spread(1024, &owners),
            sink_owners: Vec::new(),
            inlet_bytes: LANE_BYTES,
            outlet_bytes: LANE_BYTES,
            local_bytes: LANE_BYTES,
            keep_letters: true,
            tally,
        };
        let core = Core::new(plan, config);
        Self { core, driver, ports, announced: Announced::default(), now: 1 }
    }

    /// Turns once. Returns whether there was nothing to do.
    fn turn(&mut self) -> bool {
        self.now += 1;
        let turned = self.driver.turn(&mut self.core, Nanos(self.now), &mut self.announced, |_| {});
        turned.is_idle()
    }

    /// Lines that go to all cores.
    fn read_lines(&mut self) {
        let lines: String = (0..100).map(|line| format!("{}\n", "a".repeat(line))).collect();
        let id = self.core.open_inlet(SourceId(0), false);
        let room = self.core.inlet_room(id);
        room[..lines.len()].copy_from_slice(lines.as_bytes());
        self.core.inlet_filled(id, lines.len(), Nanos(self.now));
    }

    fn announce(&mut self, link: usize, readable: bool, writable: bool) {
        let token = self.ports[link].lock().token;
        self.announced.0.push(Ready { token, readable, writable, closed: false });
    }

    fn reads(&self) -> Vec<usize> {
        self.ports.iter().map(|port| port.lock().reads).collect()
    }

    fn writes(&self) -> Vec<usize> {
        self.ports.iter().map(|port| port.lock().writes).collect()
    }
}

#[test]
fn a_link_that_is_empty_is_read_when_something_is_announced() {
    let mut first = First::new(LINKS, true);
    (0..100).for_each(|_| assert!(first.turn()));
    assert_eq!(first.reads(), [1; LINKS], "they are too many to look at in each turn");
    first.announce(2, true, false);
    first.turn();
    assert_eq!(first.reads(), [1, 1, 2, 1, 1, 1]);
    // While it is the only one that is hot.
    first.turn();
    assert_eq!(first.reads(), [1, 1, 3, 1, 1, 1]);

    let mut few = First::new(3, true);
    (0..100).for_each(|_| assert!(few.turn()));
    assert_eq!(few.reads(), [100; 3]);
    (0..10_000).for_each(|_| assert!(few.turn()));
    assert!(few.reads().iter().all(|reads| *reads < 5_000), "not for ever: {:?}", few.reads());

    let mut shares_its_cpu = First::new(3, false);
    (0..100).for_each(|_| assert!(shares_its_cpu.turn()));
    assert_eq!(shares_its_cpu.reads(), [1; 3]);
}

#[test]
fn all_links_send_and_few_of_them_in_one_turn() {
    let mut first = First::new(LINKS, true);
    first.read_lines();
    assert!(!first.turn());
    assert_eq!(first.writes(), [1, 1, 1, 1, 0, 0]);
    assert!(!first.turn());
    assert_eq!(first.writes(), [1; LINKS]);
    // The inlet has nothing more.
    while !first.turn() {}
    assert_eq!(first.writes(), [1; LINKS], "each has sent all at once");
    first.read_lines();
    first.turn();
    assert_eq!(first.writes().iter().sum::<usize>(), LINKS + 4);
    assert_eq!(first.writes()[4..], [2, 2], "those that waited come first");
}

#[test]
fn a_full_link_is_left_alone_until_there_is_room() {
    let mut first = First::new(2, true);
    first.ports[1].lock().full = true;
    first.read_lines();
    while !first.turn() {}
    (0..100).for_each(|_| assert!(first.turn(), "a core that can send nothing may sleep"));
    assert_eq!(first.writes(), [1, 1]);
    assert_eq!(first.ports[1].lock().waits, 1);
    first.ports[1].lock().full = false;
    first.announce(1, false, true);
    assert!(!first.turn());
    assert_eq!(first.writes(), [1, 2]);
    assert_eq!(first.ports[1].lock().waits, 1);
}
