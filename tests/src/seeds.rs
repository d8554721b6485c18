//! Seeds: which ones a test runs, and how a failure is repeated.
//!
//! `POTOROO_SEEDS=N` runs N times as many seeds; `POTOROO_SEED=S` runs that one alone, and
//! `POTOROO_SEED=A..B` those from A to before B.

use std::cell::RefCell;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use potoroo_sdk::random::Random;

/// Runs `check` with each seed of a test that by default takes those below `count`.
///
/// A panic inside is followed by the command that repeats it; so is a turn that does not end.
pub fn each_seed(test: &str, count: u64, mut check: impl FnMut(u64)) {
    for seed in seeds(count) {
        let alarm = Alarm { test, seed };
        let watch = Watch::start(repeat(test, seed));
        check(seed);
        drop((alarm, watch));
    }
}

/// Runs one turn of a simulated core. One that never ends would hang the test on the one thread
/// that there is: under [`each_seed`] it ends the process instead, with the seed.
pub fn in_turn<T>(turn: impl FnOnce() -> T) -> T {
    step();
    let done = turn();
    step();
    done
}

fn step() {
    STEPS.with_borrow(|steps| {
        if let Some(steps) = steps {
            steps.fetch_add(1, Ordering::Relaxed);
        }
    });
}

thread_local! {
    /// Beginnings and ends of turns on this thread: odd while one runs.
    static STEPS: RefCell<Option<Arc<AtomicU64>>> = const { RefCell::new(None) };
}

/// No turn takes so long that ends, even on a busy machine; `POTOROO_TURN_MS` is for the test of
/// the alarm itself.
const TURN_MS_MAX: u64 = 60_000;

/// Looks from another thread whether turns end.
struct Watch {
    /// Nothing is ever sent; its end is the signal.
    _alive: Sender<()>,
}

impl Watch {
    fn start(repeat: String) -> Self {
        let steps = Arc::new(AtomicU64::new(0));
        STEPS.set(Some(steps.clone()));
        let limit = Duration::from_millis(number("POTOROO_TURN_MS").unwrap_or(TURN_MS_MAX));
        let (alive, ended) = channel::<()>();
        std::thread::spawn(move || {
            let mut seen = 0;
            while ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                let now = steps.load(Ordering::Relaxed);
                if now == seen && now % 2 == 1 {
                    // Not into the captured output of the test, which would not be printed.
                    let _ = writeln!(std::io::stderr(), "a turn takes over {limit:?}; {repeat}");
                    std::process::abort();
                }
                seen = now;
            }
        });
        Self { _alive: alive }
    }
}

fn repeat(test: &str, seed: u64) -> String {
    format!("repeat with: POTOROO_SEED={seed} cargo test -p potoroo-tests {test}")
}

fn seeds(count: u64) -> Range<u64> {
    let Ok(text) = std::env::var(SEED) else {
        return 0..count * number("POTOROO_SEEDS").unwrap_or(1);
    };
    match text.split_once("..") {
        Some((from, to)) => whole(SEED, from)..whole(SEED, to),
        None => whole(SEED, &text)..whole(SEED, &text) + 1,
    }
}

const SEED: &str = "POTOROO_SEED";

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| whole(name, &text))
}

fn whole(name: &str, text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`: give a whole number"))
}

/// Says what to do when it is dropped by a panic.
struct Alarm<'a> {
    test: &'a str,
    seed: u64,
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", repeat(self.test, self.seed));
        }
    }
}

/// What a stream of random numbers is for: a draw for one concern never shifts another's.
#[derive(Clone, Copy, Debug)]
pub enum Concern {
    /// The shape of the application.
    Topology,
    /// The input.
    Workload,
    /// Owners of partitions and sinks, sizes of buffers.
    Deployment,
    /// Which core turns next, and when.
    Schedule,
    /// How many bytes come and go, and when.
    Network,
    /// What an alarm test breaks.
    Damage,
    /// Kills, failures of storage, checkpoints.
    Trouble,
}

/// The random numbers of `concern` under `seed`.
pub fn random(seed: u64, concern: Concern) -> Random {
    Random::new(mix(seed, 1 + concern as u64))
}

/// A number that depends on every bit of both.
pub fn mix(a: u64, b: u64) -> u64 {
    Random::new(a ^ Random::new(b).u64().rotate_left(17)).u64()
}
