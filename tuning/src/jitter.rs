//! Jitter: how long, and why, a core that only spins is held up.
//!
//! Owns one spinning thread per core that reads the clock without pause. Promises that every gap
//! between two readings of a microsecond or more is in the histogram, that time spent looking for
//! causes is in none, and that a stop in the middle returns what was measured. Must never claim
//! to know a cause: what the kernel's counters say is a guess.
//!
//! ```text
//!   reading ─ reading ─ reading ────── gap ────── reading ─ look at the counters ─ reading ─ …
//!      └ 25 ns ┘                └ recorded ┘               └──── not counted ────┘
//! ```

mod cause;
mod counters;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::cpus::Cpus;
use crate::host::CheckedHost;
use crate::pin::{self, NotHad, pin};
use crate::root::Root;
use counters::Counters;

/// What one core showed.
#[derive(Clone, Debug)]
pub struct CoreJitter {
    /// The CPU.
    pub cpu: usize,
    /// Nanoseconds that were watched.
    pub watched_ns: u64,
    /// Nanoseconds between two readings when nothing comes between: what cannot be seen.
    pub reading_ns: u64,
    /// Gaps of [`GAP_NS_MIN`] or more, in nanoseconds.
    pub gaps: Histogram<u64>,
    /// Nanoseconds lost in them.
    pub lost_ns: u64,
    /// Guessed causes of the gaps of [`LOOK_NS_MIN`] or more.
    pub causes: BTreeMap<String, Share>,
    /// What the kernel counted on this CPU meanwhile, without what stayed at zero.
    pub counted: Vec<(String, u64)>,
}

/// The gaps of one cause.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Share {
    /// How many.
    pub count: u64,
    /// Nanoseconds of all of them.
    pub sum_ns: u64,
    /// Nanoseconds of the longest.
    pub max_ns: u64,
}

impl Share {
    fn add(&mut self, gap_ns: u64) {
        self.count += 1;
        self.sum_ns += gap_ns;
        self.max_ns = self.max_ns.max(gap_ns);
    }
}

/// Spins on each of `cores` for `duration`, or until `stop` is set. `progress` is called with the
/// share of it that has passed, several times a second.
///
/// # Errors
/// One of the CPUs cannot be had, or has no thread; nothing is measured then, and `stop` is set.
pub fn measure(
    cores: &Cpus,
    duration: Duration,
    stop: &AtomicBool,
    mut progress: impl FnMut(f64),
) -> Result<Vec<CoreJitter>, NotHad> {
    // Each is tried before any spins, so that a mistake costs no time.
    thread::scope(|scope| {
        let try_pin = |cpu| pin::start(scope, cpu, move || pin(cpu));
        let tries = cores.iter().map(try_pin).collect::<Result<Vec<_>, _>>()?;
        tries.into_iter().try_for_each(|one| one.join().expect("pinning does not panic"))
    })?;
    thread::scope(|scope| {
        let start_spinner = |cpu| pin::start(scope, cpu, move || spin(cpu, duration, stop));
        let spinners = cores.iter().map(start_spinner).collect::<Result<Vec<_>, _>>();
        // Those that spin already end at once: the scope waits for them.
        let spinners = spinners.inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
        pin::avoid(cores, &CheckedHost::read(&Root::host(), None).allowed);
        let start = Instant::now();
        while !spinners.iter().all(|spinner| spinner.is_finished()) {
            progress((start.elapsed().as_secs_f64() / duration.as_secs_f64()).min(1.0));
            thread::sleep(PROGRESS);
        }
        let join = |one: thread::ScopedJoinHandle<'_, _>| one.join().expect("it does not panic");
        spinners.into_iter().map(join).collect()
    })
}

