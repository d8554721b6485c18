//! One process without its coordination: cores with their ports, all of it in memory.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock};

use potoroo::checkpoint::Manifest;
use potoroo::checkpoint::store::Head;
use potoroo::connect::gather::Gatherer;
use potoroo::flow::{Core, CoreConfig, CoreEdges, PartitionMap, SharedCounts, Start};
use potoroo::turn::{
    Command, Driver, Handout, InletKind, Mail, Mailbox, NewInlet, Notice, OutletPort, mailbox,
};
use potoroo_runtime::{Lanes, Nanos, Poller, Waker, mesh_with_words};
use potoroo_sdk::host::{SinkId, SourceId};
use potoroo_sdk::plan::Plan;
use potoroo_sdk::random::Random;

use super::nodes::Nodes;
use super::ports::{FilePort, GatherPort, Outbound, PartQueue, SinkGate, SlowPort, Time};
use super::subject::Subject;
use super::troubles::Sabotage;
use super::world::World;
use crate::items::FRAME_BYTES_MAX;
use crate::rows::table_text;
use crate::seeds::{Concern, in_turn, random};
use crate::workload::FULL_LANE_BYTES;

/// The cores of a process, their drivers and what is outside.
pub(super) struct Process {
    pub(super) cores: Vec<Core>,
    /// What cores that begin have not taken yet.
    edges: Vec<CoreEdges>,
    drivers: Vec<Driver>,
    tallies: Vec<Arc<SharedCounts>>,
    /// By core: commands that are on their way, and where they go.
    mails: Vec<(Mail, Mailbox)>,
    notices: Receiver<Notice>,
    pub(super) nodes: Nodes,
    /// Of lanes and outlets.
    bytes: (usize, usize),
    sink_owners: Vec<usize>,
    /// By source: the core that reads it, where time is waited for from the start.
    readers: Vec<Option<usize>>,
    pub(super) map: PartitionMap,
    /// Of the sinks whose output is gathered.
    pub(super) gates: Vec<SinkGate>,
    /// How far files were read.
    files: Vec<(SourceId, Arc<AtomicU64>)>,
    /// What left the cores.
    pub(super) outbound: Outbound,
    letters_waiting: Arc<AtomicUsize>,
    random: Random,
    time: Time,
    late: LateCore,
}

/// A core that begins after the others: what they promise comes while it has frames to replay.
struct LateCore {
    core: usize,
    /// Turns of it that are left out.
    turns: u64,
}

/// As small as possible, so that everything that can be full gets full.
const LANE_BYTES: usize = 4096;

/// No core sleeps here.
static WAKER: LazyLock<Waker> = LazyLock::new(|| Poller::new().expect("this host has one").waker());

impl Process {
    /// A process that has not yet restored anything, and the mailboxes of its cores. In some its
    /// cores are those of several nodes, which links connect.
    pub(super) fn new(
        seed: u64,
        count: usize,
        subject: &Subject<'_>,
        sabotage: Option<Sabotage>,
    ) -> (Self, Vec<Mailbox>) {
        let mut random = random(seed, Concern::Deployment);
        let plan = (subject.describe)().plan().expect("the application is sound");
        let owners: Vec<u16> = (0..count as u16).filter(|_| random.chance(0.8)).collect();
        let owners = if owners.is_empty() { vec![0] } else { owners };
        let map = PartitionMap::spread(subject.partitions, &owners);
        let sink_owners: Vec<usize> =
            plan.sinks.iter().map(|_| random.below(count as u64) as usize).collect();
        let tallies: Vec<Arc<SharedCounts>> =
            (0..count).map(|_| Arc::new(SharedCounts::new(&plan))).collect();
        let (lane_bytes, outlet_bytes) = buffers(seed, &plan, 1 + random.below(600) as usize);
        let mut lanes = mesh_of(&plan, count, lane_bytes);
        let mut nodes = Nodes::place(seed, count, lane_bytes, sabotage);
        let links = nodes.link(seed, &mut lanes);
        let time = Time::new([20, 400][random.below(2) as usize]);
        let (owners, bytes) = ((&map, &sink_owners[..]), (lane_bytes, outlet_bytes));
        let readers = readers(seed, &plan, count, sabotage);
        let cores = cores(subject, lanes, owners, bytes, (&tallies, &readers));
        let (outbound, (notices_in, notices)) = (Outbound::default(), channel());
        let letters_waiting = Arc::new(AtomicUsize::new(0));
        let (mut drivers, mut mails, mut mailboxes) = (Vec::new(), Vec::new(), Vec::new());
        for core in 0..count {
            let (outer, on_its_way) = mailbox(WAKER.clone());
            let (inner, mail) = mailbox(WAKER.clone());
            let (notices, letters) = (notices_in.clone(), letters_waiting.clone());
            let (handout, sinks) = (handout(core, &outbound, &time, &mut random), plan.sinks.len());
            drivers.push(driver((mail, notices, letters), handout, sinks));
            mails.push((on_its_way, inner));
            mailboxes.push(outer);
        }
        links.into_iter().for_each(|(core, link)| drivers[core].add_link(link));
        let process = Self {
            cores,
            edges: Vec::new(),
            drivers,
            tallies,
            mails,
            notices,
            nodes,
            bytes,
            sink_owners,
            readers,
            map,
            gates: Vec::new(),
            files: Vec::new(),
            outbound,
            letters_waiting,
            random,
            time,
            late: late_core(seed, &plan, count),
        };
        (process, mailboxes)
    }

