//! The simulator: the cores of an engine on one thread, with virtual time, memory lanes and memory
//! sockets, in an order that follows from a seed.
//!
//! ```text
//!   clients ──bytes, in pieces──► inlets ┐                 ┌ outlets ──now and then──► outcome
//!                                        ├─► Core::turn ─►┤
//!                        lanes of 4 KiB ─┘                 └─ lanes, wake
//! ```
//!
//! It drives the very code that the engine drives: [`Core`] with the mesh of the runtime. Lanes,
//! inlets and outlets are tiny, so that back-pressure is the normal case. A core that found nothing
//! to do is parked and turns again only when a sibling wakes it or its ports have something for it,
//! as in the engine.
//!
//! Promises: the same seed gives the same run, [`Outcome::trace`] proves it; a run that no longer
//! gets anywhere panics. Must never do: decide what is right; that is the oracle's.

mod clients;
mod network;
mod trace;

use std::collections::BTreeMap;
use std::sync::Arc;

use potoroo::flow::{Core, CoreConfig, Counts, Letter, PartitionMap, Tally};
use potoroo_runtime::{Nanos, mesh};
use potoroo_sdk::host::{SinkId, SourceId};
use potoroo_sdk::prelude::*;

use clients::Client;
pub use clients::Script;
use network::Network;
pub use trace::Trace;

use crate::items::FRAME_BYTES_MAX;
use crate::oracle::table_text;
use crate::seeds::{Concern, in_turn, random};

/// How an application is deployed in the simulator.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Cores.
    pub cores: usize,
    /// Bytes of a lane between two cores, and of the lane from a core to itself.
    pub lane_bytes: usize,
    /// Bytes of the buffer of one connection.
    pub inlet_bytes: usize,
    /// Waiting bytes above which a sink or connection is full.
    pub outlet_bytes: usize,
    /// Partitions of the keys.
    pub partitions: u32,
    /// The cores that own partitions.
    pub owners: Vec<u16>,
    /// Whether every dead letter is kept.
    pub keep_letters: bool,
    /// The step before which all sources are told to stop; `None`: they end by themselves.
    pub stop_at: Option<u64>,
    /// How often the peer of a sink is replaced while bytes wait, per step: 0 is never.
    pub reconnects: f64,
    /// Nanoseconds that the replies of a client may hold its core back before it is closed.
    pub reply_stall_ns: u64,
}

/// A source of made-up events.
#[derive(Clone, Debug)]
pub struct Generator {
    /// Index of its source.
    pub source: u8,
    /// Its name in the application.
    pub name: String,
    /// Events per second of virtual time; 0 is as fast as possible.
    pub rate: u64,
    /// Events.
    pub count: u64,
}

impl Deployment {
    /// As small as it can be, and uneven: back-pressure everywhere.
    pub fn tiny(cores: usize, seed: u64) -> Self {
        let mut random = random(seed, Concern::Deployment);
        let mut owners: Vec<u16> = (0..cores as u16).filter(|_| random.chance(0.8)).collect();
        if owners.is_empty() {
            owners.push(random.below(cores as u64) as u16);
        }
        Self {
            cores,
            lane_bytes: 4096,
            inlet_bytes: FRAME_BYTES_MAX + random.below(600) as usize,
            outlet_bytes: 1 + random.below(600) as usize,
            partitions: [1, 7, 64, 1024][random.below(4) as usize],
            owners,
            keep_letters: true,
            stop_at: None,
            reconnects: [0.0, 0.01, 0.1][random.below(3) as usize],
            reply_stall_ns: u64::MAX,
        }
    }

    /// So large that nothing is ever full.
    pub fn ample(cores: usize) -> Self {
        Self {
            cores,
            lane_bytes: 1 << 20,
            inlet_bytes: 1 << 16,
            outlet_bytes: 1 << 20,
            partitions: 64,
            owners: (0..cores as u16).collect(),
            keep_letters: true,
            stop_at: None,
            reconnects: 0.0,
            reply_stall_ns: u64::MAX,
        }
    }
}

