//! Cores of different nodes: links between them over real sockets, and what comes over a link that
//! no other core of the application would send.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use potoroo::checkpoint::Epoch;
use potoroo::flow::{Core, CoreConfig, FrameFault, PartStep, PartitionMap, SharedCounts};
use potoroo::turn::{
    CheckpointCommand, Command, Driver, Fill, Handout, InletKind, InletPort, LinkPort, Mailbox,
    NewInlet, NewLink, Notice, OutletPort, PartPort, PortLost, Readiness, Turned, Watching,
    mailbox,
};
use potoroo_runtime::{
    Connection, Inbound, Lanes, LinkReceiver, LinkedLanes, Listener, Nanos, Poller, ReadOutcome,
    WriteOutcome, mesh,
};
use potoroo_sdk::host::{SinkId, SourceId};
use potoroo_sdk::prelude::*;
use potoroo_sdk::random::Random;
use potoroo_tests::forgery::forge;
use potoroo_tests::rows::table_text;
use potoroo_tests::seeds::each_seed;

const LANE_BYTES: usize = 4096;

#[event]
struct Word {
    letters: u64,
    text: String,
}

#[state]
#[derive(Default)]
struct Seen {
    words: u64,
}

/// How often each word was seen, and then how many words of each length; another source that gets
/// to no sink.
fn words() -> Application {
    let app = Application::new("words");
    let (seen, lengths) = (app.table::<u64, Seen>("seen"), app.table::<u64, u64>("lengths"));
    let words = app
        .source("in", LineText::new())
        .map(|line: &str| Word { letters: line.len() as u64, text: line.to_owned() });
    let counted = words.key_by(|word| hash(word.text)).update(&seen, |seen, word| {
        seen.words += 1;
        Word { letters: word.letters, text: format!("{} {}", word.text, seen.words) }
    });
    counted.map(|word| word.text.to_string()).sink("out", LineText::new());
    counted.key_by(|word| word.letters).update(&lengths, |words, _| *words += 1);
    let others = app.table::<u64, u64>("others");
    app.source("other", LineText::new())
        .map(|line: &str| line.len() as u64)
        .key_by(|length| length)
        .update(&others, |words, _| *words += 1);
    app
}

/// The same in each process.
fn hash(text: &str) -> u64 {
    text.bytes().fold(7, |hash, byte| hash.wrapping_mul(31) ^ u64::from(byte))
}

fn levels() -> usize {
    words().plan().expect("it is sound").levels() + 1
}

/// The core at `seat` of two, of which the second owns the sink.
fn core(seat: usize, lanes: Lanes) -> (Core, Arc<SharedCounts>) {
    let plan = words().plan().expect("it is sound");
    let tally = Arc::new(SharedCounts::new(&plan));
    let config = CoreConfig {
        core: seat,
        lanes,
        map: PartitionMap::spread(16, &[0, 1]),
        sink_owners: vec![1; plan.sinks.len()],
        inlet_bytes: LANE_BYTES,
        outlet_bytes: LANE_BYTES,
        local_bytes: LANE_BYTES,
        keep_letters: true,
        readers: Vec::new(),
        tally: tally.clone(),
    };
    (Core::new(plan, config), tally)
}

/// A node with one core, and what its process has for it.
struct Node {
    core: Core,
    driver: Driver,
    poller: Poller,
    mailbox: Mailbox,
    tally: Arc<SharedCounts>,
    notices: Receiver<Notice>,
    parts: Steps,
    output: Bytes,
}

