//! Delay of firings: from the input that moves time on one core until the timer of a key that
//! another core owns, and that gets no event, has fired.
//!
//! ```text
//!   left core:  generator ── event_time ── filter: only the first passes ── key_by
//!   right core: on_timer, which sets the timer to the next millisecond of event time
//! ```
//!
//! The engine's own threads are used as they are. Each side notes its moments in memory of its own,
//! so nothing that is measured waits for a cache line of the bench.

use std::num::NonZeroU64;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use potoroo::connect::address::GeneratorAddress;
use potoroo::prelude::*;
use potoroo::{Config, SinkAddress, SourceAddress};
use potoroo_runtime::Idle;

use super::applications::ChecksumCodec;
use super::input::time;
use crate::engine::load::{Item, ItemCodec};
use crate::place::{Chase, Place};
use crate::recorder::Recorder;
use crate::report::{Goal, Report};
use crate::rounds::{Contender, alternate};
use crate::stamp;

/// Measures it with two cores that spin.
///
/// # Errors
/// The run was asked to end.
pub fn bench(report: &mut Report) -> Result<()> {
    let (place, slice) = (report.place(), report.scale().slice);
    let contenders = vec![Contender::new("delay", move || run(place, slice))];
    let series = alternate(report, "delay of firings", contenders)?;
    let raw = series.raw_rtt_ns(&["delay"]);
    let us = |fraction| series.median("delay", move |lap| lap.quantile(fraction) / 1e3);
    report.goal("fire_delay_us", us(0.5), raw, Goal::AtMost(2.0));
    report.figure("fire_delay_p99_us", us(0.99), raw);
    Ok(())
}

fn run(place: Place, slice: Duration) -> Result<Recorder> {
    let moments = Arc::new(Moments::new(slice));
    let of_engine = Arc::clone(&moments);
    let rate = NonZeroU64::new(RATE);
    let load = GeneratorAddress { rate, ..GeneratorAddress::new("load") };
    let config = Config {
        cores: vec![place.left, place.right],
        state_cores: Some(vec![place.right]),
        idle: Idle::Spin,
        progress: false,
        ..Config::default()
    };
    let config = config.source("load", SourceAddress::Generator(load));
    let config = config.sink("out", SinkAddress::Null);
    let running = potoroo::run(move || application(&of_engine), config)?;
    let chase = Chase::start(place, process::id())?;
    let begun = stamp::now();
    thread::sleep(slice);
    let ended = stamp::now();
    drop(chase);
    moments.is_over.store(1, Ordering::Relaxed);
    running.wait().context("the engine failed")?;
    moments.delays(begun..ended)
}

/// When events were made, and when the timers fired that were due by them; 0 for not yet.
struct Moments {
    made: Vec<AtomicU64>,
    fired: Vec<AtomicU64>,
    is_over: AtomicU64,
}

impl Moments {
    fn new(slice: Duration) -> Self {
        let events = (slice.as_secs_f64() * 2.0 * RATE as f64) as usize + RATE as usize;
        let none = || (0..events).map(|_| AtomicU64::new(0)).collect();
        Self { made: none(), fired: none(), is_over: AtomicU64::new(0) }
    }

    fn make(&self, index: u64) -> Option<Item> {
        let made = self.made.get(index as usize)?;
        if self.is_over.load(Ordering::Relaxed) > 0 {
            return None;
        }
        made.store(stamp::now(), Ordering::Relaxed);
        let intended_ns = index * STEP_NS;
        Some(Item { key: 0, value: index, intended_ns, rest: [0; 5] })
    }

    /// Timers are due right before their events.
    fn fire(&self, due: EventTime) {
        let index = (due.nanos() + 1).cast_unsigned() / STEP_NS;
        // When the input ends one more fires, and its event may never be made.
        if let Some(fired) = self.fired.get(index as usize) {
            fired.store(stamp::settled(), Ordering::Relaxed);
        }
    }

    fn delays(&self, of: std::ops::Range<u64>) -> Result<Recorder> {
        let mut recorder = Recorder::new();
        for (made, fired) in self.made.iter().zip(&self.fired).skip(1) {
            let [made, fired] = [made, fired].map(|it| it.load(Ordering::Relaxed));
            ensure!(made == 0 || fired >= made, "a timer fired before it was due, or not at all");
            if of.contains(&made) {
                recorder.record(fired - made);
            }
        }
        Ok(recorder)
    }
}

fn application(moments: &Arc<Moments>) -> Application {
    let app = Application::new("fire-delay");
    let (making, firing) = (Arc::clone(moments), Arc::clone(moments));
    app.generator("load", move |_| {
        let making = Arc::clone(&making);
        move |index| making.make(index)
    });
    let rows = app.table::<u64, u64>("rows").timers();
    app.source("load", ItemCodec)
        .event_time(|item| time(&item), IN_ORDER)
        .filter(|item| item.value == 0)
        .key_by(|item| item.key)
        .update_row(&rows, |row, _| row.set_timer(EventTime::from_nanos(FIRST_NS)));
    rows.on_timer(move |row| {
        firing.fire(row.time());
        row.set_timer_in(Duration::from_nanos(STEP_NS));
        None::<u64>
    })
    .sink("out", ChecksumCodec);
    app
}

/// Events per second: far enough apart that both cores wait in between.
const RATE: u64 = 5_000;
/// Event time from one event to the next.
const STEP_NS: u64 = 1_000_000;
/// The watermark of the second event.
const FIRST_NS: i64 = STEP_NS as i64 - 1;