fn spin(cpu: usize, duration: Duration, stop: &AtomicBool) -> Result<CoreJitter, NotHad> {
    pin(cpu)?;
    let root = Root::host();
    let before = Counters::read(&root, cpu);
    let mut spinner = Spinner::new(cpu, &root);
    spinner.run(duration, stop);
    let mut core = spinner.core;
    core.counted = Counters::read(&root, cpu).since(&before);
    Ok(core)
}

struct Spinner<'a> {
    core: CoreJitter,
    root: &'a Root,
    /// As the counters stood at the last look.
    seen: Counters,
    looked: Duration,
}

impl<'a> Spinner<'a> {
    fn new(cpu: usize, root: &'a Root) -> Self {
        let gaps = Histogram::new_with_bounds(GAP_NS_MIN, GAP_NS_MAX, 3);
        let core = CoreJitter {
            cpu,
            watched_ns: 0,
            reading_ns: u64::MAX,
            gaps: gaps.expect("the bounds are valid"),
            lost_ns: 0,
            causes: BTreeMap::new(),
            counted: Vec::new(),
        };
        Self { core, root, seen: Counters::read(root, cpu), looked: Duration::ZERO }
    }

    fn run(&mut self, duration: Duration, stop: &AtomicBool) {
        let start = Instant::now();
        let mut last = start;
        while last - start < duration && !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            let gap_ns = (now - last).as_nanos() as u64;
            last = now;
            if gap_ns < GAP_NS_MIN {
                self.core.reading_ns = self.core.reading_ns.min(gap_ns);
                continue;
            }
            self.core.gaps.saturating_record(gap_ns);
            self.core.lost_ns += gap_ns;
            // Looking takes longer than most gaps: a tenth of the time is enough for it.
            if gap_ns >= LOOK_NS_MIN && self.looked * 10 <= now - start {
                self.look(gap_ns);
                last = Instant::now();
                self.looked += last - now;
            }
        }
        self.core.watched_ns = (start.elapsed() - self.looked).as_nanos() as u64;
    }

    #[cold]
    fn look(&mut self, gap_ns: u64) {
        let now = Counters::read(self.root, self.core.cpu);
        let cause = cause::guess(gap_ns, &now.since(&self.seen));
        self.core.causes.entry(cause).or_default().add(gap_ns);
        self.seen = now;
    }
}

/// Shorter gaps cannot be distinguished from cache misses and slow clock reads.
pub const GAP_NS_MIN: u64 = 1_000;
/// Gaps from here on are worth a look at the counters.
pub const LOOK_NS_MIN: u64 = 10_000;
/// A minute; longer gaps count as that.
const GAP_NS_MAX: u64 = 60_000_000_000;
const PROGRESS: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    fn one_cpu() -> Cpus {
        CheckedHost::read(&Root::host(), None).allowed.iter().take(1).collect()
    }

    #[test]
    fn a_stop_returns_what_was_measured() {
        let stop = AtomicBool::new(true);
        let day = Duration::from_secs(86_400);
        let cores = measure(&one_cpu(), day, &stop, |_| {}).expect("the CPU is allowed");
        assert_eq!(cores.len(), 1);
        assert_eq!(cores[0].gaps.len(), 0);
    }

    #[test]
    fn gaps_add_up() {
        let stop = AtomicBool::new(false);
        let short = Duration::from_millis(50);
        let cores = measure(&one_cpu(), short, &stop, |_| {}).expect("the CPU is allowed");
        let core = &cores[0];
        assert!(core.lost_ns <= core.watched_ns, "{core:?}");
        assert!(core.reading_ns < GAP_NS_MIN);
        let looked: u64 = core.causes.values().map(|share| share.count).sum();
        assert!(looked <= core.gaps.len());
    }

    #[test]
    fn a_cpu_that_is_not_there_is_named() {
        let cores = Cpus::from_iter([8000]);
        let refused = measure(&cores, Duration::ZERO, &AtomicBool::new(false), |_| {});
        assert!(refused.expect_err("no host has it").to_string().contains("CPU 8000"));
    }
}
