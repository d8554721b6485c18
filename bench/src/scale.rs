//! `scale`: what one event costs as one thing grows while the others stay: keys, bytes of a value,
//! partitions, cores, connections, exchange levels.
//!
//! The points of an axis alternate like contenders. Beside them stands the fitted growth: the
//! exponent `b` of `cost = a · size^b`, 0 when the cost stays, 1 when it grows with the size.

mod axis;
mod fit;
mod values;

use std::path::Path;

use anyhow::Result;
use potoroo::control::config::cpus_allowed;

use self::axis::Point;
use self::fit::exponent;
use crate::engine::{Job, Outcome, Pace, ours};
use crate::place::Place;
use crate::report::Report;
use crate::rounds::{Contender, Series, alternate};
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
    levels(report)?;
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
    sweep(report, "keys", &points, |job, keys| ours::run_in_place(&Job { keys, ..*job }))
}

fn values(report: &mut Report) -> Result<()> {
    sweep(report, "value_bytes", &values::POINTS, values::run)
}

fn partitions(report: &mut Report) -> Result<()> {
    sweep(report, "partitions", &PARTITIONS, |job, partitions| {
        ours::run_partitions(job, partitions as usize)
    })
}

/// Made on the first core, owned by all of them.
fn cores(report: &mut Report) -> Result<()> {
    let allowed = cpus_allowed();
    let points: Vec<Point> =
        CORES.into_iter().filter(|point| point.1 <= allowed.len() as u64).collect();
    sweep(report, "cores", &points, |job, cores| {
        ours::run_levels(job, &allowed[..cores as usize], 1)
    })
}

/// On both cores, each of which owns half of the keys of each level.
fn levels(report: &mut Report) -> Result<()> {
    let Place { left, right, .. } = report.place();
    let cores = if left == right { vec![left] } else { vec![left, right] };
    sweep(report, "levels", &LEVELS, |job, levels| ours::run_levels(job, &cores, levels as usize))
}

/// Runs the points of one axis; the key count is that of the `engine` benchmark where it is not
/// the axis itself.
fn sweep(
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

/// Whole quotes of one send.
const SEND_BYTES: usize = 16 * 1024;

/// How to read the figures.
const NOTES: [&str; 7] = [
    "costs: wall-clock nanoseconds per event at full speed; exponent: b of cost = a * size^b",
    "keys: keyed count of 64-byte events in place on one core, as engine_in_place of `engine`",
    "value_bytes: the event carries a value of that size, which its key's state keeps; 1000 keys",
    "partitions: as keys, 10 k keys, with that many partitions",
    "cores: made on the first one, owned by all of them; needs more than two CPUs to say much",
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
        for axis in [keys, values, partitions, cores, levels] {
            axis(&mut report).unwrap();
        }
        assert_eq!(report.json()["failed"], serde_json::json!({}));
        for name in ["keys_1k_ns", "value_bytes_4096_ns", "partitions_65536_ns", "levels_4_ns"] {
            assert!(report.value(name).is_some(), "{name} is missing");
        }
    }
}
