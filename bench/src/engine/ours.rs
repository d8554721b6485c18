//! Potoroo itself, as a program that embeds it runs it: a generator, one exchange, one table.
//!
//! The engine's own threads, clock, pacing, counters and latency arrays are used as they are. The
//! generator goes through three parts, and only the middle one is measured:
//!
//! ```text
//!   fill: each key once │ load: the same as everybody's, until the slice is over │ audit: each key
//! ```
//!
//! The audit adds each state to the checksum inside the handler, so that the proof needs no other
//! way into the engine than the one that events take.

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use potoroo::control::report::{CheckpointSummary, CoreStatus, PathSummary, Snapshot, Status};
use potoroo::prelude::*;
use potoroo::sdk::codec::FixedSize;
use potoroo::{Config, Running, SourceAddress};
use potoroo_runtime::Idle;

use super::job::{Job, Outcome, Pace};
use super::load::{Item, Load, Tally, scatter};
use crate::gaps::{CoreGaps, LoopGap};
use crate::place::Chase;
use crate::recorder::Recorder;
use crate::stamp;
use crate::take::Take;

/// Produces on the left core, owns on the right one.
///
/// # Errors
/// The engine cannot start, or it ended before it was told to.
pub fn run(job: &Job) -> Result<Outcome> {
    run_idle(job, Idle::Spin)
}

/// As [`run`], with what idle cores do.
///
/// # Errors
/// As [`run`].
pub fn run_idle(job: &Job, idle: Idle) -> Result<Outcome> {
    let cores = [job.place.left, job.place.right];
    let state_cores = Some(vec![cores[1]]);
    slice(job, Config { cores: cores.into(), state_cores, idle, ..config() }, keyed_count)
}

/// Produces and owns on the left core.
///
/// # Errors
/// As [`run`].
pub fn run_in_place(job: &Job) -> Result<Outcome> {
    in_place(job, keyed_count)
}

/// As [`run_in_place`], with [`OPERATORS`] further operators between source and table.
///
/// # Errors
/// As [`run`].
pub fn run_operators(job: &Job) -> Result<Outcome> {
    in_place(job, |keys, shared| application(keys, OPERATORS / 2, 1, shared))
}

/// As [`run_in_place`], with a number of partitions.
///
/// # Errors
/// As [`run`].
pub fn run_partitions(job: &Job, partitions: usize) -> Result<Outcome> {
    let config = Config { cores: vec![job.place.left], partitions, ..config() };
    slice(job, config, keyed_count)
}

/// Produces on the first core, owns on all of them; 1 to 4 tables after each other, with another
/// key for each.
///
/// # Errors
/// As [`run`].
pub fn run_levels(job: &Job, cores: &[usize], levels: usize) -> Result<Outcome> {
    let config = Config { cores: cores.into(), ..config() };
    slice(job, config, move |keys, shared| application(keys, 0, levels, shared))
}

/// As [`run_in_place`], with checkpoints in the folder `state` every `interval_ms` milliseconds, up
/// to `budget_us` microseconds of a turn for them; without any for `None`.
///
/// # Errors
/// As [`run`].
pub fn run_kept(
    job: &Job,
    state: Option<PathBuf>,
    interval_ms: u64,
    budget_us: u64,
) -> Result<(Outcome, CheckpointSummary)> {
    let config = Config {
        cores: vec![job.place.left],
        state: state.map(Into::into),
        checkpoint_ms: interval_ms,
        checkpoint_budget_us: budget_us,
        ..config()
    };
    let (outcome, snapshot) = slice_whole(job, config, keyed_count, during_slice)?;
    Ok((outcome, snapshot.checkpoints.unwrap_or_default()))
}

/// As [`run_kept`], but the slice is as long as the first checkpoint takes.
///
/// # Errors
/// As [`run`].
pub fn run_first(
    job: &Job,
    state: PathBuf,
    budget_us: u64,
) -> Result<(Outcome, CheckpointSummary)> {
    let config = Config {
        cores: vec![job.place.left],
        state: Some(state.into()),
        checkpoint_ms: NEVER_MS,
        checkpoint_budget_us: budget_us,
        admin: Some((Ipv4Addr::LOCALHOST, 0).into()),
        ..config()
    };
    let (outcome, snapshot) = slice_whole(job, config, keyed_count, during_first)?;
    Ok((outcome, snapshot.checkpoints.unwrap_or_default()))
}

