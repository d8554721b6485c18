//! `engine`: keyed count of 64-byte events, produced on one core and owned by the other.
//!
//! Latency is open loop: each event has an intended time, and what is recorded is the time after
//! its update minus that, so a producer that falls behind makes its events late instead of fewer.
//! All keys are in all tables before the clock starts. All contenders send *every* event across.

#[cfg(feature = "aeron")]
mod aeron;
mod by_hand;
mod disruptor;
pub mod growth;
mod job;
pub mod load;
mod map;
pub mod ours;
pub mod owner;
mod rtrb;
mod timely;

pub use self::job::{Job, Outcome, Pace};

use anyhow::Result;
use serde_json::json;

use crate::host;
use crate::report::{Goal, Report};
use crate::rounds::{Contender, Series, alternate};
use crate::track::Track;

/// Runs all contenders at all paces and key counts.
///
/// # Errors
/// A contender failed, or its states do not add up to what was sent.
pub fn bench(report: &mut Report) -> Result<()> {
    NOTES.iter().for_each(|note| report.note(note));
    let keys_max = report.scale().keys_max;
    growth::memory(report)?;
    for case in &LATENCY_CASES {
        latency(report, case)?;
    }
    for case in THROUGHPUT_CASES.iter().filter(|case| case.keys <= keys_max) {
        throughput(report, case)?;
    }
    operators(report)?;
    growth::bench(report)
}

/// The names of those that carry events from one core to the other.
pub fn contenders() -> String {
    let names: Vec<&str> = ACROSS.iter().map(|(name, _)| *name).collect();
    let aeron = if cfg!(feature = "aeron") { "" } else { "; built without aeron (--features)" };
    names.join(", ") + aeron
}

/// All ways to do the job have this shape.
type Run = fn(&Job) -> Result<Outcome>;

/// Contenders that carry events from one core to the other.
const ACROSS: &[(&str, Run)] = &[
    ("engine", ours::run),
    ("by_hand", by_hand::run),
    ("rtrb", rtrb::run),
    ("disruptor", disruptor::run),
    ("timely", timely::run),
    #[cfg(feature = "aeron")]
    ("aeron", aeron::run),
];
/// Contenders that do the work where the events are made.
const IN_PLACE: [(&str, Run); 3] = [
    ("engine_in_place", ours::run_in_place),
    ("by_hand_in_place", by_hand::run_in_place),
    ("map", map::run),
];

/// One rate of the open loop.
struct LatencyCase {
    suffix: &'static str,
    rate: u32,
    /// Most that the engine's median may be over that of the bare ring and map.
    over_rtrb_max: f64,
    /// Least that timely's median is over the engine's.
    timely_over_min: f64,
}

const LATENCY_CASES: [LatencyCase; 2] = [
    LatencyCase { suffix: "100k", rate: 100_000, over_rtrb_max: 1.5, timely_over_min: 2.5 },
    LatencyCase { suffix: "1m", rate: 1_000_000, over_rtrb_max: 1.3, timely_over_min: 5.0 },
];

/// One size of the table.
struct ThroughputCase {
    suffix: &'static str,
    keys: u64,
    /// Least events per second over those of timely: on processors of AMD, and on others.
    over_timely_min: [f64; 2],
    /// Least events per second over those of the same work by hand.
    over_by_hand_min: f64,
    /// Most nanoseconds per event in place, over the same work by hand.
    in_place_over_by_hand_max: f64,
}

const THROUGHPUT_CASES: [ThroughputCase; 3] = [
    ThroughputCase {
        suffix: "",
        keys: 10_000,
        over_timely_min: [1.2, 1.1],
        over_by_hand_min: 0.75,
        in_place_over_by_hand_max: 1.35,
    },
    ThroughputCase {
        suffix: "_1m_keys",
        keys: 1_000_000,
        over_timely_min: [2.0, 1.3],
        over_by_hand_min: 0.85,
        in_place_over_by_hand_max: 1.2,
    },
    ThroughputCase {
        suffix: "_10m_keys",
        keys: 10_000_000,
        over_timely_min: [1.8, 1.3],
        over_by_hand_min: 0.85,
        in_place_over_by_hand_max: 1.2,
    },
];

