//! `time`: what events cost whose times count: windows, beside the same events in a plain table.
//!
//! One core owns everything, and the bench drives it, as the host of an engine does: nothing but
//! the work of the core is in the figures.

mod applications;
mod core_window;
mod driver;
mod input;
mod map;

use anyhow::Result;

use self::applications::Describe;
use self::core_window::CoreJob;
use self::input::Input;
use crate::engine::window::MeasuredWindow;
use crate::pairs::{Contest, Entrant, Paired, alternate, probe};
use crate::report::{Goal, Report};

/// Runs all parts.
///
/// # Errors
/// The run was asked to end, or a probe failed.
pub fn bench(report: &mut Report) -> Result<()> {
    NOTES.iter().for_each(|note| report.note(note));
    report.budget().expect(NEED);
    windows(report)
}

/// Windows over a plain table, ten thousand keys.
fn windows(report: &mut Report) -> Result<()> {
    let job = |describe: Describe, times, past| {
        let input = Input::new(KEYS, past, report.scale());
        let (place, slice) = (report.place(), report.scale().window);
        CoreJob { place, slice, input, describe, times }
    };
    let update = job(applications::update, 1, 1);
    let tumbling = job(applications::tumbling_second, 1, 1);
    let sliding = job(applications::sliding_minute, 60, 60);
    let entrants = vec![
        Entrant::of_window("update", move || core_window::run(&update)),
        Entrant::of_window("tumbling", move || core_window::run(&tumbling)),
        Entrant::of_window("sliding_60", move || core_window::run(&sliding)),
        Entrant::of_window("map", move || map::run(&tumbling)),
    ];
    let ratios = [["tumbling", "update"], ["sliding_60", "tumbling"], ["tumbling", "map"]];
    let series = compete(report, "windows, 10000 keys", &ratios, entrants)?;
    let ratio = |above, below| series.ratio(above, below, MeasuredWindow::event_ns);
    let goal = Goal::AtMost(1.3);
    report.goal("tumbling_over_update", ratio("tumbling", "update"), OF_CLASS, goal);
    let goal = Goal::AtMost(1.6);
    report.goal("sliding_60_over_tumbling", ratio("sliding_60", "tumbling"), OF_CLASS, goal);
    let throughput = series.ratio("tumbling", "map", MeasuredWindow::events_per_second);
    report.goal("tumbling_over_map", throughput, OF_CLASS, Goal::AtLeast(0.6));
    event_ns(report, &series, "");
    Ok(())
}

/// Nanoseconds per event of all contenders.
fn event_ns(report: &mut Report, series: &Paired<MeasuredWindow>, suffix: &str) {
    for name in series.names() {
        let value = series.median(name, MeasuredWindow::event_ns);
        report.figure(format!("{name}_ns{suffix}"), value, OF_CLASS);
    }
}

fn compete<T>(
    report: &mut Report,
    what: &str,
    ratios: &[[&str; 2]],
    entrants: Vec<Entrant<'_, T>>,
) -> Result<Paired<T>> {
    let (place, length) = (report.place(), report.scale().probe);
    let probe = move || probe::of_cores(place, length);
    alternate(report, &Contest { what, probe: &probe, ratios, need: NEED }, entrants)
}

/// All series need the same time.
const NEED: f64 = 1.0;
/// Figures by class have the raw round trip of their class beside them.
const OF_CLASS: f64 = 0.0;
/// Keys where no other number is named.
const KEYS: u64 = 10_000;

/// How to read the figures.
const NOTES: &[&str] = &[
    "all contenders: a million events of 64 bytes per second of event time, in order, one core",
    "update: a table without time; tumbling: windows of 1 s; sliding_60: of 60 s, one per second",
    "map: a bare hash map of (key, window), emptied once per second of event time",
];
