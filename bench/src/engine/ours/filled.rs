//! An engine with all keys in its tables, and the load that flows through it.
//!
//! The generator goes through its parts as the bench sets the phase: fill, load, audit.
//!
//! While the load rests, all cores of the engine sleep. The generator sends marks, so that a core
//! that only owns keys sleeps in the handler of the first mark; then the core of the generator
//! sleeps in the generator. Both wait for a condition in cold code and take no time of a CPU.
//! A lane that is full when its consumer falls asleep would keep its producer from falling asleep:
//! it would spin for ever. So at full speed lanes drain first: each generator sends marks with keys
//! of all cores, and few events after them. When all marks are taken in, so is all before them.

use std::num::NonZeroU64;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use potoroo::control::report::Snapshot;
use potoroo::prelude::*;
use potoroo::{Config, Running, SourceAddress};

use crate::engine::job::{Job, Pace};
use crate::engine::load::{Item, Load, scatter};

/// Describes an application for this number of keys.
pub trait Build: Fn(u64, &Arc<Shared>) -> Application + Send + Sync + 'static {}
impl<F: Fn(u64, &Arc<Shared>) -> Application + Send + Sync + 'static> Build for F {}

/// What the generator, the handler and the bench tell each other.
#[derive(Debug, Default)]
pub struct Shared {
    filled: AtomicBool,
    /// Whether the load flows, drains, rests between two windows, or is over and the audit follows.
    phase: AtomicU8,
    /// Number of cores that sleep because the load rests.
    asleep: Mutex<usize>,
    /// The phase has changed.
    changed: Condvar,
    /// Marks that were sent since lanes drain, and those that were taken in.
    drain_sent: AtomicU64,
    drain_taken: AtomicU64,
    /// Events of the load, known when it is over.
    sent: AtomicU64,
    /// One per level; all of them are equal in the end.
    sums: [AtomicU64; LEVELS_MAX],
}

