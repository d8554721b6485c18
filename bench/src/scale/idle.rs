//! Idle cores: what a turn costs that finds nothing, and what `adaptive` costs over `spin`.

use std::hint::{black_box, spin_loop};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context, Result};
use potoroo::Config;
use potoroo::control::config::LANE_BYTES_MIN;
use potoroo::flow::{Core, CoreConfig, PartitionMap, SharedCounts as Counters};
use potoroo_runtime::{Nanos, Poller, Waker, mesh};

use super::axis::Point;
use crate::engine::growth;
use crate::engine::window::MeasuredWindow;
use crate::place::{Gate, Place};
use crate::recorder::Recorder;
use crate::stamp;
use crate::take::Take;

/// Cores of the mesh in which one of them is idle.
pub const CORES: [Point; 3] = [("2", 2), ("8", 8), ("64", 64)];

/// Nanoseconds of a turn of one core among `cores` that finds nothing, the clock read included.
///
/// # Errors
/// The system gives no further thread.
pub fn turn_ns(place: Place, slice: Duration, cores: u64) -> Result<f64> {
    place.alone(|gate| {
        let mut core = idle_core(cores as usize)?;
        let slice_ns = slice.as_nanos() as u64;
        let sprint = gate.enter();
        let start = stamp::now();
        let (mut now, mut turns) = (start, 0_u64);
        while now - start < slice_ns {
            black_box(core.turn(Nanos(now), |_| {}));
            turns += 1;
            now = stamp::now();
        }
        drop(sprint);
        Ok((now - start) as f64 / turns as f64)
    })
}

/// Among others whose lanes stay empty.
fn idle_core(cores: usize) -> Result<Core> {
    let plan = growth::application(1).plan()?;
    let lanes = mesh(cores, plan.levels() + 1, LANE_BYTES_MIN);
    let Config { partitions, inlet_bytes, outlet_bytes, .. } = Config::default();
    let owners: Vec<u16> = (0..cores as u16).collect();
    let config = CoreConfig {
        core: 0,
        lanes: lanes.into_iter().next().context("one core")?,
        map: PartitionMap::spread(partitions as u32, &owners),
        sink_owners: Vec::new(),
        inlet_bytes,
        outlet_bytes,
        local_bytes: LANE_BYTES_MIN,
        keep_letters: false,
        readers: Vec::new(),
        tally: Arc::new(Counters::new(&plan)),
    };
    Ok(Core::new(plan, config))
}

/// How long a parked core takes from the waking call of a sibling to its first step: once per
/// millisecond, so that its CPU has gone to sleep.
///
/// # Errors
/// The system gives no further thread, or the kernel no poller.
pub fn wake_ups(place: Place, slice: Duration) -> Result<MeasuredWindow> {
    let (asleep, rung_ns) = (AtomicBool::new(false), AtomicU64::new(0));
    let (to_ringer, from_sleeper) = channel::<Waker>();
    let count = (slice.as_micros() as u64 / WAKE_EVERY_US).max(1);
    let (asleep, rung_ns) = (&asleep, &rung_ns);
    let ring = move |gate: &Gate| {
        let waker = from_sleeper.recv();
        let sprint = gate.enter();
        for _ in 0..waker.as_ref().map_or(0, |_| count) {
            let start = stamp::now();
            while stamp::now() - start < WAKE_EVERY_US * 1000 || !asleep.load(Ordering::Acquire) {
                spin_loop();
            }
            asleep.store(false, Ordering::Relaxed);
            rung_ns.store(stamp::now(), Ordering::Release);
            waker.iter().for_each(Waker::wake_if_parked);
        }
        drop(sprint);
    };
    let sleep = move |gate: &Gate| {
        let poller = Poller::new();
        // Without a poller the sender is dropped, and the other side rings no waker.
        let sent = poller.map(|poller| to_ringer.send(poller.waker()).map(|()| poller));
        drop(to_ringer);
        let sprint = gate.enter();
        let mut recorder = Recorder::new();
        let mut poller = sent?.context("the other side waits for it")?;
        for _ in 0..count {
            poller.prepare_park();
            asleep.store(true, Ordering::Release);
            while rung_ns.load(Ordering::Acquire) == 0 {
                poller.park(PARK_MAX);
            }
            let woken_ns = stamp::now();
            recorder.record(woken_ns.saturating_sub(rung_ns.swap(0, Ordering::AcqRel)));
            poller.poll(&mut Vec::new());
        }
        drop(sprint);
        Ok(recorder)
    };
    let begun = stamp::now();
    let recorder: Result<Recorder> = place.pair(ring, sleep)?.1;
    let (recorder, nanos, mut latency) = (recorder?, stamp::now() - begun, Take::default());
    latency.push(begun, nanos, &recorder, &recorder);
    Ok(MeasuredWindow { latency, events: recorder.count(), nanos })
}

/// Only bounds what a lost wake-up would cost: none is lost.
const PARK_MAX: Duration = Duration::from_millis(10);
/// Longer than an adaptive core spins.
const WAKE_EVERY_US: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_turn_ends_on_any_number_of_cores() {
        for (_, cores) in CORES {
            let nanos = turn_ns(Place::toy(), Duration::from_millis(1), cores).unwrap();
            assert!(nanos > 0.0 && nanos.is_finite(), "{nanos}");
        }
    }

    #[test]
    fn a_parked_thread_is_woken() {
        let window = wake_ups(Place::toy(), Duration::from_millis(3)).unwrap();
        assert_eq!((window.events, window.latency.count()), (3, 3));
    }
}