    pub(super) fn now(&self) -> Nanos {
        self.time.now()
    }

    /// Opens files and generators where `manifest` says; all other senders connect.
    pub(super) fn open_sources(
        &mut self,
        subject: &Subject<'_>,
        world: &World,
        manifest: Option<&Manifest>,
    ) {
        let count = self.cores.len() as u64;
        let plan = (subject.describe)().plan().expect("as before");
        for (index, source) in plan.sources.iter().enumerate() {
            if world.senders.iter().any(|sender| usize::from(sender.source()) == index) {
                continue;
            }
            let at = manifest.and_then(|manifest| {
                manifest.sources.iter().find(|position| position.name == source.name)
            });
            let start = at.map_or_else(Start::default, Start::from);
            let drawn = self.random.below(count) as usize;
            let core = self.readers[index].unwrap_or(drawn);
            self.open_source(SourceId(index as u8), core, start, (subject, world));
        }
        self.cores.iter_mut().for_each(|core| core.set_open_sources(true));
    }

    fn open_source(
        &mut self,
        source: SourceId,
        core: usize,
        start: Start,
        (subject, world): (&Subject<'_>, &World),
    ) {
        let made = subject.generators.iter().find(|made| made.source == source.0);
        let Some(made) = made else {
            let bytes = world.inputs[usize::from(source.0)].clone();
            let at = Arc::new(AtomicU64::new(start.position));
            self.files.push((source, at.clone()));
            let port = SlowPort { port: Box::new(FilePort { bytes, at }), random: self.draw() };
            let kind = InletKind::Replayed(start);
            let new = NewInlet { source, kind, port: Box::new(port), taken: None };
            return self.mails[core].1.send(Command::Inlet(new));
        };
        self.cores.iter_mut().for_each(|core| core.drop_replies(source));
        let stage = &self.cores[core].plan().sources[usize::from(source.0)].stage;
        let generate = stage.generator(&made.name, 1).expect("the application has it");
        self.cores[core].add_generator(source, generate, made.rate, &start, made.count);
    }

    /// Random numbers of their own for a port.
    fn draw(&mut self) -> Random {
        Random::new(self.random.u64())
    }

    /// The output of `sink` is gathered.
    pub(super) fn gather_sink(&mut self, sink: SinkId, gatherer: Gatherer) {
        let (outbound, random, gate) = (self.outbound.clone(), self.draw(), SinkGate::open());
        self.gates.push(gate.clone());
        self.open_sink(sink, Box::new(GatherPort { gate, sink, gatherer, outbound, random }));
    }

    /// The output of `sink` goes to `port`.
    pub(super) fn open_sink(&mut self, sink: SinkId, port: Box<dyn OutletPort>) {
        let owner = self.sink_owners[usize::from(sink.0)];
        self.mails[owner].1.send(Command::Sink { sink, port });
    }

    /// One turn of a core, unless its node has crashed.
    ///
    /// # Errors
    /// As the disk has them, which is the end of a process. A link has broken a promise.
    pub(super) fn turn(&mut self, core: usize) -> io::Result<()> {
        self.time.pass(1 + self.random.below(3_000));
        if self.nodes.is_dead(core) || self.late.misses_turn(core) {
            return Ok(());
        }
        if self.random.chance(0.5)
            && let Some(command) = self.mails[core].0.take()
        {
            let command = self.slow(command);
            self.mails[core].1.send(command);
        }
        let (driver, now) = (&mut self.drivers[core], self.time.now());
        let readiness = self.nodes.readiness(core);
        in_turn(|| driver.turn(&mut self.cores[core], now, readiness, |_| ()));
        self.check_drained(core)?;
        for notice in self.notices.try_iter() {
            if let Notice::LinkLost { seat, renewals, reason } = notice {
                self.nodes.lose((core, seat), renewals, &reason)?;
            }
        }
        self.nodes.check()?;
        self.letters_waiting.store(0, Ordering::Relaxed);
        self.outbound.lock().failure.take().map_or(Ok(()), Err)
    }

    /// # Errors
    /// A core on which nothing is said to be under way has not published all that it has sent.
    fn check_drained(&mut self, core: usize) -> io::Result<()> {
        if self.tallies[core].drained() == 0 {
            return Ok(());
        }
        let published = self.tallies[core].read().frames_sent;
        let sent = self.cores[core].counts().frames_sent;
        let wrong =
            format!("drained core {core} has published {published} frames, and sent {sent}");
        if published == sent { Ok(()) } else { Err(io::Error::new(ErrorKind::InvalidData, wrong)) }
    }

    /// Everything is restored: checkpoints are taken from now on.
    pub(super) fn begin_checkpoints(&mut self, head: &Head, log_bytes_max: u64) {
        for core in &mut self.cores {
            core.restored();
            core.enable_checkpoints(head.epoch, head.generation, log_bytes_max);
        }
    }

    /// Goes on with the same sources and sinks on other nodes, which own other partitions. The new
    /// cores have nothing but their edges.
    pub(super) fn renew(&mut self, seed: u64, subject: &Subject<'_>) -> io::Result<()> {
        let mut edges = Vec::new();
        for core in 0..self.cores.len() {
            while let Some(command) = self.mails[core].0.take() {
                let command = self.slow(command);
                self.mails[core].1.send(command);
            }
            self.mails[core].1.send(Command::Renew(Box::new(|_| None)));
        }
        self.leave_links()?;
        edges.extend(self.cores.drain(..).map(Core::into_edges));
        let plan = (subject.describe)().plan().expect("as before");
        let owners: Vec<u16> =
            (0..edges.len() as u16).filter(|_| self.random.chance(0.6)).collect();
        let owners = if owners.is_empty() { vec![0] } else { owners };
        self.map = PartitionMap::spread(subject.partitions, &owners);
        let mut lanes = mesh_of(&plan, edges.len(), self.bytes.0);
        self.nodes.renew(seed)?;
        let links = self.nodes.link(seed, &mut lanes);
        let owners = (&self.map, &self.sink_owners[..]);
        let ends = (&self.tallies[..], &self.readers[..]);
        self.cores = cores(subject, lanes, owners, self.bytes, ends);
        links.into_iter().for_each(|(core, link)| self.drivers[core].add_link(link));
        self.edges = edges;
        Ok(())
    }

    /// All cores leave their links, some before others: these find the end of theirs.
    fn leave_links(&mut self) -> io::Result<()> {
        self.nodes.leave();
        let mut left: Vec<usize> = (0..self.cores.len()).collect();
        while !left.is_empty() {
            let at = self.random.below(left.len() as u64) as usize;
            self.turn(left[at])?;
            if self.drivers[left[at]].take_renewal().is_some() {
                left.remove(at);
            }
        }
        Ok(())
    }

    /// The new cores take their edges, after everything is restored.
    pub(super) fn take_edges(&mut self, subject: &Subject<'_>) {
        for (core, edges) in self.cores.iter_mut().zip(self.edges.drain(..)) {
            core.take_edges(edges);
            for made in &subject.generators {
                let stage = &core.plan().sources[usize::from(made.source)].stage;
                let generate = stage.generator(&made.name, 1).expect("the application has it");
                core.renew_generator(SourceId(made.source), generate);
            }
        }
    }

    /// Whether a link leads from a core to another one.
    pub(super) fn is_linked(&self, core: usize, other: usize) -> bool {
        self.nodes.are_apart(core, other)
    }

    /// Whether links lead from a core to all others, of which there are some.
    pub(super) fn is_alone(&self, core: usize) -> bool {
        let mut others = (0..self.cores.len()).filter(|other| *other != core);
        self.cores.len() > 1 && others.all(|other| self.is_linked(core, other))
    }

    /// The core that owns a sink.
    pub(super) fn sink_owner(&self, sink: u16) -> usize {
        self.sink_owners[usize::from(sink)]
    }

    /// Whether nothing is under way for this hold; frames that were sent and received then.
    pub(super) fn drained(&self, hold: u64) -> Option<(u64, u64)> {
        let drained = self.tallies.iter().all(|tally| tally.drained() == hold);
        drained.then(|| self.frames()).filter(|(sent, received)| sent == received)
    }

    fn frames(&self) -> (u64, u64) {
        let counts = || self.tallies.iter().map(|tally| tally.read());
        let sent = counts().map(|counts| counts.frames_sent).sum();
        (sent, counts().map(|counts| counts.frames_received).sum())
    }

    /// Bytes come through a port with a delay.
    fn slow(&mut self, command: Command) -> Command {
        match command {
            Command::Inlet(new) => {
                let port = SlowPort { port: new.port, random: self.draw() };
                Command::Inlet(NewInlet { port: Box::new(port), ..new })
            }
            command => command,
        }
    }

    /// Positions up to which files were read: too far for what was cut before.
    pub(super) fn positions_now(&self) -> Vec<(SourceId, u64)> {
        let at = |at: &Arc<AtomicU64>| at.load(Ordering::Relaxed);
        self.files.iter().map(|(source, of)| (*source, at(of))).collect()
    }

    /// Whether all input is used up and nothing is under way.
    pub(super) fn quiet(&self) -> bool {
        let (sent, received) = self.frames();
        self.tallies.iter().all(|tally| tally.quiet()) && sent == received
    }

    /// Rows of each table as text, in order.
    pub(super) fn tables(&self) -> BTreeMap<String, Vec<String>> {
        let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for table in self.cores.iter().flat_map(|core| &core.plan().tables) {
            let rows = tables.entry(table.name.clone()).or_default();
            table.rows.each(&mut |key, state| rows.push(table_text(key, state)));
        }
        tables.values_mut().for_each(|rows| rows.sort());
        tables
    }
}

/// The driver of a core, whose connections wait for their replies for ever.
fn driver(
    (mail, notices, letters): (Mail, Sender<Notice>, Arc<AtomicUsize>),
    handout: Handout,
    sinks: usize,
) -> Driver {
    Driver::new(mail, notices, letters, Some(handout), sinks, true, u64::MAX)
}

/// Lanes and words between the cores of an application.
fn mesh_of(plan: &Plan, count: usize, lane_bytes: usize) -> Vec<Lanes> {
    mesh_with_words(count, plan.levels() + 1, &plan.watermark_levels(), lane_bytes)
}

/// Bytes of lanes and outlets, of these few in most processes. Large ones in every fourth: events
/// run in batches then. Where times count, some of those have lanes that are full nevertheless.
fn buffers(seed: u64, plan: &Plan, outlet_bytes: usize) -> (usize, usize) {
    let is_timed = !plan.watermark_levels().is_empty();
    match seed % 8 {
        4 if is_timed => (FULL_LANE_BYTES, 1 << 18),
        0 | 4 => (1 << 18, 1 << 18),
        _ => (LANE_BYTES, outlet_bytes),
    }
}

/// The core that begins after the others, where times count.
fn late_core(seed: u64, plan: &Plan, count: usize) -> LateCore {
    // Of its own: cases without time draw as before.
    let mut random = random(!seed.rotate_left(24), Concern::Schedule);
    let turns = [0, 0, 100, 400][random.below(4) as usize];
    let turns = if plan.watermark_levels().is_empty() { 0 } else { turns };
    LateCore { core: random.below(count as u64) as usize, turns }
}

impl LateCore {
    fn misses_turn(&mut self, core: usize) -> bool {
        let misses = core == self.core && self.turns > 0;
        self.turns -= u64::from(misses);
        misses
    }
}

/// By source: the core that reads it, where time is waited for from the start.
fn readers(seed: u64, plan: &Plan, count: usize, sabotage: Option<Sabotage>) -> Vec<Option<usize>> {
    // Of their own: cases without time draw as before.
    let mut random = random(!seed.rotate_left(16), Concern::Deployment);
    let timed = !plan.watermark_levels().is_empty() && sabotage != Some(Sabotage::ReadersUnknown);
    let mut reader = || timed.then(|| random.below(count as u64) as usize);
    plan.sources.iter().map(|_| reader()).collect()
}

/// The cores with these lanes, with owners of partitions and sinks, with the bytes of lanes and
/// outlets.
fn cores(
    subject: &Subject<'_>,
    lanes: Vec<Lanes>,
    (map, sink_owners): (&PartitionMap, &[usize]),
    (lane_bytes, outlet_bytes): (usize, usize),
    (tallies, readers): (&[Arc<SharedCounts>], &[Option<usize>]),
) -> Vec<Core> {
    let core = |(core, (lanes, tally)): (usize, (Lanes, &Arc<SharedCounts>))| {
        let config = CoreConfig {
            core,
            lanes,
            map: map.clone(),
            sink_owners: sink_owners.to_vec(),
            inlet_bytes: FRAME_BYTES_MAX + 100,
            outlet_bytes,
            local_bytes: lane_bytes,
            keep_letters: false,
            readers: readers.to_vec(),
            tally: tally.clone(),
        };
        Core::new((subject.describe)().plan().expect("as before"), config)
    };
    lanes.into_iter().zip(tallies).enumerate().map(core).collect()
}

/// Takes one step of a part at a time.
fn handout(core: usize, outbound: &Outbound, time: &Time, random: &mut Random) -> Handout {
    let (outbound, time) = (outbound.clone(), time.clone());
    let parts = PartQueue { outbound, random: Random::new(random.u64()) };
    let budget_ns = 100 + random.below(2_000);
    Handout::new(core, Box::new(parts), budget_ns, Arc::default(), Box::new(move || time.look()))
}
