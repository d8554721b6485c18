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

use std::num::NonZeroU64;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use potoroo::control::report::Status;
use potoroo::prelude::*;
use potoroo::sdk::codec::FixedSize;
use potoroo::{Config, Running, SourceAddress};
use potoroo_runtime::Idle;

use super::load::{Item, Load, Tally};
use super::{Job, Outcome, Pace};
use crate::place::Chase;
use crate::recorder::Recorder;
use crate::stamp;

/// Produces on the left core, owns on the right one.
///
/// # Errors
/// The engine cannot start, or it ended before it was told to.
pub fn run(job: &Job) -> Result<Outcome> {
    let cores = [job.place.left, job.place.right];
    let config = Config { cores: cores.into(), state_cores: Some(vec![cores[1]]), ..config() };
    slice(job, config, 0)
}

/// Produces and owns on the left core.
///
/// # Errors
/// As [`run`].
pub fn run_in_place(job: &Job) -> Result<Outcome> {
    slice(job, Config { cores: vec![job.place.left], ..config() }, 0)
}

/// As [`run_in_place`], with [`OPERATORS`] further operators between source and table.
///
/// # Errors
/// As [`run`].
pub fn run_operators(job: &Job) -> Result<Outcome> {
    slice(job, Config { cores: vec![job.place.left], ..config() }, OPERATORS / 2)
}

/// Operators that [`run_operators`] adds: as many filters as maps.
pub const OPERATORS: usize = 8;

fn config() -> Config {
    Config { idle: Idle::Spin, progress: false, ..Config::default() }
}

/// What the generator, the handler and the bench tell each other.
#[derive(Debug, Default)]
struct Shared {
    filled: AtomicBool,
    /// The slice is over: the audit follows.
    over: AtomicBool,
    /// Events of the load, known when it is over.
    sent: AtomicU64,
    checksum: AtomicU64,
}

fn slice(job: &Job, config: Config, pairs: usize) -> Result<Outcome> {
    let shared = Arc::new(Shared::default());
    let (keys, of_engine) = (job.keys, Arc::clone(&shared));
    let config = config.source("load", address(job.pace));
    let running = potoroo::run(move || application(keys, pairs, &of_engine), config)?;
    wait_filled(&running, &shared)?;
    let chase = Chase::start(job.place, process::id())?;
    // What fell behind before its priority was raised is not measured.
    thread::sleep(job.slice / 16);
    let before = look(&running);
    thread::sleep(job.slice);
    let after = look(&running);
    drop(chase);
    shared.over.store(true, Ordering::Relaxed);
    let summary = running.wait().context("the engine failed")?;
    let rows = summary.snapshot.tables[0].rows;
    ensure!(rows == keys, "the table has {rows} rows instead of {keys}");
    let outcome = outcome(job, &shared, &before, &after);
    // Without real-time priority a short slice may pass while something else runs.
    ensure!(outcome.events > 0 || !job.place.fifo, "no event came through in the slice");
    Ok(outcome)
}

fn address(pace: Pace) -> SourceAddress {
    let rate = match pace {
        Pace::Rate(rate) => NonZeroU64::new(rate.into()),
        Pace::Full => None,
    };
    SourceAddress::Generator(potoroo::connect::address::GeneratorAddress {
        rate,
        ..potoroo::connect::address::GeneratorAddress::new("load")
    })
}

fn wait_filled(running: &Running, shared: &Shared) -> Result<()> {
    while !shared.filled.load(Ordering::Relaxed) {
        thread::sleep(LOOK);
    }
    // The lane still holds some of them.
    thread::sleep(LOOK);
    let refused = running.status().snapshot.sources[0].refused;
    ensure!(refused == 0, "the engine refused {refused} events");
    Ok(())
}

/// The counters of a moment.
struct Look {
    nanos: u64,
    status: Status,
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

    fn latency(&self) -> Recorder {
        let mut recorder = Recorder::new();
        for step in self.status.snapshot.paths[0].latency.iter_recorded() {
            recorder.record_n(step.value_iterated_to(), step.count_at_value());
        }
        recorder
    }
}

fn outcome(job: &Job, shared: &Shared, before: &Look, after: &Look) -> Outcome {
    let mut latency = Recorder::new();
    if job.pace != Pace::Full {
        latency = after.latency();
        latency.forget(&before.latency());
    }
    Outcome {
        keys: job.keys,
        latency,
        sent: shared.sent.load(Ordering::Relaxed),
        events: after.events() - before.events(),
        nanos: after.nanos - before.nanos,
        checksum: shared.checksum.load(Ordering::Relaxed),
    }
}

/// Keyed count, with `pairs` filters and maps in front.
fn application(keys: u64, pairs: usize, shared: &Arc<Shared>) -> Application {
    let app = Application::new("keyed-count");
    let tallies = app.table::<u64, Tally>("tallies");
    let of_feed = Arc::clone(shared);
    app.generator("load", move |_| {
        let mut feed = Feed::new(keys, Arc::clone(&of_feed));
        move |_| feed.next()
    });
    let mut items = app.source("load", ItemCodec);
    for _ in 0..pairs {
        let kept = items.filter(|item| item.value != u64::MAX);
        items = kept.map(|item| Item { intended_ns: item.intended_ns ^ 1, ..item });
    }
    let shared = Arc::clone(shared);
    items.key_by(|item| item.key).update(&tallies, move |tally, item| {
        if item.rest[0] < MARKS {
            tally.update(item.value, item.intended_ns);
        } else {
            mark(tally, &item, &shared.checksum);
        }
    });
    app
}

#[cold]
fn mark(tally: &Tally, item: &Item, checksum: &AtomicU64) {
    if item.rest[0] == MARK_AUDIT {
        checksum.fetch_add(tally.checksum(item.key), Ordering::Relaxed);
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
        let marked = |key, mark| Item { key, value: 0, intended_ns: 0, rest: [mark; 5] };
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
/// Makes the row and changes nothing in it.
const MARK_FILL: u64 = u64::MAX - 1;
/// Adds the row to the checksum.
const MARK_AUDIT: u64 = u64::MAX;
/// How often the bench looks whether the keys are in, which is before anything is measured.
const LOOK: Duration = Duration::from_millis(2);
