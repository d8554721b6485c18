//! `scale`: what one event costs as one thing grows while the others stay: keys, bytes of a value,
//! partitions, cores, connections, exchange levels.
//!
//! The points of an axis alternate like contenders. Beside them stands the fitted growth: the
//! exponent `b` of `cost = a · size^b`, 0 when the cost stays, 1 when it grows with the size.

mod axis;
mod fit;
mod idle;
mod two_cores;
mod values;

use std::path::Path;

use anyhow::Result;
use potoroo::control::config::cpus_allowed;
use potoroo_runtime::Idle;

use self::axis::Point;
use self::fit::exponent;
use self::two_cores::Work;
use crate::effort::Scale;
use crate::engine::window::MeasuredWindow;
use crate::engine::{Job, Outcome, Pace, ours};
use crate::pairs::{self, Contest, Entrant, Paired, probe};
use crate::place::Place;
use crate::report::{Goal, Report};
use crate::rounds::{Contender, Series, alternate};
use crate::wire::{self, ask::ReceivedQuotes};

/// Runs all comparisons and all axes. Axes are measured in a fixed number of rounds; comparisons
/// have the time that is left.
///
/// # Errors
/// The run was asked to end, or the example does not build.
pub fn bench(report: &mut Report) -> Result<()> {
    NOTES.iter().for_each(|note| report.note(note));
    let need = comparison_seconds(report.scale());
    let axes = report.scale().command_max.as_secs_f64() - need * COMPARISONS as f64;
    report.budget().expect(axes);
    (0..COMPARISONS).for_each(|_| report.budget().expect(need));
    two_cores(report, need)?;
    adaptive(report, need)?;
    keys(report)?;
    values(report)?;
    partitions(report)?;
    cores(report)?;
    levels(report)?;
    idle_turns(report)?;
    connections(report)
}

/// What the axes leave of the time of the command, for each comparison.
fn comparison_seconds(scale: Scale) -> f64 {
    let Scale { slice, raw_slice, rest, .. } = scale;
    let point = (slice + raw_slice + rest).as_secs_f64() + POINT_SETUP_SECONDS;
    let axes = AXES_POINTS as f64 * scale.rounds as f64 * point;
    (scale.command_max.as_secs_f64() - axes).max(0.0) / COMPARISONS as f64
}

const KEYS: [Point; 5] =
    [("1k", 1_000), ("10k", 10_000), ("100k", 100_000), ("1m", 1_000_000), ("10m", 10_000_000)];
const PARTITIONS: [Point; 5] =
    [("1", 1), ("16", 16), ("256", 256), ("4096", 4_096), ("65536", 65_536)];
const CORES: [Point; 7] =
    [("1", 1), ("2", 2), ("4", 4), ("8", 8), ("16", 16), ("32", 32), ("64", 64)];
const LEVELS: [Point; 4] = [("1", 1), ("2", 2), ("3", 3), ("4", 4)];
const CONNECTIONS: [Point; 4] = [("1", 1), ("4", 4), ("16", 16), ("64", 64)];

fn keys(report: &mut Report) -> Result<()> {
    let keys_max = report.scale().keys_max;
    let points: Vec<Point> = KEYS.into_iter().filter(|point| point.1 <= keys_max).collect();
    measure_axis(report, "keys", &points, |job, keys| ours::run_in_place(&Job { keys, ..*job }))
}

fn values(report: &mut Report) -> Result<()> {
    measure_axis(report, "value_bytes", &values::POINTS, values::run)
}

fn partitions(report: &mut Report) -> Result<()> {
    measure_axis(report, "partitions", &PARTITIONS, |job, partitions| {
        ours::run_partitions(job, partitions as usize)
    })
}

/// Made on the first core, owned by all of them.
fn cores(report: &mut Report) -> Result<()> {
    let allowed = cpus_allowed();
    let points: Vec<Point> =
        CORES.into_iter().filter(|point| point.1 <= allowed.len() as u64).collect();
    measure_axis(report, "cores", &points, |job, cores| {
        ours::run_levels(job, &allowed[..cores as usize], 1)
    })
}