type Steps = Arc<Mutex<Vec<PartStep>>>;
type Bytes = Arc<Mutex<Vec<u8>>>;

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    /// The node of the core at `seat`, linked to the other one over `port`.
    fn new(seat: usize, port: Box<dyn LinkPort>) -> Self {
        let (lanes, receiver) = linked(seat);
        let (mut core, tally) = core(seat, lanes);
        core.enable_checkpoints(Epoch::NONE, 1, 1 << 20);
        core.set_open_sources(true);
        let poller = Poller::new().expect("this host has one");
        let (mailbox, mail) = mailbox(poller.waker());
        let ((notices_in, notices), parts) = (channel(), Steps::default());
        let (clock, port_of_parts) = (AtomicU64::new(1), Box::new(KeptParts(parts.clone())));
        let clock = Box::new(move || Nanos(clock.fetch_add(100, Ordering::Relaxed)));
        let handout = Handout::new(seat, port_of_parts, 1_000, Arc::default(), clock);
        let letters = Arc::new(AtomicUsize::new(0));
        let sinks = core.plan().sinks.len();
        let mut driver =
            Driver::new(mail, notices_in, letters, Some(handout), sinks, false, u64::MAX);
        driver.add_link(NewLink {
            seat: 1 - seat,
            port,
            receiver,
            ahead_ns: 0,
            counts: Arc::default(),
        });
        let output = Bytes::default();
        if seat == 1 {
            let port = Box::new(Kept(output.clone()));
            mailbox.send(Command::Sink { sink: SinkId(0), port });
        }
        Self { core, driver, poller, mailbox, tally, notices, parts, output }
    }

    fn read(&self, lines: &str) {
        let port = Box::new(Lines(lines.as_bytes().to_vec()));
        let (source, kind) = (SourceId(0), InletKind::Bytes);
        self.mailbox.send(Command::Inlet(NewInlet { source, kind, port, taken: None }));
        self.mailbox.send(Command::SourcesComplete);
    }

    fn turn(&mut self, now: u64) -> Turned {
        self.driver.turn(&mut self.core, Nanos(now), &mut self.poller, |_| {})
    }

    /// Why links were lost.
    fn lost(&self) -> Vec<String> {
        let reason = |notice| match notice {
            Notice::LinkLost { reason, .. } => Some(reason),
            _ => None,
        };
        self.notices.try_iter().filter_map(reason).collect()
    }

    fn table(&self, name: &str) -> Vec<String> {
        let mut rows = Vec::new();
        let table = self.core.plan().tables.iter().find(|table| table.name == name);
        let table = table.expect("the application has it");
        table.rows.each(&mut |key, state| rows.push(table_text(key, state)));
        rows
    }

    fn part_ended(&self) -> bool {
        lock(&self.parts).iter().any(|step| matches!(step, PartStep::End(_)))
    }
}

/// The lanes of the core at `seat`, which is alone on its node, and its end of the link.
fn linked(seat: usize) -> (Lanes, LinkReceiver) {
    let mut lanes = mesh(1, levels(), LANE_BYTES).remove(0).among(seat, 2);
    let LinkedLanes { outbound, inbound, receiver } = LinkedLanes::new(levels(), LANE_BYTES);
    lanes.link(1 - seat, outbound, inbound);
    (lanes, receiver)
}

/// Keeps parts.
struct KeptParts(Steps);

impl PartPort for KeptParts {
    fn try_part(&mut self, _: usize, step: PartStep) -> Result<(), PartStep> {
        lock(&self.0).push(step);
        Ok(())
    }

    fn marked(&mut self, _: SinkId, _: Epoch) {}
}

/// Keeps the output of a sink.
struct Kept(Bytes);

impl OutletPort for Kept {
    fn put(&mut self, bytes: &[u8]) -> Result<usize, PortLost> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }
}

/// The lines of a source.
struct Lines(Vec<u8>);

impl InletPort for Lines {
    fn fill(&mut self, room: &mut [u8], now: Nanos) -> Fill {
        let count = room.len().min(self.0.len()).min(300);
        if count == 0 {
            return Fill::Ended;
        }
        self.0.drain(..count).zip(room).for_each(|(byte, to)| *to = byte);
        Fill::Bytes(count, now)
    }
}

/// Two nodes, linked over a socket.
fn nodes() -> (Node, Node) {
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let there = Connection::connect_start(address).expect("descriptors are left");
    let back = loop {
        match listener.accept().expect("listening") {
            Some(accepted) => break accepted,
            None => std::thread::yield_now(),
        }
    };
    while !there.finish_connect().expect("accepted") {
        std::thread::yield_now();
    }
    (Node::new(0, Box::new(there)), Node::new(1, Box::new(back)))
}

fn lines(first: usize, count: usize) -> String {
    (first..first + count).map(|at| format!("{}\n", "ab".repeat(1 + at * 7 % 40))).collect()
}

