//! The simulator: the cores of an engine on one thread, with virtual time, memory lanes and memory
//! sockets, in an order that follows from a seed.
//!
//! ```text
//!   clients ──bytes, in pieces──► ports ┐                   ┌ ports ──now and then──► outcome
//!                                       ├─► Driver::turn ─►┤
//!             commands, lanes of 4 KiB ─┘                   └ notices, lanes, wake
//! ```
//!
//! It runs the very code that the engine runs: the driver and the core with the mesh of the
//! runtime; only the ports are memory. Lanes, inlets and outlets are tiny, so that back-pressure is
//! the normal case. A core that found nothing to do is parked and turns again only when a command
//! or a sibling wakes it or its ports announce something, as in the engine.
//!
//! Promises: the same seed gives the same run, [`Outcome::trace`] proves it; a run that no longer
//! gets anywhere panics. Must never do: decide what is right; that is the oracle's.

mod clients;
mod deployment;
mod network;
mod ports;
mod seat;
mod trace;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

use potoroo::flow::{Counts, DeadLetter, PartitionMap, Start};
use potoroo::turn::{Command, InletKind, NewInlet, Notice};
use potoroo_runtime::{Nanos, mesh_with_words};
use potoroo_sdk::host::{SinkId, SourceId};
use potoroo_sdk::plan::Plan;
use potoroo_sdk::prelude::*;

use clients::Client;
pub use clients::Script;
pub use deployment::{Deployment, Generator};
use network::Network;
use ports::{ClientPort, ReceiverPort, SharedNetwork};
use seat::{Ground, PARK_TICKS_MAX, Seat};
pub use trace::Trace;

use crate::rows::table_text;
use crate::seeds::{Concern, random};
use crate::wires::{Verdict, WireKind, link_nodes};

/// A run of one application.
pub struct Simulation {
    seats: Vec<Seat>,
    network: SharedNetwork,
    notices: Receiver<Notice>,
    verdict: Verdict,
    sink_owners: Vec<usize>,
    schedule: Random,
    now: Nanos,
    /// Dead letters that wait for the control plane, and those that it has taken.
    letters_sent: Vec<DeadLetter>,
    batches_sent: usize,
    letters: Vec<DeadLetter>,
    letters_waiting: Arc<AtomicUsize>,
    last: usize,
    ticks: u64,
    /// Ticks since anything moved.
    stuck_ticks: u64,
    /// How often all parking was ended by the timer since anything moved, and how often it may be.
    timers_in_vain: u64,
    timers_in_vain_max: u64,
    timer_turns: u64,
    stop_at: Option<u64>,
}

/// What a run left behind.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Bytes of each sink by name.
    pub sinks: BTreeMap<String, Vec<u8>>,
    /// Bytes that each client got back.
    pub replies: Vec<Vec<u8>>,
    /// Dead letters, in the order in which they were taken.
    pub letters: Vec<DeadLetter>,
    /// Keys and states of each table, as text, in order.
    pub tables: BTreeMap<String, Vec<String>>,
    /// Bytes that each client sent before it ended or was stopped.
    pub sent: Vec<usize>,
    /// Whether each client was stopped before it had ended.
    pub stopped: Vec<bool>,
    /// Counters of each core.
    pub counts: Vec<Counts>,
    /// Hash of everything that happened.
    pub trace: Trace,
    /// Turns with work that only the timer which ends every parking brought about: the core had
    /// not requested it and no other thread had woken it. There should be none.
    pub timer_turns: u64,
    /// Steps taken.
    pub ticks: u64,
    /// Clients that were closed because they did not take their replies.
    pub stalled: u64,
}

/// More steps than any run of the tests can take.
const TICKS_MAX: u64 = 50_000_000;
/// Steps without any movement that no stalled sink and no timer explains.
const STUCK_TICKS_MAX: u64 = 20_000;
/// What the timer of a parked core takes in virtual time when no core takes steps.
const PARK_NS_MAX: u64 = 1_000_000;
/// Turns in which a core that has delivered everything ends.
const END_TURNS_MAX: usize = 10;