/// A source on every core and handlers that take some time: two cores over one.
fn two_cores(report: &mut Report, need: f64) -> Result<()> {
    let place = report.place();
    let job = Job::of_window(report, 10_000, Pace::Full);
    let [both, one] = [vec![place.left, place.right], vec![place.left]];
    for ((name, nanos), goal) in two_cores::WORKS.into_iter().zip(TWO_CORES_GOALS) {
        let work = Work::of(nanos);
        let start = |cores: &[usize]| two_cores::session(&job, cores, work);
        let contenders =
            vec![Entrant::new("two", || start(&both)), Entrant::new("one", || start(&one))];
        let what = format!("two cores, {name} of work");
        let series = compete(report, (&what, need), &[["two", "one"]], contenders)?;
        let ratio = series.ratio("two", "one", MeasuredWindow::events_per_second);
        report.figure_toward(format!("two_cores_over_one_{name}"), ratio, OF_CLASS, goal);
        for contender in series.names() {
            let rate = series.median(contender, MeasuredWindow::events_per_second);
            report.figure(format!("{contender}_of_two_cores_{name}_per_second"), rate, OF_CLASS);
        }
    }
    Ok(())
}

fn compete(
    report: &mut Report,
    (what, need): (&str, f64),
    ratios: &[[&str; 2]],
    contenders: Vec<Entrant<'_, MeasuredWindow>>,
) -> Result<Paired<MeasuredWindow>> {
    let (place, length) = (report.place(), report.scale().probe);
    let probe = move || probe::of_cores(place, length);
    pairs::alternate(report, &Contest { what, probe: &probe, ratios, need }, contenders)
}

/// A turn that finds nothing, on one core among more and more.
fn idle_turns(report: &mut Report) -> Result<()> {
    let (place, slice) = (report.place(), report.scale().raw_slice);
    let contender =
        |&(name, cores): &Point| Contender::new(name, move || idle::turn_ns(place, slice, cores));
    let contenders = idle::CORES.iter().map(contender).collect();
    let series = alternate(report, "idle turns", contenders)?;
    tell(report, "idle_turn_cores", &idle::CORES, &series, |nanos| *nanos);
    Ok(())
}

/// What cores that park cost over cores that spin: at full speed, and in the latency of an event
/// that finds its owner parked.
fn adaptive(report: &mut Report, need: f64) -> Result<()> {
    let full = Job::of_window(report, 10_000, Pace::Full);
    let start = |name, job: Job, mode| Entrant::new(name, move || ours::session_idle(&job, mode));
    let both = |job| vec![start("adaptive", job, Idle::Adaptive), start("spin", job, Idle::Spin)];
    let ratios = [["adaptive", "spin"]];
    let what = ("adaptive at full speed", need);
    let series = compete(report, what, &ratios, both(full))?;
    let ratio = series.ratio("adaptive", "spin", MeasuredWindow::events_per_second);
    report.goal("adaptive_over_spin_throughput", ratio, OF_CLASS, Goal::AtLeast(0.9));

    let rare = Job::of_window(report, RARE_KEYS, Pace::Rate(RARE_RATE));
    let rare = Job { slice: RARE_WINDOWS * rare.slice, ..rare };
    let (place, slice) = (rare.place, rare.slice);
    let mut contenders = both(rare);
    contenders.push(Entrant::of_window("wake", move || idle::wake_ups(place, slice)));
    let what = ("adaptive, rare events", need);
    let series = compete(report, what, &ratios, contenders)?;
    for name in ["adaptive", "spin", "wake"] {
        let p50 = series.median(name, MeasuredWindow::p50_ns);
        report.figure(format!("rare_{name}_p50_ns"), p50, OF_CLASS);
    }
    let wakeups = series.among(["adaptive", "spin", "wake"], |windows| {
        let [adaptive, spin, wake] = windows.map(MeasuredWindow::p50_ns);
        (adaptive - spin) / wake
    });
    report.goal("adaptive_wakeups", wakeups, OF_CLASS, Goal::AtMost(1.2));
    Ok(())
}

/// On both cores, each of which owns half of the keys of each level.
fn levels(report: &mut Report) -> Result<()> {
    let Place { left, right, .. } = report.place();
    let cores = if left == right { vec![left] } else { vec![left, right] };
    measure_axis(report, "levels", &LEVELS, |job, levels| {
        ours::run_levels(job, &cores, levels as usize)
    })
}

/// Runs the points of one axis; the key count is that of the `engine` benchmark where it is not
/// the axis itself.
fn measure_axis(
    report: &mut Report,
    axis: &str,
    points: &[Point],
    run: impl Fn(&Job, u64) -> Result<Outcome>,
) -> Result<()> {
    let job = Job::new(report, 10_000, Pace::Full);
    let run = &run;
    let contender =
        |&(name, size): &Point| Contender::new(name, move || run(&job, size)?.verified());
    let series = alternate(report, axis, points.iter().map(contender).collect())?;
    let event_ns = |outcome: &Outcome| outcome.window.event_ns();
    for name in series.names() {
        let checksum = series.typical(name, event_ns).checksum;
        report.checksum(format!("{axis}_{name}"), checksum);
    }
    tell(report, axis, points, &series, event_ns);
    Ok(())
}