#[test]
fn two_nodes_count_together_and_take_a_checkpoint() {
    let (mut left, mut right) = nodes();
    let (of_left, of_right) = (lines(0, 1_500), lines(11, 1_000));
    left.read(&of_left);
    right.read(&of_right);
    let begin = || Command::Checkpoint(CheckpointCommand::Begin(Epoch(1)));
    for step in 1.. {
        left.turn(step * 1_000);
        right.turn(step * 1_000 + 500);
        match step {
            10 => left.mailbox.send(begin()),
            30 => right.mailbox.send(begin()),
            _ => {}
        }
        let counts = [left.tally.read(), right.tally.read()];
        let [sent, received] = [
            counts.iter().map(|counts| counts.frames_sent).sum::<u64>(),
            counts.iter().map(|counts| counts.frames_received).sum(),
        ];
        let quiet = left.tally.quiet() && right.tally.quiet() && sent == received;
        if step > 30 && quiet && left.part_ended() && right.part_ended() {
            assert!(sent > 1_000, "{sent} frames crossed");
            break;
        }
    }
    let mut expected = BTreeMap::<String, u64>::new();
    for line in of_left.lines().chain(of_right.lines()) {
        *expected.entry(line.to_owned()).or_default() += 1;
    }
    let mut seen = BTreeMap::<String, u64>::new();
    for line in String::from_utf8_lossy(&lock(&right.output)).lines() {
        let (word, count) = line.split_once(' ').expect("a word and its count");
        let before = seen.insert(word.to_owned(), count.parse().expect("a number"));
        assert_eq!(before.unwrap_or(0) + 1, seen[word], "each count of `{word}` once, in order");
    }
    assert_eq!(seen, expected);
    let rows = |name| [left.table(name).len(), right.table(name).len()];
    assert_eq!(rows("seen").iter().sum::<usize>(), expected.len());
    assert!(rows("seen").iter().all(|rows| *rows > 0), "both own some: {:?}", rows("seen"));
    assert_eq!([left.lost(), right.lost()], [const { Vec::<String>::new() }; 2]);
}

/// A node that is gone is reported once, and the other core goes on.
#[test]
fn a_link_that_ends_is_reported_once() {
    let (mut left, right) = nodes();
    left.turn(1);
    drop(right);
    let mut lost = Vec::new();
    while lost.is_empty() {
        left.turn(2);
        lost = left.lost();
    }
    left.read(&lines(0, 10));
    for now in 3..50 {
        left.turn(now);
    }
    lost.extend(left.lost());
    assert_eq!(lost, ["its peer has closed it"]);
    assert!(!left.table("seen").is_empty(), "its own keys are counted");
}

/// What comes over a link wakes the core that sleeps.
#[test]
fn a_frame_ends_the_sleep_of_the_core_that_it_is_for() {
    let (mut left, mut right) = nodes();
    right.mailbox.send(Command::SourcesComplete);
    let mut now = 1;
    while !right.turn(now).is_idle() || !right.tally.quiet() {
        now += 1;
    }
    left.read(&lines(0, 40));
    for _ in 0..20 {
        now += 1;
        left.turn(now);
    }
    assert!(left.tally.read().frames_sent > 0);
    // It may wake without a reason.
    let came = (0..3).any(|_| {
        right.poller.prepare_park();
        right.poller.park(Duration::from_secs(60));
        right.turn(now).came
    });
    assert!(came, "nothing has come");
}

/// Frames that the first core sends to the second, each with its level.
fn frames() -> Vec<(usize, Vec<u8>)> {
    let mut lanes = mesh(2, levels(), LANE_BYTES);
    let receiving = lanes.remove(1);
    let (mut core, _) = core(0, lanes.remove(0));
    let id = core.open_inlet(SourceId(0), false);
    let mut rest = lines(0, 60).into_bytes();
    let mut frames = Vec::new();
    let mut heads: Vec<_> = (0..levels()).map(|level| receiving.inbound[0].head(level)).collect();
    for now in 100..120 {
        let room = core.inlet_room(id);
        let taken = room.len().min(rest.len());
        rest.drain(..taken).zip(room).for_each(|(byte, to)| *to = byte);
        core.inlet_filled(id, taken, Nanos(now));
        core.turn(Nanos(now), |_| {});
        let from: &Inbound = &receiving.inbound[0];
        for (level, head) in heads.iter_mut().enumerate() {
            while let Some((frame, next)) = from.frame_at(level, *head) {
                frames.push((level, frame.to_vec()));
                *head = next;
            }
        }
    }
    frames
}

fn receiving_core() -> Core {
    core(1, linked(1).0).0
}

