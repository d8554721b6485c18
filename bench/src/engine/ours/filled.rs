//! An engine with all keys in its tables, and the load that flows through it.
//!
//! The generator goes through its parts as the bench sets the phase: fill, load, audit.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use potoroo::control::report::Snapshot;
use potoroo::prelude::*;
use potoroo::{Config, Running, SourceAddress};

use crate::engine::job::{Job, Pace};
use crate::engine::load::{Item, Load};

/// Describes an application for this number of keys.
pub trait Build: Fn(u64, &Arc<Shared>) -> Application + Send + Sync + 'static {}
impl<F: Fn(u64, &Arc<Shared>) -> Application + Send + Sync + 'static> Build for F {}

/// What the generator, the handler and the bench tell each other.
#[derive(Debug, Default)]
pub struct Shared {
    filled: AtomicBool,
    /// Whether the load flows, rests between two windows, or is over and the audit follows.
    phase: AtomicU8,
    /// Events of the load, known when it is over.
    sent: AtomicU64,
    /// One per level; all of them are equal in the end.
    sums: [AtomicU64; LEVELS_MAX],
}

impl Shared {
    /// Begins a phase of the load.
    pub fn set(&self, phase: u8) {
        self.phase.store(phase, Ordering::Relaxed);
    }

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
        self.set(PHASE_OVER);
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

/// An engine whose keys are all in its tables.
pub struct FilledEngine {
    /// What its generator and handler share with the bench.
    pub shared: Arc<Shared>,
    pub running: Running,
}

impl FilledEngine {
    /// Starts an engine and waits until all keys are in.
    ///
    /// # Errors
    /// The engine does not start, or refuses events.
    pub fn start(job: &Job, config: Config, build: impl Build) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let (keys, of_engine) = (job.keys, Arc::clone(&shared));
        let config = config.source("load", address("load", job.pace));
        let running = potoroo::run(move || build(keys, &of_engine), config)?;
        wait_filled(&running, &shared)?;
        Ok(Self { shared, running })
    }

    /// Ends it: how many events of the load it got, the checksum, and what it says of its run.
    ///
    /// # Errors
    /// The engine failed, or its tables do not agree.
    pub fn finish(self, keys: u64) -> Result<((u64, u64), Snapshot)> {
        self.shared.end();
        let summary = self.running.wait().context("the engine failed")?;
        let sums = &self.shared.sums[..summary.snapshot.tables.len()];
        let first = sums[0].load(Ordering::Relaxed);
        for (table, sum) in summary.snapshot.tables.iter().zip(sums) {
            ensure!(table.rows == keys, "a table has {} rows instead of {keys}", table.rows);
            let sum = sum.load(Ordering::Relaxed);
            ensure!(sum == first, "the levels do not agree about their events");
        }
        Ok((self.shared.proof(), summary.snapshot))
    }
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
        if self.filled && self.shared.phase.load(Ordering::Relaxed) == PHASE_FLOW {
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
        if self.shared.phase.load(Ordering::Relaxed) == PHASE_REST {
            // The core goes on to turn, so that it counts as alive, and takes next to no time.
            thread::sleep(REST);
            return Some(self.load.next(0));
        }
        self.shared.sent.store(self.load.sent(), Ordering::Relaxed);
        self.audit.next().map(|key| marked(key, MARK_AUDIT))
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
/// Phases of the load: it flows, rests between two windows, or is over.
pub const PHASE_FLOW: u8 = 0;
pub const PHASE_REST: u8 = 1;
const PHASE_OVER: u8 = 2;
/// How long the generator sleeps before each event while it rests.
const REST: Duration = Duration::from_micros(100);
/// How often the bench looks whether the keys are in, which is before anything is measured.
const LOOK: Duration = Duration::from_millis(2);
