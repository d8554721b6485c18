//! What a clock reading and a system call cost, and what the system takes from a spinning loop.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use potoroo_runtime::gaps::GAP_NS;
use rustix::process::getppid;

use super::readings::Readings;
use crate::place::{Gate, Place};
use crate::stamp;

/// Readings of two clocks, and the smallest step of the first one.
///
/// # Errors
/// A clock went backwards or stood still.
pub fn clock(place: Place, slice: Duration) -> Result<Readings> {
    place.alone(|gate| {
        let _sprint = gate.enter();
        let clock_ns = cost(slice / 3, || black_box(stamp::now()));
        let clock_std_ns = cost(slice / 3, || black_box(Instant::now()));
        let step_ns = step(slice / 3)?;
        Ok(vec![
            ("clock_ns", clock_ns),
            ("clock_std_ns", clock_std_ns),
            ("clock_step_ns", step_ns as f64),
        ])
    })
}

/// The cheapest call that enters the kernel.
///
/// # Errors
/// The parent of this process changed meanwhile: the call did not do its work.
pub fn syscall(place: Place, slice: Duration) -> Result<Readings> {
    place.alone(|gate| {
        let parent = getppid();
        let mut same = true;
        let _sprint = gate.enter();
        let syscall_ns = cost(slice, || same &= getppid() == parent);
        ensure!(same, "the parent of this process changed");
        Ok(vec![("syscall_ns", syscall_ns)])
    })
}

/// Nanoseconds per call, without the clock readings in between.
fn cost<T>(slice: Duration, mut call: impl FnMut() -> T) -> f64 {
    let (start, mut calls) = (stamp::now(), 0u64);
    loop {
        for _ in 0..CALLS_PER_LOOK {
            call();
        }
        calls += CALLS_PER_LOOK;
        let nanos = stamp::now() - start;
        if nanos >= slice.as_nanos() as u64 {
            return nanos as f64 / calls as f64;
        }
    }
}

fn step(slice: Duration) -> Result<u64> {
    let start = stamp::now();
    let (mut before, mut smallest) = (start, u64::MAX);
    while before - start < slice.as_nanos() as u64 {
        let after = stamp::now();
        ensure!(after >= before, "the clock went backwards");
        if after > before {
            smallest = smallest.min(after - before);
        }
        before = after;
    }
    ensure!(smallest < u64::MAX, "the clock stood still");
    Ok(smallest)
}

/// Two loops that read the clock and do nothing else: where they stand still, another thread runs.
///
/// # Errors
/// A loop did not run at all.
pub fn jitter(place: Place, slice: Duration) -> Result<Readings> {
    let (left, right) = place.pair(|gate| spin(gate, slice), |gate| spin(gate, slice))?;
    ensure!(left.readings > 0 && right.readings > 0, "a loop did not run");
    let seconds = (left.nanos + right.nanos) as f64 / 1e9;
    let lost_ns = (left.lost_ns + right.lost_ns) as f64;
    Ok(vec![
        ("gap_worst_us", left.worst_ns.max(right.worst_ns) as f64 / 1e3),
        ("gaps_over_25us_per_second", (left.gaps + right.gaps) as f64 / seconds),
        ("gaps_lost_per_mille", lost_ns / (seconds * 1e6)),
    ])
}

#[derive(Default)]
struct Spin {
    readings: u64,
    nanos: u64,
    worst_ns: u64,
    gaps: u64,
    lost_ns: u64,
}

fn spin(gate: &Gate, slice: Duration) -> Spin {
    let mut spin = Spin::default();
    let _sprint = gate.enter();
    let start = stamp::now();
    let mut before = start;
    while before - start < slice.as_nanos() as u64 {
        let after = stamp::now();
        let gap_ns = after - before;
        spin.worst_ns = spin.worst_ns.max(gap_ns);
        if gap_ns > GAP_NS {
            spin.gaps += 1;
            spin.lost_ns += gap_ns;
        }
        spin.readings += 1;
        before = after;
    }
    spin.nanos = before - start;
    spin
}

/// One look at the clock per thousand calls is nothing beside them.
const CALLS_PER_LOOK: u64 = 1000;