#[test]
fn a_frame_that_no_core_would_send_is_refused_with_its_fault() {
    let core = receiving_core();
    let frames = frames();
    let of_level = |level: usize| frames.iter().find(|(of, _)| *of == level).expect("it has one");
    assert!((0..levels()).all(|level| of_level(level).0 == level));
    for (level, frame) in &frames {
        assert_eq!(core.admit(*level, &mut frame.clone(), 0, Nanos(1_000)), Ok(()));
    }
    let refused = |level: usize, change: &dyn Fn(&mut Vec<u8>)| {
        let mut frame = of_level(level).1.clone();
        change(&mut frame);
        core.admit(level, &mut frame, 0, Nanos(1_000)).expect_err("it is wrong")
    };
    assert_eq!(refused(0, &|frame| frame.truncate(39)), FrameFault::Header);
    assert_eq!(refused(0, &|frame| frame[5] |= 4), FrameFault::Header);
    assert_eq!(refused(0, &|frame| frame[6] = 99), FrameFault::Exchange(99));
    assert_eq!(refused(2, &|frame| frame[6] = 99), FrameFault::Sink(99));
    assert_eq!(refused(0, &|frame| frame[4] = 1), FrameFault::Source(1));
    assert_eq!(refused(2, &|frame| frame[4] = 1), FrameFault::Source(1));
    assert_eq!(refused(0, &|frame| frame[4] = 200), FrameFault::Source(200));
    assert_eq!(refused(2, &|frame| frame[4] = 200), FrameFault::Source(200));
    assert_eq!(refused(0, &|frame| frame.truncate(41)), FrameFault::Event);
    assert_eq!(refused(0, &|frame| frame[9] ^= 1), FrameFault::Key);
    for (came, of) in [(0, 1), (1, 0), (1, 2), (2, 0)] {
        let wrong = core.admit(came, &mut of_level(of).1.clone(), 0, Nanos(1_000));
        assert_eq!(wrong, Err(FrameFault::Level { came, of }));
    }
    let (other, _) = self::core(0, linked(0).0);
    for level in 0..levels() {
        let wrong = other.admit(level, &mut of_level(level).1.clone(), 0, Nanos(1_000));
        assert_eq!(wrong, Err(FrameFault::Seat(1)));
    }
}

/// Clocks of two nodes differ: a frame enters by the clock of the core that it comes to.
#[test]
fn the_time_of_a_frame_is_moved_to_the_clock_of_its_receiver() {
    let core = receiving_core();
    let (level, frame) = frames().remove(0);
    let ingress = |frame: &[u8]| u64::from_le_bytes(*frame[16..].first_chunk().expect("a header"));
    let sent = ingress(&frame);
    assert!((100..120).contains(&sent), "{sent}");
    for (ahead_ns, now, expected) in [
        (0, 1_000, sent),
        (30, 1_000, sent - 30),
        (-30, 1_000, sent + 30),
        (-30, 50, 50),
        (1_000, 1_000, 0),
        (i64::MIN, 1_000, 1_000),
        (i64::MAX, 1_000, 0),
    ] {
        let mut frame = frame.clone();
        core.admit(level, &mut frame, ahead_ns, Nanos(now)).expect("it is right");
        assert_eq!(ingress(&frame), expected, "{ahead_ns} ahead at {now}");
    }
}

/// A connection whose peer has sent these bytes, and takes everything.
struct Script(Vec<u8>);

impl LinkPort for Script {
    fn read(&mut self, room: &mut [u8]) -> ReadOutcome {
        let count = self.0.len().min(room.len());
        self.0.drain(..count).zip(room).for_each(|(byte, to)| *to = byte);
        if count == 0 { ReadOutcome::WouldBlock } else { ReadOutcome::Bytes(count) }
    }

    fn write(&mut self, parts: &[IoSlice<'_>]) -> WriteOutcome {
        WriteOutcome::Bytes(parts.iter().map(|part| part.len()).sum())
    }

    fn watch(&mut self, _: &mut dyn Readiness, _: u64) -> Watching {
        Watching::EachTurn
    }

    fn watch_room(&mut self, _: &mut dyn Readiness, _: u64) -> Watching {
        Watching::EachTurn
    }
}

/// Whatever comes in the place of frames: the link is lost with a reason, or they are right.
#[test]
fn forged_frames_of_a_link_are_refused_or_right() {
    let frames = frames();
    let (mut refused, mut right) = (0, 0);
    each_seed("forged_frames_of_a_link_are_refused_or_right", 2_000, |seed| {
        let mut random = Random::new(seed);
        let mut bytes = Vec::new();
        for _ in 0..3 {
            let (level, frame) = &frames[random.below(frames.len() as u64) as usize];
            let mut frame = frame.clone();
            if random.chance(0.5) {
                forge(&mut frame, &mut random);
            }
            frame.resize(frame.len().next_multiple_of(8), 0);
            bytes.extend([1, *level as u8, 0, 0]);
            bytes.extend((frame.len() as u32).to_le_bytes());
            bytes.extend(frame);
        }
        if random.chance(0.1) {
            forge(&mut bytes, &mut random);
        }
        let mut node = Node::new(1, Box::new(Script(bytes)));
        for now in 200..260 {
            node.turn(now);
        }
        match node.lost().len() {
            0 => right += 1,
            1 => refused += 1,
            more => panic!("lost {more} times"),
        }
    });
    println!("{refused} refused, {right} right");
    assert!(refused + right == 1 || refused > 300 && right > 300, "{refused} refused");
}