/// One core and what is known of it.
struct Seat {
    core: Core,
    tally: Arc<Tally>,
    /// The step in which it found nothing to do, if nobody has woken it since.
    parked: Option<u64>,
    /// When it wants a turn although nobody wakes it.
    due: Option<Nanos>,
    /// Chosen once in so many times when it could be.
    sloth: u64,
}

impl Seat {
    /// Whether it turns of its own accord.
    fn awake(&self, ticks: u64, now: Nanos) -> bool {
        let due = self.due.is_some_and(|due| due <= now);
        due || self.parked.is_none() || self.timed_out(ticks)
    }

    /// Whether the timer has ended its parking.
    fn timed_out(&self, ticks: u64) -> bool {
        self.parked.is_some_and(|since| since + PARK_TICKS_MAX <= ticks)
    }
}

/// A run of one application.
pub struct Simulation {
    seats: Vec<Seat>,
    network: Network,
    schedule: Random,
    now: Nanos,
    trace: Trace,
    letters: Vec<Letter>,
    last: usize,
    ticks: u64,
    /// Ticks since anything moved.
    stuck_ticks: u64,
    /// All parking was ended by the timer, and nothing has moved since.
    timers_in_vain: bool,
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
    pub letters: Vec<Letter>,
    /// Keys and states of each table, as text, in order.
    pub tables: BTreeMap<String, Vec<String>>,
    /// Bytes that each client sent before it ended or was told to stop.
    pub sent: Vec<usize>,
    /// Whether each client was told to stop before it had ended.
    pub stopped: Vec<bool>,
    /// Counters of each core.
    pub counts: Vec<Counts>,
    /// Hash of everything that happened.
    pub trace: Trace,
    /// Turns with work that only the timer which ends every parking brought about: the core had
    /// not asked for it and nobody had woken it. There should be none.
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
/// Steps of all cores after which a timer ends the parking of one.
const PARK_TICKS_MAX: u64 = 300;
/// As long as that in virtual time when nobody takes steps.
const PARK_NS_MAX: u64 = 1_000_000;

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
        let lanes = mesh(deployment.cores, plan.levels() + 1, deployment.lane_bytes);
        let map = PartitionMap::spread(deployment.partitions, &deployment.owners);
        let seats = lanes.into_iter().enumerate().map(|(core, lanes)| {
            let tally = Arc::new(Tally::new(&plan));
            let config = CoreConfig {
                core,
                lanes,
                map: map.clone(),
                sink_owners: sink_owners.clone(),
                inlet_bytes: deployment.inlet_bytes,
                outlet_bytes: deployment.outlet_bytes,
                local_bytes: deployment.lane_bytes,
                keep_letters: deployment.keep_letters,
                tally: tally.clone(),
            };
            let core = Core::new(describe().plan().expect("as before"), config);
            let sloth = if placing.chance(0.2) { 20 } else { 1 };
            Seat { core, tally, parked: None, due: None, sloth }
        });
        let seats: Vec<Seat> = seats.collect();
        let clients = scripts.into_iter();
        let clients = clients.map(|script| Client::new(script, placing.below(cores) as usize));
        let network = Network::new(seed, clients.collect(), plan.sinks.len(), deployment);
        let mut simulation = Self {
            seats,
            network,
            schedule: random(seed, Concern::Schedule),
            now: Nanos(1_000_000),
            trace: Trace::default(),
            letters: Vec::new(),
            last: 0,
            ticks: 0,
            stuck_ticks: 0,
            timers_in_vain: false,
            timer_turns: 0,
            stop_at: deployment.stop_at,
        };
        for (core, seat) in simulation.seats.iter_mut().enumerate() {
            seat.core.set_open_sources(simulation.network.expects_clients(core));
        }
        simulation
    }

    /// Adds a source of made-up events to the core `core`.
    ///
    /// # Panics
    /// The application does not know it.
    pub fn generate(&mut self, core: usize, generator: &Generator) {
        let source = SourceId(generator.source);
        self.seats.iter_mut().for_each(|seat| seat.core.drop_replies(source));
        let core = &mut self.seats[core].core;
        let stage = &core.plan().sources[usize::from(generator.source)].stage;
        let made = stage.generator(&generator.name, 1).expect("the application has it");
        core.add_generator(source, made, generator.rate, 0, generator.count);
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
                None if self.all_quiet() => break,
                None => self.end_parking(),
            }
        }
        self.finish()
    }

    /// All sources end behind what they have brought.
    fn stop(&mut self) {
        self.stop_at = None;
        self.network.stop();
        for seat in &mut self.seats {
            seat.core.stop_sources();
            seat.parked = None;
        }
    }

    /// The core whose turn it is; `None` when all are parked and their ports have nothing.
    fn pick(&mut self) -> Option<usize> {
        let Self { seats, network, ticks, now, .. } = self;
        let runs = |core: usize, seats: &mut [Seat]| {
            let seat = &mut seats[core];
            seat.awake(*ticks, *now) || network.pending(core, &mut seat.core)
        };
        let awake: Vec<usize> = (0..seats.len()).filter(|core| runs(*core, seats)).collect();
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

    /// One turn of a core, with its ports before and after it.
    fn step(&mut self, index: usize) {
        self.ticks += 1;
        assert!(self.ticks < TICKS_MAX, "the run does not end\n{}", self.picture());
        self.now.0 += 1 + self.schedule.below(3_000);
        let mut woken = Vec::new();
        let Self { seats, network, trace, letters, .. } = self;
        let seat = &mut seats[index];
        let timed_out = seat.timed_out(self.ticks);
        let mut moved = network.bring(index, &mut seat.core, self.now, trace);
        let brought = moved > 0;
        let due = seat.due.is_some_and(|due| due <= self.now);
        let work = in_turn(|| seat.core.turn(self.now, |to| woken.push(to)));
        self.timer_turns += u64::from(timed_out && work > 0 && !brought && !due);
        moved += network.carry(index, &mut seat.core, self.now, letters, trace);
        seat.parked = (work == 0 && moved == 0).then_some(self.ticks);
        seat.due = seat.core.next_due(self.now);
        if network.take_opened_all(index) {
            seat.core.set_open_sources(false);
            seat.parked = None;
        }
        trace.note(((index as u64) << 32) | work as u64);
        for to in woken {
            self.seats[to].parked = None;
        }
        self.watch(work + moved > 0);
    }

    fn watch(&mut self, moved: bool) {
        if moved {
            self.stuck_ticks = 0;
            self.timers_in_vain = false;
            return;
        }
        self.stuck_ticks += 1;
        let stuck = self.stuck_ticks > STUCK_TICKS_MAX;
        assert!(!stuck, "the cores wait for each other\n{}", self.picture());
    }

    fn all_quiet(&self) -> bool {
        self.seats.iter().all(|seat| seat.tally.quiet()) && self.sent() == self.received()
    }

    /// All are parked and some core has work: time passes until the timer ends the parking.
    fn end_parking(&mut self) {
        assert!(!self.timers_in_vain, "the cores have stopped for good\n{}", self.picture());
        self.timers_in_vain = true;
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
        let clients = self.network.progress();
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
        let sent = self.network.progress().into_iter().map(|(_, sent, _)| sent).collect();
        let stopped = self.network.stopped();
        let stalled = self.network.stalled();
        let (sinks, replies) = self.network.take_outputs(&named);
        Outcome {
            sinks,
            replies,
            letters: self.letters,
            tables: tables(&self.seats),
            sent,
            stopped,
            counts,
            trace: self.trace,
            timer_turns: self.timer_turns,
            ticks: self.ticks,
            stalled,
        }
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
