//! How far CPUs are from each other: the time of a cache line there and back.
//!
//! ```text
//!   one CPU   writes 1 ────────►          reads 2, writes 3 ───►
//!   another              reads 1, writes 2 ───────►              reads 3 …
//! ```

use std::hint::spin_loop;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use crate::cpus::Cpus;
use crate::pin::{self, NotHad, pin};

/// Round trips between all pairs of some CPUs.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// The CPUs, in the order of rows and columns.
    pub cpus: Vec<usize>,
    /// Nanoseconds of a round trip by row and column; `None` where nothing was measured.
    pub nanos: Vec<Vec<Option<f64>>>,
}

/// Measures all pairs of `cpus`, a few milliseconds each, until `stop` is set.
///
/// # Errors
/// One of the CPUs cannot be had, or has no thread.
pub fn measure(
    cpus: &Cpus,
    stop: &AtomicBool,
    mut progress: impl FnMut(f64),
) -> Result<Matrix, NotHad> {
    let cpus: Vec<usize> = cpus.iter().collect();
    let mut nanos = vec![vec![None; cpus.len()]; cpus.len()];
    let pairs = (cpus.len() * cpus.len().saturating_sub(1) / 2).max(1);
    let mut done = 0;
    for row in 0..cpus.len() {
        for column in row + 1..cpus.len() {
            let round_trip = pair(cpus[row], cpus[column], stop)?;
            nanos[row][column] = round_trip;
            nanos[column][row] = round_trip;
            done += 1;
            progress(f64::from(done) / pairs as f64);
        }
    }
    Ok(Matrix { cpus, nanos })
}

/// The median batch; `None` if it was stopped before.
fn pair(left: usize, right: usize, stop: &AtomicBool) -> Result<Option<f64>, NotHad> {
    let line = Line(AtomicU64::new(0));
    let start = Start { barrier: Barrier::new(2), refused: AtomicBool::new(false) };
    thread::scope(|scope| {
        let answers = pin::start(scope, right, || start.on(right, || answer(&line.0, stop)))?;
        let asks = pin::start(scope, left, || {
            let asked = start.on(left, || ask(&line.0, stop));
            line.0.store(OVER, Ordering::Release);
            asked
        });
        let asks = asks.inspect_err(|_| start.without_other())?;
        let asked = asks.join().expect("it does not panic")?;
        answers.join().expect("it does not panic")?;
        Ok(asked.flatten())
    })
}

/// Where both wait for each other, so that neither begins when one has no CPU.
struct Start {
    barrier: Barrier,
    refused: AtomicBool,
}

impl Start {
    /// Runs `side` on `cpu` when both have theirs; `None` if the other has not.
    fn on<T>(&self, cpu: usize, side: impl FnOnce() -> T) -> Result<Option<T>, NotHad> {
        let pinned = pin(cpu);
        // The barrier orders this before the load after it.
        self.refused.fetch_or(pinned.is_err(), Ordering::Relaxed);
        self.barrier.wait();
        pinned?;
        Ok((!self.refused.load(Ordering::Relaxed)).then(side))
    }

    /// Lets the one side go that waits for a thread that was not started.
    fn without_other(&self) {
        self.refused.store(true, Ordering::Relaxed);
        self.barrier.wait();
    }
}

fn ask(line: &AtomicU64, stop: &AtomicBool) -> Option<f64> {
    let mut batches = Vec::with_capacity(BATCHES);
    let mut turn = 0;
    for _ in 0..BATCHES {
        let start = Instant::now();
        for _ in 0..BATCH {
            line.store(turn + 1, Ordering::Release);
            turn += 2;
            if !wait_for(line, turn, stop) {
                return None;
            }
        }
        batches.push(start.elapsed().as_nanos() as f64 / f64::from(BATCH));
    }
    batches.sort_by(f64::total_cmp);
    Some(batches[BATCHES / 2])
}

fn answer(line: &AtomicU64, stop: &AtomicBool) {
    let mut turn = 1;
    while wait_for(line, turn, stop) {
        line.store(turn + 1, Ordering::Release);
        turn += 2;
    }
}

/// Whether the line became `value`; false when it is over.
fn wait_for(line: &AtomicU64, value: u64, stop: &AtomicBool) -> bool {
    loop {
        for _ in 0..LOOKS {
            match line.load(Ordering::Acquire) {
                now if now == value => return true,
                OVER => return false,
                _ => spin_loop(),
            }
        }
        if stop.load(Ordering::Relaxed) {
            return false;
        }
    }
}

/// Alone in its cache line, and in the one that is fetched along with it.
#[repr(align(128))]
struct Line(AtomicU64);

const OVER: u64 = u64::MAX;
const BATCHES: usize = 21;
const BATCH: u32 = 500;
/// How often the line is read before anything else is.
const LOOKS: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::CheckedHost;
    use crate::root::Root;

    #[test]
    fn a_stop_leaves_the_rest_open() {
        let allowed = CheckedHost::read(&Root::host(), None).allowed;
        let matrix = measure(&allowed, &AtomicBool::new(true), |_| {}).expect("they are allowed");
        assert_eq!(matrix.cpus.len(), allowed.len());
        for (row, nanos) in matrix.nanos.iter().enumerate() {
            assert_eq!(nanos[row], None, "nothing is away from itself");
        }
    }

    #[test]
    fn a_cpu_that_is_not_there_ends_it() {
        for pair in [[0, 8000], [8000, 8001]] {
            let cpus = pair.into_iter().collect();
            assert!(measure(&cpus, &AtomicBool::new(false), |_| {}).is_err());
        }
    }
}
