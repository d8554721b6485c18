//! Closing: a window of each of a million keys closes at one watermark, while events flow.
//!
//! ```text
//!   each key at 0 s │ each key at 1 s: what was open closes │ lead, of that second │ load at 2 s …
//!                                                                  before          closing
//! ```
//!
//! At full speed each turn does the same in each round, so the n-th turn counts with its median
//! over the rounds: what the operating system takes falls on other turns each time. At a rate an
//! event has a latency: from when it was due until the end of the turn that took it in.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};
use potoroo::prelude::*;

use super::applications::ChecksumCodec;
use super::driver::CoreDriver;
use super::input::{SECOND_NS, generate, time};
use crate::engine::growth::{longest_turns, turns_of_engine};
use crate::engine::load::{Item, ItemCodec, Tally, checksum, scatter};
use crate::place::Gate;
use crate::recorder::Recorder;
use crate::report::{Goal, Report};
use crate::rounds::{Contender, alternate};
use crate::stamp;

/// Measures closings at full speed and at a rate: a million, fewer at toy size.
///
/// # Errors
/// The run was asked to end.
pub fn bench(report: &mut Report) -> Result<()> {
    let (place, keys) = (report.place(), report.scale().keys_max.min(1_000_000));
    let turns = RefCell::new(Vec::new());
    let full = || {
        let (lap, lengths) = place.alone(|gate| full_speed(gate, keys))?;
        turns.borrow_mut().push(lengths);
        Ok(lap)
    };
    let paced = move || place.alone(|gate| paced(gate, keys));
    let contenders = vec![Contender::new("full", full), Contender::new("paced", paced)];
    let series = alternate(report, &format!("closing of {keys} windows"), contenders)?;
    let turns = turns.take();
    let lengths: Vec<&[u32]> = turns.iter().map(|lengths| &lengths[..]).collect();
    let own = turns_of_engine(&lengths);
    let longest = own.iter().copied().max().unwrap_or(0);
    report.detail("closing_longest_turns", longest_turns(&own));
    let [raw, raw_paced] = ["full", "paced"].map(|name| series.raw_rtt_ns(&[name]));
    let longest_us = f64::from(longest) / 1e3;
    report.goal("close_1m_slice_own_max_us", longest_us, raw, Goal::AtMost(20.0));
    let ms = series.median("full", |lap| lap.nanos as f64 / 1e6);
    report.goal("close_1m_ms", ms, raw, Goal::AtMost(200.0));
    let ratio = series.median("paced", |lap| lap.closing_p99_ns / lap.before_p99_ns);
    report.goal("event_p99_while_closing", ratio, raw_paced, Goal::AtMost(1.3));
    let ms = series.median("paced", |lap| lap.nanos as f64 / 1e6);
    report.figure("close_1m_paced_ms", ms, raw_paced);
    let [before, closing]: [fn(&ClosingLap) -> f64; 2] =
        [|lap| lap.before_p99_ns, |lap| lap.closing_p99_ns];
    report.figure("event_p99_ns_before", series.median("paced", before), raw_paced);
    report.figure("event_p99_ns_closing", series.median("paced", closing), raw_paced);
    Ok(())
}

/// What one closing of all windows took.
struct ClosingLap {
    /// From the event that moves time until the last window is out.
    nanos: u64,
    /// Latencies at a rate.
    before_p99_ns: f64,
    closing_p99_ns: f64,
}

/// Returns the lengths of all turns, too, from the lead on.
fn full_speed(gate: &Gate, keys: u64) -> Result<(ClosingLap, Vec<u32>)> {
    let mut closing = Closing::new(keys, 0)?;
    closing.prepare()?;
    // Written once, so that its own page faults do not fall into turns.
    let mut turns = vec![u32::MAX; (keys + LEAD) as usize];
    turns.clear();
    let sprint = gate.enter();
    let (mut moved_ns, mut now) = (None, stamp::now());
    while !closing.is_done() {
        closing.driver.turn(now);
        let after = stamp::now();
        turns.push((after - now) as u32);
        if closing.made() > closing.moves_time() {
            moved_ns.get_or_insert(now);
        }
        now = after;
    }
    drop(sprint);
    let nanos = now - moved_ns.unwrap_or(now);
    closing.verify()?;
    Ok((ClosingLap { nanos, before_p99_ns: f64::NAN, closing_p99_ns: f64::NAN }, turns))
}

