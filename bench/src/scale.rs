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
use self::two_cores::{Both, Work};
use crate::engine::{Job, Outcome, Pace, ours};
use crate::place::Place;
use crate::report::{Goal, Report};
use crate::rounds::{Contender, Series, alternate};
use crate::spread::Spread;
use crate::wire::{self, ask::ReceivedQuotes};

/// Runs all axes.
///
/// # Errors
/// The run was asked to end, or the example does not build.
pub fn bench(report: &mut Report) -> Result<()> {
    NOTES.iter().for_each(|note| report.note(note));
    keys(report)?;
    values(report)?;
    partitions(report)?;
    cores(report)?;
    two_cores(report)?;
    levels(report)?;
    idle_turns(report)?;
    adaptive(report)?;
    connections(report)
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
fn two_cores(report: &mut Report) -> Result<()> {
    let place = report.place();
    let job = Job::new(report, 10_000, Pace::Full);
    for ((name, nanos), goal) in two_cores::WORKS.into_iter().zip(TWO_CORES_GOALS) {
        let work = Work::of(nanos);
        let run = |cores: Vec<usize>| move || two_cores::run(&job, &cores, work);
        let contenders = vec![
            Contender::new("two", run(vec![place.left, place.right])),
            Contender::new("one", run(vec![place.left])),
        ];
        let series = alternate(report, &format!("two cores, {name} of work"), contenders)?;
        let ratio = series.ratio("two", "one", Both::events_per_second);
        let raw_rtt_ns = series.raw_rtt_ns(&["two", "one"]);
        report.figure_toward(format!("two_cores_over_one_{name}"), ratio, raw_rtt_ns, goal);
        for contender in series.names() {
            let rate = series.median(contender, Both::events_per_second);
            report.figure(format!("{contender}_of_two_cores_{name}_per_second"), rate, raw_rtt_ns);
            let checksum = series.typical(contender, Both::events_per_second).checksum;
            report.checksum(format!("two_cores_{name}_{contender}"), checksum);
        }
    }
    Ok(())
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
fn adaptive(report: &mut Report) -> Result<()> {
    let full = Job::new(report, 10_000, Pace::Full);
    let rare = Job::new(report, 10_000, Pace::Rate(RARE_RATE));
    let run = |job: Job, mode| move || ours::run_idle(&job, mode)?.verified();
    let contenders = vec![
        Contender::new("adaptive", run(full, Idle::Adaptive)),
        Contender::new("spin", run(full, Idle::Spin)),
    ];
    let series = alternate(report, "adaptive at full speed", contenders)?;
    let ratio = series.ratio("adaptive", "spin", Outcome::events_per_second);
    let raw_rtt_ns = series.raw_rtt_ns(&["adaptive", "spin"]);
    report.goal("adaptive_over_spin_throughput", ratio, raw_rtt_ns, Goal::AtLeast(0.9));

    let (place, slice) = (rare.place, rare.slice);
    let p50_ns = |mode| move || run(rare, mode)().map(|outcome| outcome.p50_ns());
    let contenders = vec![
        Contender::new("adaptive", p50_ns(Idle::Adaptive)),
        Contender::new("spin", p50_ns(Idle::Spin)),
        Contender::new("wake", move || Ok(idle::wake_ups(place, slice)?.quantile(0.5))),
    ];
    let series = alternate(report, "adaptive, rare events", contenders)?;
    let names = ["adaptive", "spin", "wake"];
    let raw_rtt_ns = series.raw_rtt_ns(&names);
    for name in names {
        report.figure(format!("rare_{name}_p50_ns"), series.median(name, |ns| *ns), raw_rtt_ns);
    }
    let added = series.difference("adaptive", "spin", |ns| *ns);
    let wakes = series.median("wake", |ns| *ns);
    let pairs = added.values().iter().zip(wakes.values());
    let wakeups: Spread = pairs.map(|(added, wake)| added / wake).collect();
    report.goal("adaptive_wakeups", wakeups, raw_rtt_ns, Goal::AtMost(1.2));
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
    for name in series.names() {
        let checksum = series.typical(name, Outcome::event_ns).checksum;
        report.checksum(format!("{axis}_{name}"), checksum);
    }
    tell(report, axis, points, &series, Outcome::event_ns);
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
    use crate::effort::Scale;

    #[test]
    fn every_point_inside_the_engine_proves_its_checksum_at_toy_size() {
        let mut report = Report::new("scale", Place::toy(), Scale::toy());
        for axis in [keys, values, partitions, cores, two_cores, levels, idle_turns, adaptive] {
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