/// Most that the engine's median latency may be over that of the same work by hand.
const P50_OVER_BY_HAND_MAX: f64 = 1.2;

fn latency(report: &mut Report, case: &LatencyCase) -> Result<()> {
    let suffix = case.suffix;
    let job = Job::new(report, 10_000, Pace::Rate(case.rate));
    let series = compete(report, job, ACROSS)?;
    let ratio = |above, below| {
        (series.ratio(above, below, Outcome::p50_ns), series.raw_rtt_ns(&[above, below]))
    };
    let (value, raw) = ratio("engine", "rtrb");
    let goal = Goal::AtMost(case.over_rtrb_max);
    report.goal(format!("engine_over_rtrb_p50_{suffix}"), value, raw, goal);
    let (value, raw) = ratio("engine", "by_hand");
    let goal = Goal::AtMost(P50_OVER_BY_HAND_MAX);
    report.goal(format!("engine_over_by_hand_p50_{suffix}"), value, raw, goal);
    let (value, raw) = ratio("timely", "engine");
    let goal = Goal::AtLeast(case.timely_over_min);
    report.goal(format!("timely_over_engine_p50_{suffix}"), value, raw, goal);
    for peer in ["disruptor", "aeron"].into_iter().filter(|peer| series.names().contains(peer)) {
        let (value, raw) = ratio("engine", peer);
        report.figure(format!("engine_over_{peer}_p50_{suffix}"), value, raw);
    }
    for name in series.names() {
        let p50 = series.median(name, Outcome::p50_ns);
        report.figure(format!("{name}_p50_ns_{suffix}"), p50, series.raw_rtt_ns(&[name]));
        let typical = series.typical(name, Outcome::p50_ns);
        report.detail(format!("{name}_{suffix}"), typical.latency.all().summary());
        let takes = series.takes(name, |outcome| &outcome.latency);
        let load = format!("{} per second, constant", case.rate);
        report.track(Track::open(format!("{name}_{suffix}"), &load, takes));
    }
    Ok(())
}

fn throughput(report: &mut Report, case: &ThroughputCase) -> Result<()> {
    let suffix = case.suffix;
    let job = Job::new(report, case.keys, Pace::Full);
    let series = compete(report, job, &[ACROSS, IN_PLACE.as_slice()].concat())?;
    let ratio = series.ratio("engine", "timely", Outcome::events_per_second);
    let [amd, other] = case.over_timely_min;
    let goal = Goal::AtLeast(if host::is_amd() { amd } else { other });
    let raw = series.raw_rtt_ns(&["engine", "timely"]);
    report.goal(format!("engine_over_timely_throughput{suffix}"), ratio, raw, goal);
    let ratio = series.ratio("engine", "by_hand", Outcome::events_per_second);
    let goal = Goal::AtLeast(case.over_by_hand_min);
    let raw = series.raw_rtt_ns(&["engine", "by_hand"]);
    report.goal(format!("engine_over_by_hand_throughput{suffix}"), ratio, raw, goal);
    in_place(report, &series, case);
    for name in series.names() {
        let rate = series.median(name, Outcome::events_per_second);
        let raw = series.raw_rtt_ns(&[name]);
        report.figure(format!("{name}_events_per_second{suffix}"), rate, raw);
        let typical = series.typical(name, Outcome::events_per_second);
        let detail = json!({ "events": typical.events, "checksum": typical.checksum });
        report.detail(format!("{name}_throughput{suffix}"), detail);
    }
    Ok(())
}