impl Simulation {
    /// The cores of `describe`, nothing having happened.
    pub fn new(
        seed: u64,
        deployment: &Deployment,
        describe: &dyn Fn() -> Application,
        scripts: Vec<Script>,
    ) -> Self {
        let plan = describe().plan().expect("the application is sound");
        let mut placing = random(seed, Concern::Deployment);
        let cores = deployment.cores as u64;
        let sink_owners: Vec<usize> =
            plan.sinks.iter().map(|_| placing.below(cores) as usize).collect();
        let (levels, words) = (plan.levels() + 1, plan.watermark_levels());
        let mut lanes = mesh_with_words(deployment.cores, levels, &words, deployment.lane_bytes);
        let kind = WireKind { announced: true, ..WireKind::default() };
        let (nodes, lane_bytes, verdict) =
            (&deployment.nodes, deployment.lane_bytes, Verdict::default());
        let mut wires = random(!seed, Concern::Network);
        let wired = link_nodes(nodes, &mut lanes, lane_bytes, &mut wires, (kind, &verdict));
        let map = PartitionMap::spread(deployment.partitions, &deployment.owners);
        let client = |script| {
            let core = placing.below(cores) as usize;
            Client::new(script, core, placing.chance(0.5))
        };
        let clients: Vec<Client> = scripts.into_iter().map(client).collect();
        let readers = (0..plan.sources.len()).map(|source| reader(&clients, source)).collect();
        let mut network = Network::new(seed, clients, &sink_owners, deployment);
        let links = network.watch_wires(wired);
        let network = SharedNetwork::new(network);
        let (notices_in, notices) = channel();
        // Where one batch of dead letters may wait, and where many may.
        let letters_waiting = Arc::new(AtomicUsize::new([0, 63][placing.below(2) as usize]));
        let ground =
            Ground { deployment, describe, map, sink_owners, readers, network, letters_waiting };
        let seats = lanes.into_iter().enumerate();
        let seats = seats.map(|(core, lanes)| ground.seat(core, lanes, &notices_in, &mut placing));
        let mut simulation = Self {
            seats: seats.collect(),
            network: ground.network,
            notices,
            verdict,
            schedule: random(seed, Concern::Schedule),
            now: Nanos(1_000_000),
            letters_sent: Vec::new(),
            batches_sent: 0,
            letters: Vec::new(),
            letters_waiting: ground.letters_waiting,
            last: 0,
            ticks: 0,
            stuck_ticks: 0,
            timers_in_vain: 0,
            timers_in_vain_max: timers_in_vain_max(deployment.reply_stall_ns),
            timer_turns: 0,
            stop_at: deployment.stop_at,
            sink_owners: ground.sink_owners,
        };
        links.into_iter().for_each(|(core, link)| simulation.seats[core].driver.add_link(link));
        simulation.open(&plan);
        simulation
    }

    /// Connects the sinks.
    fn open(&mut self, plan: &Plan) {
        for (core, seat) in self.seats.iter_mut().enumerate() {
            seat.core.set_open_sources(self.network.lock().expects_clients(core));
        }
        for (sink, of) in plan.sinks.iter().enumerate() {
            if of.name.is_some() {
                self.connect_sink(sink);
            }
        }
    }

    fn connect_sink(&mut self, sink: usize) {
        let port = Box::new(ReceiverPort { network: self.network.clone(), sink });
        let command = Command::Sink { sink: SinkId(sink as u16), port };
        self.seats[self.sink_owners[sink]].command(command);
    }

    /// Adds a source of generated events to the core `core`.
    ///
    /// # Panics
    /// The application does not know it.
    pub fn generate(&mut self, core: usize, generator: &Generator) {
        let source = SourceId(generator.source);
        self.seats.iter_mut().for_each(|seat| seat.core.drop_replies(source));
        let core = &mut self.seats[core].core;
        let stage = &core.plan().sources[usize::from(generator.source)].stage;
        let made = stage.generator(&generator.name, 1).expect("the application has it");
        core.add_generator(source, made, generator.rate, &Start::default(), generator.count);
    }

    /// Runs until nothing is left to do.
    ///
    /// # Panics
    /// The cores wait for each other, or their counters do not agree at the end.
    pub fn run(mut self) -> Outcome {
        loop {
            if self.stop_at.is_some_and(|stop_at| self.ticks >= stop_at) {
                self.stop();
            }
            match self.pick() {
                Some(core) => self.step(core),
                None if !self.letters_sent.is_empty() => self.take_letters(),
                None if self.all_quiet() => break,
                None => self.wait(),
            }
        }
        self.end();
        self.finish()
    }

    /// All sources end after what they have brought.
    fn stop(&mut self) {
        self.stop_at = None;
        self.network.lock().stop();
        self.seats.iter_mut().for_each(|seat| seat.command(Command::StopSources));
    }

