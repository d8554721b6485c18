//! `time`: what events cost whose times count: windows, beside the same events in a plain table.
//!
//! One core owns everything, and the bench drives it, as the host of an engine does: nothing but
//! the work of the core is in the figures. Only the delay of firings on another core is that of an
//! engine with its own threads.

mod applications;
mod closing;
mod core_window;
mod driver;
mod expected;
mod fire_delay;
mod input;
mod map;
mod timers;

use anyhow::Result;

use self::applications::DescribeTimed;
use self::core_window::CoreJob;
use self::expected::ExpectedSum;
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
    timers::memory(report)?;
    let has_million = report.scale().keys_max >= MILLION;
    let series = if has_million { 3 } else { 2 };
    (0..series).for_each(|_| report.budget().expect(NEED));
    windows(report)?;
    if has_million {
        windows_of_a_million(report)?;
    }
    joins(report)?;
    closing::bench(report)?;
    timers::bench(report)?;
    fire_delay::bench(report)
}

/// Windows over a plain table and over a bare map, ten thousand keys.
fn windows(report: &mut Report) -> Result<()> {
    let update = job(report, KEYS, 1, (applications::update, expected::once));
    let tumbling = job(report, KEYS, 1, (applications::tumbling_second, expected::once));
    let sliding = job(report, KEYS, 60, (applications::sliding_minute, expected::sixty_times));
    let entrants = vec![
        of_core("update", update),
        of_core("tumbling", tumbling),
        of_core("sliding_60", sliding),
        Entrant::of_window("map", move || map::run(&tumbling)),
    ];
    let ratios = [["tumbling", "update"], ["sliding_60", "tumbling"], ["tumbling", "map"]];
    let series = compete(report, "windows", &ratios, entrants)?;
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

/// The same with a million keys: of three events two open a window, and two close one.
fn windows_of_a_million(report: &mut Report) -> Result<()> {
    let update = job(report, MILLION, 1, (applications::update, expected::once));
    let tumbling = job(report, MILLION, 1, (applications::tumbling_second, expected::once));
    let entrants = vec![
        of_core("update", update),
        of_core("tumbling", tumbling),
        Entrant::of_window("map", move || map::run(&tumbling)),
    ];
    let ratios = [["tumbling", "update"]];
    let series = compete(report, "windows of a million keys", &ratios, entrants)?;
    let ratio = series.ratio("tumbling", "update", MeasuredWindow::event_ns);
    report.goal("tumbling_over_update_1m_keys", ratio, OF_CLASS, Goal::AtMost(1.25));
    let throughput = series.ratio("tumbling", "map", MeasuredWindow::events_per_second);
    report.figure("tumbling_over_map_1m_keys", throughput, OF_CLASS);
    event_ns(report, &series, "_1m_keys");
    Ok(())
}

/// Two halves of the events that meet by time, and by arrival.
fn joins(report: &mut Report) -> Result<()> {
    let update = job(report, KEYS, 1, (applications::quote_in_table, expected::as_of));
    let as_of = job(report, KEYS, 1, (applications::quote_as_of, expected::as_of));
    let join = job(report, KEYS, 1, (applications::join_near, expected::join));
    let entrants = vec![of_core("quotes", update), of_core("as_of", as_of), of_core("join", join)];
    let series = compete(report, "joins", &[["as_of", "quotes"]], entrants)?;
    let ratio = series.ratio("as_of", "quotes", MeasuredWindow::event_ns);
    report.goal("as_of_over_update", ratio, OF_CLASS, Goal::AtMost(1.8));
    let join = series.median("join", MeasuredWindow::event_ns);
    report.goal("join_ns", join, OF_CLASS, Goal::AtMost(250.0));
    for (name, field) in [("as_of", "as_of_ns"), ("quotes", "quotes_in_table_ns")] {
        report.figure(field, series.median(name, MeasuredWindow::event_ns), OF_CLASS);
    }
    Ok(())
}

fn job(
    report: &Report,
    keys: u64,
    past: u64,
    (describe, expected): (DescribeTimed, ExpectedSum),
) -> CoreJob {
    let (place, slice) = (report.place(), report.scale().window);
    CoreJob { place, slice, input: Input::new(keys, past, report.scale()), describe, expected }
}

fn of_core<'a>(name: &'static str, job: CoreJob) -> Entrant<'a, MeasuredWindow> {
    Entrant::of_window(name, move || core_window::run(&job))
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
const MILLION: u64 = 1_000_000;

/// How to read the figures.
const NOTES: &[&str] = &[
    "all contenders: a million events of 64 bytes per second of event time, in order, one core",
    "update: a table without time; tumbling: windows of 1 s; sliding_60: of 60 s, one per second",
    "map: a bare hash map of (key, window), emptied once per second of event time",
    "as_of: each second event gets the version before it; quotes: the same from a table",
    "close_1m: at full speed, 128 new events and 128 closings a turn; paced: 200000 events/s",
    "slice_own_max: longest turn by its median over the rounds, as growth_worst_us of engine",
    "timers: bytes beside rows whose timers are not set; set_ns: over the same update without",
    "fire_delay: an event on one core until a timer has fired on another one, which spins",
    "join: each event has ten partners, five when it comes; outputs are not encoded",
];