fn paced(gate: &Gate, keys: u64) -> Result<ClosingLap> {
    let mut closing = Closing::new(keys, RATE)?;
    let start_ns = closing.now_ns;
    let prepared_ns = closing.prepare()?;
    let [mut before, mut during] = [Recorder::new(), Recorder::new()];
    let sprint = gate.enter();
    // From here on the clock of the core goes with the real one.
    let ahead_ns = prepared_ns - stamp::now();
    let due_ns = |event| start_ns + event * EVENT_NS;
    let mut now = prepared_ns;
    while !closing.is_done() {
        let first = closing.made();
        closing.driver.turn(now);
        now = stamp::settled() + ahead_ns;
        for event in first..closing.made() {
            let recorder = if event < closing.moves_time() { &mut before } else { &mut during };
            recorder.record(now.saturating_sub(due_ns(event)));
        }
    }
    drop(sprint);
    let nanos = now - due_ns(closing.moves_time());
    closing.verify()?;
    let [before_p99_ns, closing_p99_ns] = [before, during].map(|of| of.quantile(0.99));
    Ok(ClosingLap { nanos, before_p99_ns, closing_p99_ns })
}

/// A core on its way to the closing.
struct Closing {
    driver: CoreDriver,
    keys: u64,
    made: Arc<AtomicU64>,
    now_ns: u64,
}

impl Closing {
    fn new(keys: u64, rate: u64) -> Result<Self> {
        let made = Arc::new(AtomicU64::new(0));
        let driver = CoreDriver::new(application(keys, &made), rate)?;
        Ok(Self { driver, keys, made, now_ns: stamp::now() })
    }

    /// Opens a window of each key, on a clock that goes as fast as the core. Returns its time.
    fn prepare(&mut self) -> Result<u64> {
        while self.made() < 2 * self.keys {
            self.driver.turn(self.now_ns);
            self.now_ns += TURN_EVENTS * EVENT_NS;
        }
        // Nothing comes while the clock stands, but at full speed.
        let outputs = self.driver.outputs();
        ensure!(outputs == self.keys, "{outputs} of {} windows have closed", self.keys);
        Ok(self.now_ns)
    }

    fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// The index of the event by whose time all windows are due.
    fn moves_time(&self) -> u64 {
        2 * self.keys + LEAD
    }

    fn is_done(&self) -> bool {
        self.driver.outputs() >= 2 * self.keys
    }

    fn verify(&self) -> Result<()> {
        let closed = (0..self.moves_time()).map(|index| event(self.keys, index));
        let sums = closed.map(|item| checksum(item.key, 1, item.value));
        let is_right = self.driver.sum() == sums.fold(0, u64::wrapping_add);
        ensure!(is_right, "the windows do not add up to the events made");
        Ok(())
    }
}

fn application(keys: u64, made: &Arc<AtomicU64>) -> Application {
    let app = Application::new("closing");
    generate(&app, made, move |index| event(keys, index));
    let windows = app.windows::<u64, Tally>("tallies", tumbling(seconds(1)));
    app.source("load", ItemCodec)
        .event_time(|item| time(&item), IN_ORDER)
        .key_by(|item| item.key)
        .window(&windows, |tally, item| tally.update(item.value, item.intended_ns));
    windows.closed(|tally, window| tally.checksum(*window.key())).sink("out", ChecksumCodec);
    app
}

/// The event with this index: the load has all keys, in any order.
#[inline]
fn event(keys: u64, index: u64) -> Item {
    let of = |key, time_ns| Item { key, value: index, intended_ns: time_ns, rest: [0; 5] };
    let Some(load) = index.checked_sub(2 * keys) else {
        return of(scatter(index % keys), index / keys * SECOND_NS);
    };
    let key = scatter(((scatter(load) >> 32) * keys) >> 32);
    match load.checked_sub(LEAD) {
        None => of(key, SECOND_NS + load),
        Some(load) => of(key, 2 * SECOND_NS + load),
    }
}

/// Events per second of the open loop.
const RATE: u64 = SECOND_NS / EVENT_NS;
const EVENT_NS: u64 = 5_000;
/// Events before the one that moves time: a tenth of a second at the rate.
const LEAD: u64 = 20_000;
/// Most events of a turn.
const TURN_EVENTS: u64 = 128;