/// As [`run_in_place`], for another application.
///
/// # Errors
/// As [`run`].
pub fn in_place(job: &Job, build: impl Build) -> Result<Outcome> {
    slice(job, Config { cores: vec![job.place.left], ..config() }, build)
}

/// Describes an application for this number of keys.
pub trait Build: Fn(u64, &Arc<Shared>) -> Application + Send + Sync + 'static {}
impl<F: Fn(u64, &Arc<Shared>) -> Application + Send + Sync + 'static> Build for F {}

/// Operators that [`run_operators`] adds: as many filters as maps.
pub const OPERATORS: usize = 8;

fn config() -> Config {
    Config { idle: Idle::Spin, progress: false, ..Config::default() }
}

/// What the generator, the handler and the bench tell each other.
#[derive(Debug, Default)]
pub struct Shared {
    filled: AtomicBool,
    /// The slice is over: the audit follows.
    over: AtomicBool,
    /// Events of the load, known when it is over.
    sent: AtomicU64,
    /// One per level; all of them are equal in the end.
    sums: [AtomicU64; LEVELS_MAX],
}

impl Shared {
    /// Registers the generator `name`, which goes through the three parts.
    pub fn generator<E>(self: &Arc<Self>, app: &Application, name: &str, keys: u64)
    where
        E: Event + From<Item>,
    {
        let shared = Arc::clone(self);
        app.generator(name, move |_| {
            let mut feed = Feed::new(keys, Arc::clone(&shared));
            move |_| feed.next().map(E::from)
        });
    }

    /// Whether each key was sent once: the load follows.
    pub fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Relaxed)
    }

    /// Ends the load: the audit follows.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Events of the load, and the checksum of the first level; both hold after the audit.
    pub fn proof(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.sums[0].load(Ordering::Relaxed))
    }

    /// Whether the first word of `rest` says that an event is none of the load.
    #[inline]
    pub fn is_mark(mark: u64) -> bool {
        mark >= MARKS
    }

    /// Takes in what a marked event asks for, given the checksum of its state.
    #[cold]
    pub fn mark(&self, level: usize, mark: u64, checksum: u64) {
        if mark == MARK_AUDIT {
            self.sums[level].fetch_add(checksum, Ordering::Relaxed);
        }
    }
}

fn slice(job: &Job, config: Config, build: impl Build) -> Result<Outcome> {
    slice_whole(job, config, build, during_slice).map(|(outcome, _)| outcome)
}

/// Also what the engine says of the whole run. What is measured lies between the two looks.
fn slice_whole(
    job: &Job,
    config: Config,
    build: impl Build,
    looks: fn(&Job, &Running) -> Result<[Look; 2]>,
) -> Result<(Outcome, Snapshot)> {
    let shared = Arc::new(Shared::default());
    let (keys, of_engine) = (job.keys, Arc::clone(&shared));
    let config = config.source("load", address("load", job.pace));
    let running = potoroo::run(move || build(keys, &of_engine), config)?;
    wait_filled(&running, &shared)?;
    let [before, after] = looks(job, &running)?;
    shared.end();
    let summary = running.wait().context("the engine failed")?;
    let sums = &shared.sums[..summary.snapshot.tables.len()];
    for (table, sum) in summary.snapshot.tables.iter().zip(sums) {
        ensure!(table.rows == keys, "a table has {} rows instead of {keys}", table.rows);
        let (sum, first) = (sum.load(Ordering::Relaxed), sums[0].load(Ordering::Relaxed));
        ensure!(sum == first, "the levels do not agree about their events");
    }
    let outcome = outcome(job, &shared, &before, &after);
    // Without real-time priority a short slice may pass while something else runs.
    ensure!(outcome.events > 0 || !job.place.fifo, "no event came through in the slice");
    Ok((outcome, summary.snapshot))
}

fn during_slice(job: &Job, running: &Running) -> Result<[Look; 2]> {
    wait_kept(running);
    if job.cold {
        forget_caches();
    }
    let _chase = Chase::start(job.place, process::id())?;
    let before = look_when_caught_up(running, job);
    thread::sleep(job.slice);
    Ok([before, look(running)])
}

fn during_first(job: &Job, running: &Running) -> Result<[Look; 2]> {
    let _chase = Chase::start(job.place, process::id())?;
    let before = look(running);
    let mut admin = TcpStream::connect(running.admin().context("it has an admin port")?)?;
    admin.write_all(
        b"POST /checkpoint HTTP/1.1\r\nHost: localhost\r\nX-Potoroo: 1\r\n\
          Connection: close\r\n\r\n",
    )?;
    let answer = io::read_to_string(admin)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "no checkpoint was taken: {answer}");
    Ok([before, look(running)])
}