    /// The core whose turn it is; `None` when all are parked and their ports have nothing.
    fn pick(&mut self) -> Option<usize> {
        let network = self.network.lock();
        let runs =
            |core: &usize| self.seats[*core].awake(self.ticks, self.now) || network.pending(*core);
        let awake: Vec<usize> = (0..self.seats.len()).filter(runs).collect();
        drop(network);
        if awake.is_empty() {
            return None;
        }
        // Some turns in a row give lanes the time to fill, and to run empty.
        if awake.contains(&self.last) && self.schedule.chance(0.4) {
            return Some(self.last);
        }
        let core = awake[self.schedule.below(awake.len() as u64) as usize];
        let lazy = awake.len() > 1 && self.schedule.below(self.seats[core].sloth) != 0;
        self.last =
            if lazy { awake[self.schedule.below(awake.len() as u64) as usize] } else { core };
        Some(self.last)
    }

    /// One turn of a core, and what happens around it.
    fn step(&mut self, index: usize) {
        self.ticks += 1;
        assert!(self.ticks < TICKS_MAX, "the run does not end\n{}", self.picture());
        self.now.0 += 1 + self.schedule.below(3_000);
        self.network.lock().set_tick(self.ticks);
        let (timed_out, connected) = (self.seats[index].timed_out(self.ticks), self.connect(index));
        let seat = &mut self.seats[index];
        let due = seat.due.is_some_and(|due| due <= self.now);
        let mut woken = Vec::new();
        let turned = seat.turn(self.now, &mut woken);
        assert_eq!(self.verdict.wrong(), None, "a link keeps its promises");
        assert!(!turned.ended, "no core was sent the end");
        let by_timer = timed_out && !connected && !due;
        self.timer_turns += u64::from(by_timer && turned.work > 0 && !turned.came);
        seat.parked = turned.is_idle().then_some(self.ticks);
        seat.due = seat.core.next_due(self.now);
        self.network.lock().trace.note(((index as u64) << 32) | turned.work as u64);
        for to in woken {
            self.seats[to].parked = None;
        }
        self.receive();
        if self.schedule.chance(0.3) {
            self.take_letters();
        }
        self.watch(!turned.is_idle());
    }

    /// Clients connect to a core. Returns whether any did.
    fn connect(&mut self, index: usize) -> bool {
        let connecting = self.network.lock().connect(index);
        let seat = &mut self.seats[index];
        for client in &connecting {
            let port = ClientPort::new(&self.network, *client);
            let (source, kind) = (port.source(), InletKind::Bytes);
            let new = NewInlet { source, kind, port: Box::new(port), taken: None };
            seat.command(Command::Inlet(new));
        }
        if !connecting.is_empty() && !self.network.lock().expects_clients(index) {
            seat.command(Command::SourcesComplete);
        }
        !connecting.is_empty()
    }

    /// The control plane handles what cores report.
    fn receive(&mut self) {
        while let Ok(notice) = self.notices.try_recv() {
            let client = |peer: String| peer.parse().expect("peers are clients");
            match notice {
                Notice::Closed { peer, .. } => self.network.lock().close(client(peer)),
                Notice::Stalled { peer, .. } => self.network.lock().lose_replies(client(peer)),
                Notice::SinkLost { sink, .. } => self.connect_sink(usize::from(sink.0)),
                Notice::Letters(letters) => {
                    self.letters_sent.extend(letters);
                    self.batches_sent += 1;
                }
                Notice::Holding { .. } => {}
                Notice::LinkLost { seat, reason, .. } => panic!("link to {seat}: {reason}"),
                Notice::Refused { .. } | Notice::Unread { .. } => unreachable!("not reported here"),
            }
        }
    }

    /// The control plane takes the dead letters that wait, and wakes cores that wait for that.
    fn take_letters(&mut self) {
        if self.letters_sent.is_empty() {
            return;
        }
        self.letters_sent.iter().for_each(|letter| self.network.lock().check_letter(letter));
        self.letters.append(&mut self.letters_sent);
        self.letters_waiting.fetch_sub(self.batches_sent, Ordering::Relaxed);
        self.batches_sent = 0;
        self.seats.iter_mut().for_each(|seat| seat.parked = None);
    }

    fn watch(&mut self, moved: bool) {
        if moved {
            self.stuck_ticks = 0;
            self.timers_in_vain = 0;
            return;
        }
        self.stuck_ticks += 1;
        let stuck = self.stuck_ticks > STUCK_TICKS_MAX;
        assert!(!stuck, "the cores wait for each other\n{}", self.picture());
    }

    fn all_quiet(&self) -> bool {
        self.seats.iter().all(|seat| seat.tally.quiet()) && self.sent() == self.received()
    }

