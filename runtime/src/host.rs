//! Runs one reactor per core.
//!
//! Owns the threads: each is a pinned executor with the turn loop as its one task, which never
//! gives way; where the kernel refuses what an executor needs, each is a pinned plain thread with
//! the same loop. Promises that every waker exists before any reactor is built, that a reactor
//! stays on the thread that built it, that one failed core ends all, and that a core which stops
//! turning ends the process. It must never look into a reactor, and the executor's own parking,
//! channels and sockets are never used: they cost tens of microseconds.
//!
//! ```text
//! executor ─ turn, turn, turn, … until the end
//!            └ nothing to do: spin, then park in the core's poller
//! ```

mod checks;
mod launch;
mod priority;
mod reactor_core;
mod scheduling;
mod threads;
mod watchdog;

pub use threads::Ground;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Nanos;
use crate::gaps::Gap;
use crate::poller::{self, Poller, Waker};
use crossbeam_utils::CachePadded;

use reactor_core::Outcome;
use threads::Thread;
use watchdog::Watchdog;

/// What a core runs: a state machine, called once per turn.
pub trait Reactor {
    /// What is left of it at the end, for [`Host::join`].
    type Report: Send + 'static;

    /// Does a bounded amount of work and says how it went. `now` is the time at the turn's start.
    /// Must not wait, and must ask the poller each time: what is not asked for keeps the core from
    /// parking. Parking itself is done by the host.
    fn turn(&mut self, now: Nanos, poller: &mut Poller) -> Turn;

    /// When something will be due even if nothing arrives. Asked behind an idle turn at `now`,
    /// before the core parks: a core that spins is never asked.
    fn due(&self, now: Nanos) -> Option<Nanos>;

    /// Told of each gap of the core, before the turn behind it.
    fn gap(&mut self, gap: Gap) {
        let _ = gap;
    }

    /// Called once after [`Turn::Done`], on the same thread.
    fn finish(self) -> Self::Report;
}

/// How a turn went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Something was done; the next turn follows at once.
    Worked,
    /// Nothing was to be done.
    Idle,
    /// The reactor has ended and is not called again.
    Done,
}

/// What a core does when a turn found no work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idle {
    /// Goes on turning: lowest latency, one CPU each, for CPUs that are really its own.
    Spin,
    /// Goes on turning for a while, then parks.
    #[default]
    Adaptive,
    /// Parks at once.
    Park,
}

/// How cores are run.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// One reactor per entry, on that CPU. A CPU may repeat; its reactors then give way at once.
    pub cpus: Vec<usize>,
    /// What idle cores do.
    pub idle: Idle,
    /// How long an adaptive core turns idly before it parks. The default of 100 µs is where being
    /// woken begins to cost less than going on. Taken as zero on a CPU that repeats.
    pub spin: Duration,
    /// A core that finishes no turn within it ends the process; 5 s by default, which no healthy
    /// turn comes near. Time in which the core waits for a CPU does not count. [`Duration::MAX`]
    /// turns the watch off.
    pub heartbeat_limit: Duration,
    /// Whether threads stay on their CPU; otherwise `cpus` only says how many there are.
    pub pin: bool,
    /// Whether cores run in executors where the kernel grants what those need; otherwise they run
    /// on plain threads.
    pub executors: bool,
}

impl HostConfig {
    /// The defaults for these CPUs.
    pub fn new(cpus: Vec<usize>) -> Self {
        Self {
            cpus,
            idle: Idle::default(),
            spin: Duration::from_micros(100),
            heartbeat_limit: Duration::from_secs(5),
            pin: true,
            executors: true,
        }
    }
}

/// Why cores could not be started or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The list of CPUs is empty.
    #[error("no CPU is given; name at least one")]
    NoCpu,
    /// The CPU does not exist or this process may not use it.
    #[error("CPU {cpu} does not exist or is not allowed for this process; allowed: {allowed}")]
    CpuNotAllowed {
        /// The CPU asked for.
        cpu: usize,
        /// Those that could be had, as ranges.
        allowed: String,
    },
    /// Cores would take all CPUs at the lowest real-time priority.
    #[error(
        "the process runs under SCHED_FIFO at priority 1, with a core on each of its CPUs \
         ({allowed}): busy cores would never let the other threads run, and no signal and no \
         --seconds would end them; start it at priority 2 or above (`chrt -f 2`), or leave a CPU \
         without a core (--cores)"
    )]
    RealTime {
        /// The CPUs, as ranges.
        allowed: String,
    },
    /// The kernel would kill a busy core.
    #[error(
        "the process runs under a real-time policy, and the kernel would end it when a core is \
         busy for {micros} µs (RLIMIT_RTTIME); lift that with `prlimit --rttime=unlimited` or \
         LimitRTTIME=infinity"
    )]
    RealTimeLimit {
        /// The limit.
        micros: u64,
    },
    /// The thread of a core could not start.
    #[error(
        "core {core} on CPU {cpu} cannot start: {reason}; check the limits of open files \
         (`ulimit -n`) and processes (`ulimit -u`), and whether CPUs and priorities may be set here"
    )]
    Thread {
        /// Index of the core.
        core: usize,
        /// Its CPU.
        cpu: usize,
        /// What the system says.
        reason: String,
    },
    /// The poller of a core could not be made.
    #[error("core {core} cannot start: {source}")]
    Poller {
        /// Index of the core.
        core: usize,
        /// What the poller says.
        source: poller::Error,
    },
    /// The thread that watches the heartbeats could not be started.
    #[error("cannot start the watchdog thread: {0}; raise the limit of processes")]
    Watchdog(std::io::Error),
    /// A reactor panicked; the other cores were stopped.
    #[error("core {core} panicked: {message}")]
    CorePanicked {
        /// Index of the core.
        core: usize,
        /// What the panic said.
        message: String,
    },
}