/// The address of a generator.
pub fn address(name: &str, pace: Pace) -> SourceAddress {
    let rate = match pace {
        Pace::Rate(rate) => NonZeroU64::new(rate.into()),
        Pace::Full => None,
    };
    SourceAddress::Generator(potoroo::connect::address::GeneratorAddress {
        rate,
        ..potoroo::connect::address::GeneratorAddress::new(name)
    })
}

fn wait_filled(running: &Running, shared: &Shared) -> Result<()> {
    while !shared.is_filled() {
        thread::sleep(LOOK);
    }
    // The lane still holds some of them.
    thread::sleep(LOOK);
    let refused = running.status().snapshot.sources[0].refused;
    ensure!(refused == 0, "the engine refused {refused} events");
    Ok(())
}

/// Where checkpoints are taken, the first one has every row and is none of the slice.
fn wait_kept(running: &Running) {
    let waits =
        |status: Status| status.snapshot.checkpoints.is_some_and(|kept| kept.committed == 0);
    while waits(running.status()) {
        thread::sleep(LOOK);
    }
}

/// Fills the caches with something else. What lies in them otherwise depends on what went over all
/// rows last: the filling or the first checkpoint.
fn forget_caches() {
    let mut bytes = vec![0_u8; CACHES_BYTES];
    for pass in 1..=2 {
        std::hint::black_box(&mut bytes).fill(pass);
    }
}

/// The counters of a moment.
struct Look {
    nanos: u64,
    status: Status,
}

/// What fell behind before its priority was raised is not measured: the slice begins when events
/// come as fast as they are due.
fn look_when_caught_up(running: &Running, job: &Job) -> Look {
    let mut before = look(running);
    for _ in 0..LOOKS_MAX {
        thread::sleep(job.slice / 16);
        let after = look(running);
        let events = (after.events() - before.events()) as f64;
        let seconds = (after.nanos - before.nanos) as f64 / 1e9;
        before = after;
        match job.pace {
            Pace::Rate(rate) if job.place.fifo => {
                let share = events / (f64::from(rate) * seconds);
                if (0.9..=1.1).contains(&share) {
                    break;
                }
            }
            _ => break,
        }
    }
    before
}

/// The counts are read first, some microseconds after the stamp.
fn look(running: &Running) -> Look {
    Look { nanos: stamp::now(), status: running.status() }
}

impl Look {
    /// Events whose update has been done.
    fn events(&self) -> u64 {
        self.status.snapshot.paths[0].latency.len()
    }

    /// All latencies, and those outside gaps.
    fn latencies(&self) -> [Recorder; 2] {
        let PathSummary { latency, outside, .. } = &self.status.snapshot.paths[0];
        [latency, outside].map(|histogram| {
            let mut recorder = Recorder::new();
            for step in histogram.iter_recorded() {
                recorder.record_n(step.value_iterated_to(), step.count_at_value());
            }
            recorder
        })
    }

    /// What the engine's cores told between another look and this one.
    fn gaps_since(&self, before: &Self) -> Vec<CoreGaps> {
        let names: &[&str] =
            if self.status.cores.len() == 2 { &["load", "own"] } else { &["core"] };
        let cores = self.status.cores.iter().zip(names.iter().cycle());
        let gaps = |(core, name): (&CoreStatus, &&str)| {
            let recent = core.gaps.recent.iter().map(|gap| LoopGap::from(*gap));
            CoreGaps::told(name, before.nanos, self.nanos, recent)
        };
        cores.map(gaps).collect()
    }
}

fn outcome(job: &Job, shared: &Shared, before: &Look, after: &Look) -> Outcome {
    // One interval: a look in the middle of a slice would take a CPU from the engine.
    let mut latency = Take::default();
    if job.pace != Pace::Full {
        let ([all, outside], [all_before, outside_before]) =
            (after.latencies(), before.latencies());
        let length_ns = after.nanos - before.nanos;
        let (all, outside) = (all.without(&all_before), outside.without(&outside_before));
        latency.push(before.nanos, length_ns, &all, &outside);
        latency.gaps = after.gaps_since(before);
    }
    Outcome {
        keys: job.keys,
        latency,
        sent: shared.sent.load(Ordering::Relaxed),
        events: after.events() - before.events(),
        nanos: after.nanos - before.nanos,
        checksum: shared.sums[0].load(Ordering::Relaxed),
    }
}