/// Quotes over TCP at full speed, the senders taking turns.
fn connections(report: &mut Report) -> Result<()> {
    let program = wire::market::program()?;
    let (place, slice, program) = (report.place(), report.scale().slice, Path::new(&program));
    let contender = |&(name, count): &Point| {
        Contender::new(name, move || {
            wire::stream_quotes(place, slice, program, SEND_BYTES, count as usize)
        })
    };
    let series = alternate(report, "connections", CONNECTIONS.iter().map(contender).collect())?;
    tell(report, "connections", &CONNECTIONS, &series, ReceivedQuotes::event_ns);
    Ok(())
}

/// Cost of each point, and the growth over all of them.
fn tell<T>(
    report: &mut Report,
    axis: &str,
    points: &[Point],
    series: &Series<T>,
    cost: impl Fn(&T) -> f64,
) {
    let mut costs = Vec::new();
    for &(name, size) in points {
        let spread = series.median(name, &cost);
        costs.push((size as f64, spread.median()));
        report.figure(format!("{axis}_{name}_ns"), spread, series.raw_rtt_ns(&[name]));
    }
    costs.retain(|(_, cost)| cost.is_finite());
    report.figure(format!("{axis}_exponent"), exponent(&costs), series.raw_rtt_ns(&series.names()));
}

/// Two cores with each work, and two of `adaptive`.
const COMPARISONS: usize = two_cores::WORKS.len() + 2;
/// Points of all axes together.
const AXES_POINTS: usize = KEYS.len()
    + values::POINTS.len()
    + PARTITIONS.len()
    + 2
    + LEVELS.len()
    + idle::CORES.len()
    + CONNECTIONS.len();
/// Seconds until an engine is started, filled and ended again.
const POINT_SETUP_SECONDS: f64 = 0.15;
/// Figures by class have the raw round trip of their class beside them.
const OF_CLASS: f64 = 0.0;
/// Few, because each is also filled and audited at that rate.
const RARE_KEYS: u64 = 100;
/// Rare events have longer windows, as many times.
const RARE_WINDOWS: u32 = 4;

/// Goals of `two_cores_over_one`, by work.
const TWO_CORES_GOALS: [Option<Goal>; 4] =
    [Some(Goal::AtLeast(1.0)), None, Some(Goal::AtLeast(1.5)), Some(Goal::AtLeast(1.8))];

/// Events per second, so rare that each finds an adaptive core parked: it spins for 0.1 ms.
const RARE_RATE: u32 = 1_000;

/// Whole quotes of one send.
const SEND_BYTES: usize = 16 * 1024;

/// How to read the figures.
const NOTES: [&str; 10] = [
    "costs: wall-clock nanoseconds per event at full speed; exponent: b of cost = a * size^b",
    "keys: keyed count of 64-byte events in place on one core, as engine_in_place of `engine`",
    "value_bytes: the event carries a value of that size, which its key's state keeps; 1000 keys",
    "partitions: as keys, 10 k keys, with that many partitions",
    "cores: made on the first one, owned by all of them; needs more than two CPUs to say much",
    "two_cores_over_one: events/s of two cores over one, a source on each, by work of the handler",
    "idle_turn_cores: nanoseconds of a turn that finds nothing, by cores; their lanes are in cache",
    "adaptive_wakeups: median latency that adaptive adds to spin, over waking one parked thread",
    "levels: key_by and table after each other, keys changed in between, on both CPUs",
    "connections: quotes into market_spread on one core, sends of 16 KiB, senders taking turns",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_inside_the_engine_proves_its_checksum_at_toy_size() {
        let mut report = Report::new("scale", Place::toy(), Scale::toy());
        two_cores(&mut report, 1.0).unwrap();
        adaptive(&mut report, 1.0).unwrap();
        for axis in [keys, values, partitions, cores, levels, idle_turns] {
            axis(&mut report).unwrap();
        }
        assert_eq!(report.json()["failed"], serde_json::json!({}));
        for name in ["two_cores_over_one_300ns", "idle_turn_cores_64_ns", "adaptive_wakeups"] {
            assert!(report.value(name).is_some(), "{name} is missing");
        }
        for name in ["keys_1k_ns", "value_bytes_4096_ns", "partitions_65536_ns", "levels_4_ns"] {
            assert!(report.value(name).is_some(), "{name} is missing");
        }
    }
}