    /// All are parked and not all is done: time passes until a client for which a core waits has
    /// room, or until the timer ends the parking.
    fn wait(&mut self) {
        let room = self.network.lock().next_room();
        match room {
            Some(tick) => {
                self.now.0 += tick - self.ticks;
                self.ticks = tick;
                self.network.lock().set_tick(tick);
            }
            None => self.end_parking(),
        }
    }

    fn end_parking(&mut self) {
        let goes_on = self.timers_in_vain < self.timers_in_vain_max;
        assert!(goes_on, "the cores have stopped for good\n{}", self.picture());
        self.timers_in_vain += 1;
        self.seats.iter_mut().for_each(|seat| seat.parked = seat.parked.and(Some(0)));
        self.ticks += PARK_TICKS_MAX;
        self.now.0 += PARK_NS_MAX;
    }

    fn sent(&self) -> u64 {
        self.seats.iter().map(|seat| seat.tally.read().frames_sent).sum()
    }

    fn received(&self) -> u64 {
        self.seats.iter().map(|seat| seat.tally.read().frames_received).sum()
    }

    /// For the message of a panic.
    fn picture(&self) -> String {
        let clients = self.network.lock().progress();
        let mut text = format!("{} steps, clients {clients:?}\n", self.ticks);
        for (index, seat) in self.seats.iter().enumerate() {
            let (counts, quiet) = (seat.tally.read(), seat.tally.quiet());
            text.push_str(&format!(
                "core {index}: parked {:?} quiet {quiet} {counts:?}\n",
                seat.parked
            ));
        }
        text
    }

    /// Everything is processed and delivered: each core ends at once.
    fn end(&mut self) {
        for (core, seat) in self.seats.iter_mut().enumerate() {
            seat.command(Command::Finish);
            let ends = (0..END_TURNS_MAX).any(|_| seat.turn(self.now, &mut Vec::new()).ended);
            assert!(ends, "core {core} does not end");
        }
        self.receive();
        self.take_letters();
    }

    fn finish(mut self) -> Outcome {
        let counts: Vec<Counts> = self.seats.iter_mut().map(|seat| seat.core.counts()).collect();
        let sum = |count: fn(&Counts) -> u64| counts.iter().map(count).sum::<u64>();
        assert_eq!(sum(|c| c.frames_sent), sum(|c| c.frames_received), "every frame arrives once");
        for (core, seat) in self.seats.iter_mut().enumerate() {
            assert_eq!(seat.core.turn(self.now, |_| {}), 0, "core {core} had work left");
            assert!(!seat.core.has_letters());
        }
        let plan = self.seats[0].core.plan();
        let named = plan.sinks.iter().enumerate();
        let named: Vec<(SinkId, String)> = named
            .filter_map(|(index, sink)| Some((SinkId(index as u16), sink.name.clone()?)))
            .collect();
        let mut network = self.network.lock();
        assert_eq!(network.check_wires(), Ok(()));
        let sent = network.progress().into_iter().map(|(_, sent, _)| sent).collect();
        let (stopped, stalled, trace) = (network.stopped(), network.stalled(), network.trace);
        let (sinks, replies) = network.take_outputs(&named);
        drop(network);
        Outcome {
            sinks,
            replies,
            letters: self.letters,
            tables: tables(&self.seats),
            sent,
            stopped,
            counts,
            trace,
            timer_turns: self.timer_turns,
            ticks: self.ticks,
            stalled,
        }
    }
}

/// The core that reads a source, if one client brings all of it.
fn reader(clients: &[Client], source: usize) -> Option<usize> {
    let mut of = clients.iter().filter(|client| usize::from(client.script.source) == source);
    let first = of.next()?;
    of.next().is_none().then_some(first.core)
}

/// Once proves that nothing moves; a client that does not take its replies is closed by time alone.
fn timers_in_vain_max(reply_stall_ns: u64) -> u64 {
    match reply_stall_ns {
        u64::MAX => 1,
        _ => 3 + reply_stall_ns / PARK_NS_MAX,
    }
}

/// The tables of all cores in one, as text.
fn tables(seats: &[Seat]) -> BTreeMap<String, Vec<String>> {
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for table in seats.iter().flat_map(|seat| &seat.core.plan().tables) {
        let rows = tables.entry(table.name.clone()).or_default();
        table.rows.each(&mut |key, state| rows.push(table_text(key, state)));
    }
    tables.values_mut().for_each(|rows| rows.sort());
    tables
}
