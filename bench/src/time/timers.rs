//! Timers: a row each, spread over a minute, set in another order than that of their rows.
//!
//! ```text
//!   rows: each key once, at time 0 │ set: each key once, still at 0 │ ticks: a millisecond each
//! ```
//!
//! Time passes from tick to tick: the next one comes when all that was due has fired. The clock of
//! the core is the bench's own, so the pace of the ticks is that of the core.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Result, ensure};
use potoroo::prelude::*;

use super::applications::ChecksumCodec;
use super::driver::CoreDriver;
use super::input::{SECOND_NS, generate, time};
use crate::engine::growth::resident_bytes;
use crate::engine::load::{Item, ItemCodec, Tally, scatter};
use crate::place::Gate;
use crate::progress::Progress;
use crate::report::{Goal, Report};
use crate::rounds::{Contender, alternate};
use crate::stamp;

/// Bytes of a timer beside its row. Comes first in a process, before freed memory is used again.
///
/// # Errors
/// Not every timer fired, or the memory of the process cannot be read.
pub fn memory(report: &mut Report) -> Result<()> {
    let (keys, of) = rows(report);
    let _progress = Progress::new(&format!("memory of {keys} timers"), 1);
    let lap = report.place().alone(|gate| run(gate, keys, true))?;
    report.goal(format!("{of}_bytes"), lap.set_bytes, 0.0, Goal::AtMost(24.0));
    report.figure(format!("{of}_row_bytes"), lap.row_bytes, 0.0);
    Ok(())
}

/// Measures rows with timers and without.
///
/// # Errors
/// The run was asked to end.
pub fn bench(report: &mut Report) -> Result<()> {
    let (place, (keys, of)) = (report.place(), rows(report));
    let contender =
        |name, sets| Contender::new(name, move || place.alone(|gate| run(gate, keys, sets)));
    let contenders = vec![contender("timers", true), contender("update", false)];
    let series = alternate(report, &format!("timers of {keys} rows"), contenders)?;
    let raw = series.raw_rtt_ns(&["timers", "update"]);
    let fire_ns = series.median("timers", |lap| lap.fire_ns);
    report.goal(format!("{of}_fire_ns"), fire_ns, raw, Goal::AtMost(100.0));
    let ratio = series.ratio("timers", "update", |lap| lap.set_ns);
    report.goal(format!("{of}_set_over_update"), ratio, raw, Goal::AtMost(1.5));
    let [set_ns, update_ns] =
        ["timers", "update"].map(|name| series.median(name, |lap| lap.set_ns).median());
    report.figure(format!("{of}_set_ns"), set_ns - update_ns, raw);
    Ok(())
}

/// How many rows there are, and how figures of that begin: ten million, fewer at smaller scales.
fn rows(report: &Report) -> (u64, &'static str) {
    match report.scale().keys_max {
        10_000_000.. => (10_000_000, "timers_10m"),
        keys => (keys, "timers_1m"),
    }
}

/// What one pass took, per key.
struct TimersLap {
    /// Growth of the process by the rows, and by the timers of all of them.
    row_bytes: f64,
    set_bytes: f64,
    /// Nanoseconds of an event that sets a timer, or only updates its row.
    set_ns: f64,
    /// Nanoseconds from one firing to the next.
    fire_ns: f64,
}

fn run(gate: &Gate, keys: u64, sets: bool) -> Result<TimersLap> {
    let made = Arc::new(AtomicU64::new(0));
    let mut pass = Pass {
        driver: CoreDriver::new(application(keys, sets, &made), EVENTS_PER_SECOND)?,
        made,
        now_ns: stamp::now(),
    };
    let before = resident_bytes()?;
    pass.take(gate, Pass::input, |pass| pass.made() >= keys);
    let with_rows = resident_bytes()?;
    let set_ns = pass.take(gate, Pass::input, |pass| pass.made() >= 2 * keys);
    let with_timers = resident_bytes()?;
    let due = if sets { keys } else { 0 };
    let fire_ns = pass.take(gate, Pass::tick, |pass| pass.driver.outputs() >= due);
    let sum = (0..due).map(scatter).fold(0, u64::wrapping_add);
    ensure!(pass.driver.sum() == sum, "not every timer fired once");
    let each = |all: u64| all as f64 / keys as f64;
    Ok(TimersLap {
        row_bytes: each(with_rows.saturating_sub(before)),
        set_bytes: each(with_timers.saturating_sub(with_rows)),
        set_ns: each(set_ns),
        fire_ns: each(fire_ns),
    })
}

/// A core under way through the events.
struct Pass {
    driver: CoreDriver,
    made: Arc<AtomicU64>,
    now_ns: u64,
}

impl Pass {
    /// Takes steps until it is done. Returns the nanoseconds that they took.
    fn take(
        &mut self,
        gate: &Gate,
        step: impl Fn(&mut Self),
        is_done: impl Fn(&Self) -> bool,
    ) -> u64 {
        let mut nanos = 0;
        while !is_done(self) {
            let sprint = gate.enter();
            let begun = stamp::now();
            let mut now = begun;
            while now - begun < SPRINT_NS && !is_done(self) {
                step(self);
                now = stamp::now();
            }
            drop(sprint);
            nanos += now - begun;
            thread::sleep(Duration::from_nanos(SPRINT_NS / 2));
        }
        nanos
    }

    /// A turn with as many events as it takes.
    fn input(&mut self) {
        self.now_ns += TURN_EVENTS * EVENT_NS;
        self.driver.turn(self.now_ns);
    }

    /// A turn in which one more tick comes if nothing is left to do.
    fn tick(&mut self) {
        if self.driver.turn(self.now_ns) == 0 {
            self.now_ns += EVENT_NS;
        }
    }

    fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }
}

fn application(keys: u64, sets: bool, made: &Arc<AtomicU64>) -> Application {
    let app = Application::new("timers");
    generate(&app, made, move |index| event(keys, index));
    let tallies = app.table::<u64, Tally>("tallies").timers();
    app.source("load", ItemCodec)
        .event_time(|item| time(&item), IN_ORDER)
        .key_by(|item| item.key)
        .update_row(&tallies, move |tally, item| {
            tally.update(item.value, item.intended_ns);
            if sets && item.rest[0] == SET {
                tally.set_timer(EventTime::from_nanos(item.value.cast_signed()));
            }
        });
    tallies.on_timer(|tally| *tally.key()).sink("out", ChecksumCodec);
    app
}

/// The event with this index.
fn event(keys: u64, index: u64) -> Item {
    let of = |key, value, intended_ns, kind| Item { key, value, intended_ns, rest: [kind; 5] };
    match index / keys {
        0 => of(scatter(index), 0, 0, ROW),
        1 => {
            let key = scatter((index - keys) * STRIDE % keys);
            of(key, SECOND_NS + key % (60 * SECOND_NS), 0, SET)
        }
        _ => of(scatter(0), 0, SECOND_NS + (index - 2 * keys) * TICK_NS, TICK),
    }
}

const ROW: u64 = 0;
const SET: u64 = 1;
const TICK: u64 = 2;
/// From one tick to the next.
const TICK_NS: u64 = 1_000_000;
/// Prime, so that all keys of any power of ten come once, in another order than that of their rows.
const STRIDE: u64 = 7_368_787;
/// On the clock of the bench.
const EVENT_NS: u64 = 1_000;
const EVENTS_PER_SECOND: u64 = SECOND_NS / EVENT_NS;
/// Most events of a turn.
const TURN_EVENTS: u64 = 128;
/// The kernel throttles real-time threads that take more than 0.95 s out of one second.
const SPRINT_NS: u64 = 400_000_000;