fn in_place(report: &mut Report, series: &Series<Outcome>, case: &ThroughputCase) {
    let suffix = case.suffix;
    let raw = series.raw_rtt_ns(&["engine_in_place", "map"]);
    let goal = |keys, goal| (case.keys == keys).then_some(goal);
    let event_ns = series.median("engine_in_place", Outcome::event_ns);
    let bar = goal(10_000, Goal::AtMost(20.0));
    report.figure_toward(format!("in_place_ns{suffix}"), event_ns, raw, bar);
    let ratio = series.ratio("engine_in_place", "map", Outcome::event_ns);
    let bar = goal(1_000_000, Goal::AtMost(0.8));
    report.figure_toward(format!("in_place_over_map{suffix}"), ratio, raw, bar);
    let ratio = series.ratio("engine_in_place", "by_hand_in_place", Outcome::event_ns);
    let bar = Goal::AtMost(case.in_place_over_by_hand_max);
    let beside = series.raw_rtt_ns(&["engine_in_place", "by_hand_in_place"]);
    report.goal(format!("engine_over_by_hand_in_place{suffix}"), ratio, beside, bar);
    let event_ns = series.median("by_hand_in_place", Outcome::event_ns);
    report.figure(format!("by_hand_in_place_ns{suffix}"), event_ns, beside);
    report.figure(format!("map_ns{suffix}"), series.median("map", Outcome::event_ns), raw);
}

/// What one more filter or map in front of the table costs.
fn operators(report: &mut Report) -> Result<()> {
    let job = Job::new(report, 10_000, Pace::Full);
    let ways: [(&str, Run); 2] = [("plain", ours::run_in_place), ("chain", ours::run_operators)];
    let series = compete(report, job, &ways)?;
    let added = series.difference("chain", "plain", Outcome::event_ns);
    let each = added.divided_by(ours::OPERATORS as f64);
    report.goal("operator_ns", each, series.raw_rtt_ns(&series.names()), Goal::AtMost(2.0));
    Ok(())
}

fn compete(report: &mut Report, job: Job, ways: &[(&'static str, Run)]) -> Result<Series<Outcome>> {
    let contender = |&(name, run): &(&'static str, Run)| {
        Contender::new(name, move || run(&job).and_then(Outcome::verified))
    };
    let what = format!("keyed count, {} keys, {}", job.keys, job.pace);
    alternate(report, &what, ways.iter().map(contender).collect())
}

/// How to read the figures.
const NOTES: &[&str] = &[
    "engine: potoroo::run with a generator on the left core and all state on the right one",
    "operator_ns: four filters and four maps of the whole event, in place, divided by eight",
    "growth_worst_us: flow::Core driven directly; longest turn by its median over the rounds",
    "bytes_per_key: growth of the process's resident memory by a million keys of 64-byte state",
    "by_hand: the least code for the same work, from generator to latency record, with prefetches",
    "map: std::collections::HashMap with a multiply-rotate hash, keys scattered over 64 bits",
    "rtrb: push and pop of single events at a fixed rate, chunks of 64 at full speed",
    "disruptor: one producer, an event poller without rest, batches of 64 at full speed",
    "timely: two workers, fed on one, all keys owned by the other, typed channels",
    #[cfg(feature = "aeron")]
    "aeron: IPC, exclusive publication, single offers, polls of 64, a driver that parks",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effort::Scale;
    use crate::place::Place;
    use crate::take::Take;

    #[test]
    fn every_contender_proves_its_checksum_at_toy_size() {
        let mut report = Report::new("engine", Place::toy(), Scale::toy());
        bench(&mut report).unwrap();
        for name in [
            "engine_over_rtrb_p50_100k",
            "engine_over_rtrb_p50_1m",
            "timely_over_engine_p50_100k",
            "timely_over_engine_p50_1m",
            "engine_over_timely_throughput",
            "in_place_ns",
            "engine_over_by_hand_p50_100k",
            "engine_over_by_hand_p50_1m",
            "engine_over_by_hand_throughput",
            "engine_over_by_hand_in_place",
            "operator_ns",
            "growth_worst_us",
            "bytes_per_key",
        ] {
            assert!(report.value(name).is_some(), "{name} is missing");
        }
    }

    #[test]
    fn a_wrong_checksum_is_an_error() {
        let latency = Take::default();
        let outcome = Outcome { keys: 10, latency, sent: 100, events: 100, nanos: 1, checksum: 1 };
        assert!(outcome.verified().is_err());
    }
}