fn keyed_count(keys: u64, shared: &Arc<Shared>) -> Application {
    application(keys, 0, 1, shared)
}

/// Keyed count, with `pairs` filters and maps in front, once per level.
fn application(keys: u64, pairs: usize, levels: usize, shared: &Arc<Shared>) -> Application {
    let app = Application::new("keyed-count");
    shared.generator::<Item>(&app, "load", keys);
    let mut items = app.source("load", ItemCodec);
    for _ in 0..pairs {
        let kept = items.filter(|item| item.value != u64::MAX);
        items = kept.map(|item| Item { intended_ns: item.intended_ns ^ 1, ..item });
    }
    let mut keyed = items.key_by(|item| item.key);
    for level in 1..levels {
        let (tallies, shared) = (app.table(&format!("tallies-{level}")), Arc::clone(shared));
        let further = keyed.update(&tallies, move |tally, item| {
            take(tally, &item, &shared, level);
            Item { key: scatter(item.key), ..item }
        });
        keyed = further.key_by(|item| item.key);
    }
    let (tallies, shared) = (app.table("tallies"), Arc::clone(shared));
    keyed.update(&tallies, move |tally, item| take(tally, &item, &shared, 0));
    app
}

#[inline]
fn take(tally: &mut Tally, item: &Item, shared: &Shared, level: usize) {
    if Shared::is_mark(item.rest[0]) {
        // The key of the first level: by it the sums of all levels are the same.
        shared.mark(level, item.rest[0], tally.checksum(item.rest[1]));
    } else {
        tally.update(item.value, item.intended_ns);
    }
}

/// The three parts of a run, one event at a time.
struct Feed {
    load: Load,
    fill: Box<dyn Iterator<Item = u64>>,
    audit: Box<dyn Iterator<Item = u64>>,
    shared: Arc<Shared>,
    filled: bool,
}

impl Feed {
    fn new(keys: u64, shared: Arc<Shared>) -> Self {
        let (fill, audit) = (Box::new(Load::keys(keys)), Box::new(Load::keys(keys)));
        Self { load: Load::new(keys), fill, audit, shared, filled: false }
    }

    #[inline]
    fn next(&mut self) -> Option<Item> {
        if self.filled && !self.shared.over.load(Ordering::Relaxed) {
            return Some(self.load.next(0));
        }
        self.next_mark()
    }

    #[cold]
    fn next_mark(&mut self) -> Option<Item> {
        let marked =
            |key, mark| Item { key, value: 0, intended_ns: 0, rest: [mark, key, mark, mark, mark] };
        if let Some(key) = self.fill.next() {
            return Some(marked(key, MARK_FILL));
        }
        if !self.filled {
            self.filled = true;
            self.shared.filled.store(true, Ordering::Relaxed);
            return Some(self.load.next(0));
        }
        self.shared.sent.store(self.load.sent(), Ordering::Relaxed);
        self.audit.next().map(|key| marked(key, MARK_AUDIT))
    }
}

/// The engine asks every source for a codec; a generator makes no use of it.
pub struct ItemCodec;

impl Decode for ItemCodec {
    type Event = Item;
    type Framing = FixedSize;

    fn framing(&self) -> FixedSize {
        FixedSize::new(size_of::<Item>())
    }

    fn decode(&self, _: &[u8]) -> Result<Item, Reason> {
        Err(Reason::new("only generated events are counted"))
    }
}

/// Places of keys are smaller; what begins here is no event of the load.
const MARKS: u64 = u64::MAX - 1;
/// Most levels.
const LEVELS_MAX: usize = 4;
/// Makes the row and changes nothing in it.
const MARK_FILL: u64 = u64::MAX - 1;
/// Adds the row to the checksum.
const MARK_AUDIT: u64 = u64::MAX;
/// Three slices: who has not caught up by then never will, and the figures shall say so.
const LOOKS_MAX: usize = 48;
/// No checkpoint begins by itself: a day.
const NEVER_MS: u64 = 86_400_000;
/// More than caches hold.
const CACHES_BYTES: usize = 1 << 30;
/// How often the bench looks whether the keys are in, which is before anything is measured.
const LOOK: Duration = Duration::from_millis(2);