impl Shared {
    /// Begins a phase of the load, and wakes cores that sleep.
    pub fn set(&self, phase: u8) {
        // Locked: a core that is about to sleep sees the phase or the notification.
        let _asleep = self.lock();
        if phase == PHASE_DRAIN {
            self.drain_sent.store(0, Ordering::Relaxed);
            self.drain_taken.store(0, Ordering::Relaxed);
        }
        self.phase.store(phase, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Whether lanes have next to nothing of this generator.
    pub fn is_drained(&self) -> bool {
        self.drain_taken.load(Ordering::Relaxed) >= DRAIN_MARKS
    }

    /// Number of cores that sleep.
    pub fn asleep(&self) -> usize {
        *self.lock()
    }

    /// Sleeps while the load rests.
    #[cold]
    fn sleep(&self) {
        let mut asleep = self.lock();
        *asleep += 1;
        while self.phase.load(Ordering::Relaxed) == PHASE_REST {
            asleep = self.changed.wait(asleep).unwrap_or_else(PoisonError::into_inner);
        }
        *asleep -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.asleep.lock().unwrap_or_else(PoisonError::into_inner)
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
        match mark {
            MARK_AUDIT => {
                self.sums[level].fetch_add(checksum, Ordering::Relaxed);
            }
            MARK_DRAIN => {
                self.drain_taken.fetch_add(1, Ordering::Relaxed);
            }
            MARK_REST => self.sleep(),
            _ => {}
        }
    }
}

/// An engine whose keys are all in its tables.
pub struct FilledEngine {
    /// What each generator and its handlers share with the bench. Dropped before the engine, which
    /// would wait for cores that sleep.
    pub shares: Shares,
    pub running: Running,
}

/// Ends all loads when it is dropped.
pub struct Shares(Vec<Arc<Shared>>);

impl Deref for Shares {
    type Target = [Arc<Shared>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for Shares {
    fn drop(&mut self) {
        self.iter().for_each(|shared| shared.end());
    }
}

impl FilledEngine {
    /// Starts an engine with one generator and waits until all keys are in.
    ///
    /// # Errors
    /// The engine does not start, or refuses events.
    pub fn start(job: &Job, config: Config, build: impl Build) -> Result<Self> {
        Self::start_all(job, config, &["load"], move |keys, shares| build(keys, &shares[0]))
    }

    /// As [`start`](Self::start), with a generator of each of these names.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_all(
        job: &Job,
        config: Config,
        sources: &[&str],
        build: impl Fn(u64, &[Arc<Shared>]) -> Application + Send + Sync + 'static,
    ) -> Result<Self> {
        let shares = Shares(sources.iter().map(|_| Arc::default()).collect());
        let (keys, of_engine) = (job.keys, shares.to_vec());
        let config = Config { heartbeat_seconds: REST_SECONDS_MAX, ..config };
        let with_source =
            |config: Config, name: &&str| config.source(*name, address(name, job.pace));
        let config = sources.iter().fold(config, with_source);
        let running = potoroo::run(move || build(keys, &of_engine), config)?;
        wait_filled(&running, &shares)?;
        Ok(Self { shares, running })
    }

    /// Ends it: how many events of each load it got with their checksum, and what it says of its
    /// run.
    ///
    /// # Errors
    /// The engine failed, or its tables do not agree.
    pub fn finish(self, keys: u64) -> Result<(Vec<(u64, u64)>, Snapshot)> {
        self.shares.iter().for_each(|shared| shared.end());
        let summary = self.running.wait().context("the engine failed")?;
        let tables = &summary.snapshot.tables;
        for table in tables {
            ensure!(table.rows == keys, "a table has {} rows instead of {keys}", table.rows);
        }
        let levels = tables.len() / self.shares.len();
        for shared in self.shares.iter() {
            let sums = shared.sums[..levels].iter().map(|sum| sum.load(Ordering::Relaxed));
            let agree = sums.clone().all(|sum| sum == shared.proof().1);
            ensure!(agree, "the levels do not agree about their events");
        }
        let proofs = self.shares.iter().map(|shared| shared.proof()).collect();
        Ok((proofs, summary.snapshot))
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

fn wait_filled(running: &Running, shares: &[Arc<Shared>]) -> Result<()> {
    while !shares.iter().all(|shared| shared.is_filled()) {
        thread::sleep(LOOK);
    }
    // The lane still holds some of them.
    thread::sleep(LOOK);
    let refused: u64 = running.status().snapshot.sources.iter().map(|it| it.refused).sum();
    ensure!(refused == 0, "the engine refused {refused} events");
    Ok(())
}

/// The three parts of a run, one event at a time.
struct Feed {
    keys: u64,
    load: Load,
    fill: Box<dyn Iterator<Item = u64>>,
    audit: Box<dyn Iterator<Item = u64>>,
    shared: Arc<Shared>,
    filled: bool,
    /// Marks until it sleeps while the load rests.
    marks: usize,
}

impl Feed {
    fn new(keys: u64, shared: Arc<Shared>) -> Self {
        let (fill, audit) = (Box::new(Load::keys(keys)), Box::new(Load::keys(keys)));
        Self { keys, load: Load::new(keys), fill, audit, shared, filled: false, marks: REST_MARKS }
    }

    /// The event is made in one place from numbers: a copy of one that was just made would wait for
    /// the stores that made it.
    #[inline]
    fn next(&mut self) -> Option<Item> {
        let flows = self.filled && self.shared.phase.load(Ordering::Relaxed) == PHASE_FLOW;
        let [key, value, mark, of] =
            if flows { Self::numbers(self.load.next(0)) } else { self.next_mark()? };
        Some(Item { key, value, intended_ns: 0, rest: [mark, of, mark, mark, mark] })
    }

    /// What the events of the load differ in.
    #[inline]
    fn numbers(Item { key, value, rest, .. }: Item) -> [u64; 4] {
        [key, value, rest[0], rest[1]]
    }

    #[cold]
    fn next_mark(&mut self) -> Option<[u64; 4]> {
        let marked = |key, mark| [key, 0, mark, key];
        if let Some(key) = self.fill.next() {
            return Some(marked(key, MARK_FILL));
        }
        if !self.filled {
            self.filled = true;
            self.shared.filled.store(true, Ordering::Relaxed);
            return Some(Self::numbers(self.load.next(0)));
        }
        let phase = self.shared.phase.load(Ordering::Relaxed);
        if phase == PHASE_DRAIN {
            let mark = self.shared.drain_sent.fetch_add(1, Ordering::Relaxed);
            if mark < DRAIN_MARKS {
                return Some(marked(scatter(mark % self.keys), MARK_DRAIN));
            }
            thread::sleep(if mark < DRAIN_EVENTS { DRAIN_PAUSE } else { DRAIN_LONG_PAUSE });
            return Some(Self::numbers(self.load.next(0)));
        }
        if phase == PHASE_REST {
            if self.marks > 0 {
                self.marks -= 1;
                return Some(marked(scatter(0), MARK_REST));
            }
            self.shared.sleep();
            self.marks = REST_MARKS;
            return self.next().map(Self::numbers);
        }
        self.shared.sent.store(self.load.sent(), Ordering::Relaxed);
        self.audit.next().map(|key| marked(key, MARK_AUDIT))
    }
}

/// Places of keys are smaller; what begins here is no event of the load.
const MARKS: u64 = u64::MAX - 3;
/// Most levels.
const LEVELS_MAX: usize = 4;
/// Counts as taken in.
const MARK_DRAIN: u64 = u64::MAX - 3;
/// The core that takes it in sleeps while the load rests.
const MARK_REST: u64 = u64::MAX - 2;
/// Makes the row and changes nothing in it.
const MARK_FILL: u64 = u64::MAX - 1;
/// Adds the row to the checksum.
const MARK_AUDIT: u64 = u64::MAX;
/// Phases of the load: it flows, drains, rests between two windows, or is over.
pub const PHASE_FLOW: u8 = 0;
pub const PHASE_DRAIN: u8 = 1;
pub const PHASE_REST: u8 = 2;
const PHASE_OVER: u8 = 3;
/// Enough that each of two cores gets some of them.
const DRAIN_MARKS: u64 = 64;
/// How long a generator sleeps before each event after its marks.
const DRAIN_PAUSE: Duration = Duration::from_micros(10);
/// After this number of events and marks it sleeps longer: the other core may wait for its CPU
/// meanwhile, and the lane to it must not be full when that core falls asleep.
const DRAIN_EVENTS: u64 = 512;
const DRAIN_LONG_PAUSE: Duration = Duration::from_millis(5);
/// Events of a turn: after as many marks the turn of the first one has ended.
const REST_MARKS: usize = 128;
/// An engine whose cores sleep does not count as stalled: a day.
const REST_SECONDS_MAX: u64 = 86_400;
/// How often the bench looks whether the keys are in, which is before anything is measured.
const LOOK: Duration = Duration::from_millis(2);