/// Running cores. Dropping it stops them wherever they are, and waits for that.
pub struct Host<Report: Send + 'static> {
    threads: Vec<Thread<Outcome<Report>>>,
    ground: Ground,
    cpus: Vec<usize>,
    wakers: Arc<[Waker]>,
    shared: Arc<Shared>,
    watchdog: Option<Watchdog>,
}

/// What the cores and their host share.
struct Shared {
    /// Asks every core to end without finishing.
    stop: AtomicBool,
    /// One per core: turns finished so far, roughly, or `BEATS_NONE`.
    beats: Box<[CachePadded<AtomicU64>]>,
    /// One per core: the number of its thread, or 0.
    threads: Box<[AtomicI32]>,
}

impl Shared {
    fn new(cores: usize) -> Self {
        let beats = (0..cores).map(|_| CachePadded::new(AtomicU64::new(BEATS_NONE)));
        let threads = (0..cores).map(|_| AtomicI32::new(0)).collect();
        Self { stop: AtomicBool::new(false), beats: beats.collect(), threads }
    }
}

/// Starts one core per entry of `config.cpus` and returns when all are set up.
///
/// `make` is called once per core, on this thread, with the core's index and the wakers of all;
/// what it returns is sent to the core's thread and builds the reactor there.
///
/// # Errors
/// If the configuration cannot be had on this host; nothing runs then.
pub fn start<R, F, B>(config: HostConfig, make: F) -> Result<Host<R::Report>, Error>
where
    R: Reactor + 'static,
    F: FnMut(usize, &[Waker]) -> B,
    B: FnOnce(&mut Poller) -> R + Send + 'static,
{
    launch::launch(&config, make)
}

impl<Report: Send + 'static> Host<Report> {
    /// Waits until every reactor is done and returns what is left of them, in order of cores.
    ///
    /// # Errors
    /// If a reactor panicked; the others were stopped then.
    pub fn join(mut self) -> Result<Vec<Report>, Error> {
        let outcomes = self.join_threads();
        self.watchdog.take();
        let mut reports = Vec::with_capacity(outcomes.len());
        let mut failure = None;
        for (core, outcome) in outcomes.into_iter().enumerate() {
            match outcome? {
                Outcome::Finished(report) => reports.push(report),
                Outcome::Panicked(message) => failure = Some(Error::CorePanicked { core, message }),
                // Only a panic stops the others while the host is alive.
                Outcome::Stopped => {}
            }
        }
        failure.map_or(Ok(reports), Err)
    }

    /// The wakers of all cores, in order.
    pub fn wakers(&self) -> &[Waker] {
        &self.wakers
    }

    /// On what the cores run.
    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// How many cores have not ended.
    pub fn running(&self) -> usize {
        let ended = |beat: &&CachePadded<AtomicU64>| beat.load(Ordering::Relaxed) == BEATS_ENDED;
        self.shared.beats.len() - self.shared.beats.iter().filter(ended).count()
    }

    fn join_threads(&mut self) -> Vec<Result<Outcome<Report>, Error>> {
        let threads = std::mem::take(&mut self.threads).into_iter().enumerate();
        threads
            .map(|(core, thread)| {
                let cpu = self.cpus[core];
                thread.join().map_err(|reason| Error::Thread { core, cpu, reason })
            })
            .collect()
    }
}

impl<Report: Send + 'static> Drop for Host<Report> {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.shared.stop.store(true, Ordering::Release);
            self.wakers.iter().for_each(Waker::wake_if_parked);
            self.join_threads();
        }
    }
}

/// A core that has not built its reactor, which may take long.
const BEATS_NONE: u64 = 0;
/// A core that has ended.
const BEATS_ENDED: u64 = u64::MAX;

#[cfg(test)]
mod tests;
