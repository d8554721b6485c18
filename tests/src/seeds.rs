//! Seeds: which ones a test runs, and how a failure is repeated.
//!
//! `POTOROO_SEEDS=N` runs N times as many seeds; `POTOROO_SEED=S` runs that one alone.

use std::ops::Range;

use potoroo_sdk::random::Random;

/// Runs `check` with each seed of a test that by default takes those below `count`.
///
/// A panic inside is followed by the command that repeats it.
pub fn each_seed(test: &str, count: u64, mut check: impl FnMut(u64)) {
    for seed in seeds(count) {
        let alarm = Alarm { test, seed };
        check(seed);
        drop(alarm);
    }
}

fn seeds(count: u64) -> Range<u64> {
    if let Some(seed) = number("POTOROO_SEED") {
        return seed..seed + 1;
    }
    0..count * number("POTOROO_SEEDS").unwrap_or(1)
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`: give a whole number")))
}

/// Says what to do when it is dropped by a panic.
struct Alarm<'a> {
    test: &'a str,
    seed: u64,
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { test, seed } = self;
            eprintln!("repeat with: POTOROO_SEED={seed} cargo test -p potoroo-tests {test}");
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
}

/// The random numbers of `concern` under `seed`.
pub fn random(seed: u64, concern: Concern) -> Random {
    Random::new(mix(seed, 1 + concern as u64))
}

/// A number that depends on every bit of both.
pub fn mix(a: u64, b: u64) -> u64 {
    Random::new(a ^ Random::new(b).u64().rotate_left(17)).u64()
}
