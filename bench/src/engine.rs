//! `engine`: keyed count of 64-byte events, produced on one core and owned by the other.
//!
//! Latency is open loop: each event has an intended time, and what is recorded is the time after
//! its update minus that, so a producer that is too slow makes its events late instead of fewer.
//! All keys are in all tables before the clock starts. All contenders send *every* event across.

#[cfg(feature = "aeron")]
mod aeron;
mod by_hand;
mod disruptor;
pub mod growth;
pub mod instructions;
mod job;
pub mod load;
mod map;
pub mod ours;
mod outcome;
pub mod owner;
mod rtrb;
mod timely;
pub mod window;

pub use self::job::{Job, Pace};
pub use self::outcome::Outcome;

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use self::by_hand::Tallies;
use self::owner::PlainTable;
use self::window::{MeasuredWindow, Rerun};

use crate::effort::Scale;
use crate::host;
use crate::pairs::{Contest, Entrant, Paired, alternate, probe};
use crate::report::{Goal, Report};
use crate::track::Track;

/// Runs all contenders at all paces and key counts.
///
/// # Errors
/// A contender failed, or its states do not add up to what was sent.
pub fn bench(report: &mut Report) -> Result<()> {
    NOTES.iter().for_each(|note| report.note(note));
    growth::memory(report)?;
    let scale = report.scale();
    let parts = PARTS.iter().filter(|part| part.keys() <= scale.keys_max);
    parts.clone().for_each(|part| report.budget().expect(part.need(scale)));
    for part in parts {
        part.run(report)?;
    }
    Ok(())
}

/// A part of the time of the command.
enum Part {
    InPlace(&'static ThroughputCase),
    Across(&'static ThroughputCase),
    Latency(&'static LatencyCase),
    Operators,
    Growth,
}

/// The headlines first.
const PARTS: [Part; 10] = [
    Part::InPlace(&THROUGHPUT_CASES[0]),
    Part::Across(&THROUGHPUT_CASES[0]),
    Part::Latency(&LATENCY_CASES[0]),
    Part::Latency(&LATENCY_CASES[1]),
    Part::InPlace(&THROUGHPUT_CASES[1]),
    Part::Across(&THROUGHPUT_CASES[1]),
    Part::InPlace(&THROUGHPUT_CASES[2]),
    Part::Across(&THROUGHPUT_CASES[2]),
    Part::Operators,
    Part::Growth,
];

impl Part {
    fn keys(&self) -> u64 {
        match self {
            Self::InPlace(case) | Self::Across(case) => case.keys,
            Self::Latency(_) | Self::Operators | Self::Growth => LATENCY_KEYS,
        }
    }

    /// Seconds that it takes on a machine that stays in one class, roughly.
    fn need(&self, scale: Scale) -> f64 {
        let contenders = match self {
            Self::InPlace(_) => IN_PLACE.len(),
            Self::Across(_) | Self::Latency(_) => ACROSS.len(),
            Self::Operators => 2,
            Self::Growth => {
                return scale.rounds as f64 * scale.growth_keys as f64 * GROWTH_KEY_SECONDS;
            }
        };
        let rounds = scale.pairs_min as f64 * 2.0 * scale.window.as_secs_f64();
        contenders as f64 * (rounds + self.keys() as f64 * SETUP_KEY_SECONDS)
    }

    fn run(&self, report: &mut Report) -> Result<()> {
        let need = self.need(report.scale());
        match self {
            Self::InPlace(case) => in_place(report, case, need),
            Self::Across(case) => across(report, case, need),
            Self::Latency(case) => latency(report, case, need),
            Self::Operators => operators(report, need),
            Self::Growth => growth::bench(report, need),
        }
    }
}

/// The names of those that carry events from one core to the other.
pub fn contenders() -> String {
    let names: Vec<&str> = ACROSS.iter().map(|(name, _)| *name).collect();
    let aeron = if cfg!(feature = "aeron") { "" } else { "; built without aeron (--features)" };
    names.join(", ") + aeron
}

/// Sets a contender up for a job.
type Enter = fn(&'static str, Job) -> Entrant<'static, MeasuredWindow>;

/// Contenders that carry events from one core to the other.
const ACROSS: &[(&str, Enter)] = &[
    ("engine", |name, job| Entrant::new(name, move || ours::session(&job))),
    ("by_hand", |name, job| by_hand(name, job, by_hand::window)),
    ("rtrb", |name, job| peer(name, job, rtrb::window)),
    ("disruptor", |name, job| peer(name, job, disruptor::window)),
    ("timely", |name, job| peer(name, job, timely::window)),
    #[cfg(feature = "aeron")]
    ("aeron", |name, job| peer(name, job, aeron::window)),
];
/// Contenders that do the work where the events are made.
const IN_PLACE: [(&str, Enter); 3] = [
    ("engine_in_place", |name, job| Entrant::new(name, move || ours::session_in_place(&job))),
    ("by_hand_in_place", |name, job| by_hand(name, job, by_hand::window_in_place)),
    ("map", |name, job| peer(name, job, map::window)),
];
/// A second engine, set up like the first: their ratio is 1, or the method is wrong.
const AGAIN: (&str, Enter) =
    ("engine_again", |name, job| Entrant::new(name, move || ours::session(&job)));
const IN_PLACE_AGAIN: (&str, Enter) =
    ("engine_in_place_again", |name, job| Entrant::new(name, move || ours::session_in_place(&job)));

/// One window of a contender with a table of its own.
type InWindow<K> = fn(&Job, K) -> Result<(MeasuredWindow, K)>;

fn peer(
    name: &'static str,
    job: Job,
    window: InWindow<PlainTable>,
) -> Entrant<'static, MeasuredWindow> {
    Entrant::new(name, move || Ok(Rerun::new(&job, window)))
}

fn by_hand(
    name: &'static str,
    job: Job,
    window: InWindow<Tallies>,
) -> Entrant<'static, MeasuredWindow> {
    Entrant::new(name, move || Ok(Rerun::new(&job, window)))
}

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

fn latency(report: &mut Report, case: &LatencyCase, need: f64) -> Result<()> {
    let suffix = case.suffix;
    let job = Job::of_window(report, LATENCY_KEYS, Pace::Rate(case.rate));
    let ratios = [["engine", "rtrb"], ["timely", "engine"], ["engine", "by_hand"]];
    let series = compete(report, job, &ratios, ACROSS, need)?;
    let ratio = |above, below| series.ratio(above, below, MeasuredWindow::p50_ns);
    let goal = Goal::AtMost(case.over_rtrb_max);
    report.goal(format!("engine_over_rtrb_p50_{suffix}"), ratio("engine", "rtrb"), NONE, goal);
    let goal = Goal::AtMost(P50_OVER_BY_HAND_MAX);
    let value = ratio("engine", "by_hand");
    report.goal(format!("engine_over_by_hand_p50_{suffix}"), value, NONE, goal);
    let goal = Goal::AtLeast(case.timely_over_min);
    report.goal(format!("timely_over_engine_p50_{suffix}"), ratio("timely", "engine"), NONE, goal);
    for peer in ["disruptor", "aeron"].into_iter().filter(|peer| series.names().contains(peer)) {
        report.figure(format!("engine_over_{peer}_p50_{suffix}"), ratio("engine", peer), NONE);
    }
    for name in series.names() {
        let p50 = series.median(name, MeasuredWindow::p50_ns);
        report.figure(format!("{name}_p50_ns_{suffix}"), p50, NONE);
        let typical = series.typical(name, MeasuredWindow::p50_ns);
        report.detail(format!("{name}_{suffix}"), typical.latency.all().summary());
        let takes = series.takes(name, |window| &window.latency);
        let load = format!("{} per second, constant", case.rate);
        report.track(Track::open(format!("{name}_{suffix}"), &load, takes));
    }
    Ok(())
}

fn across(report: &mut Report, case: &ThroughputCase, need: f64) -> Result<()> {
    let suffix = case.suffix;
    let job = Job::of_window(report, case.keys, Pace::Full);
    let again = if case.keys == AGAIN_KEYS { &[AGAIN][..] } else { &[] };
    let all = [["engine", "timely"], ["engine", "by_hand"], ["engine", AGAIN.0]];
    let ratios = &all[..2 + again.len()];
    let series = compete(report, job, ratios, &[ACROSS, again].concat(), need)?;
    let ratio = |above, below| series.ratio(above, below, MeasuredWindow::events_per_second);
    let [amd, other] = case.over_timely_min;
    let goal = Goal::AtLeast(if host::is_amd() { amd } else { other });
    let name = format!("engine_over_timely_throughput{suffix}");
    report.goal(name, ratio("engine", "timely"), NONE, goal);
    let goal = Goal::AtLeast(case.over_by_hand_min);
    let name = format!("engine_over_by_hand_throughput{suffix}");
    report.goal(name, ratio("engine", "by_hand"), NONE, goal);
    if case.keys == AGAIN_KEYS {
        report.goal("engine_over_itself", ratio("engine", AGAIN.0), NONE, ITSELF);
    }
    rates(report, &series, suffix);
    Ok(())
}

/// Events per second of all contenders.
fn rates(report: &mut Report, series: &Paired<MeasuredWindow>, suffix: &str) {
    for name in series.names() {
        let rate = series.median(name, MeasuredWindow::events_per_second);
        report.figure(format!("{name}_events_per_second{suffix}"), rate, NONE);
        let typical = series.typical(name, MeasuredWindow::events_per_second);
        report.detail(format!("{name}_throughput{suffix}"), json!({ "events": typical.events }));
    }
}

fn in_place(report: &mut Report, case: &ThroughputCase, need: f64) -> Result<()> {
    let suffix = case.suffix;
    let job = Job::of_window(report, case.keys, Pace::Full);
    let again = if case.keys == AGAIN_KEYS { &[IN_PLACE_AGAIN][..] } else { &[] };
    let [engine, by_hand, map] = ["engine_in_place", "by_hand_in_place", "map"];
    let all = [[engine, by_hand], [engine, map], [engine, IN_PLACE_AGAIN.0]];
    let ratios = &all[..2 + again.len()];
    let series = compete(report, job, ratios, &[&IN_PLACE, again].concat(), need)?;
    let ratio = |below| series.ratio(engine, below, MeasuredWindow::event_ns);
    let bar = Goal::AtMost(case.in_place_over_by_hand_max);
    report.goal(format!("engine_over_by_hand_in_place{suffix}"), ratio(by_hand), NONE, bar);
    if case.keys == AGAIN_KEYS {
        report.goal("engine_in_place_over_itself", ratio(IN_PLACE_AGAIN.0), NONE, ITSELF);
    }
    let goal = |keys, goal| (case.keys == keys).then_some(goal);
    let bar = goal(1_000_000, Goal::AtMost(0.8));
    report.figure_toward(format!("in_place_over_map{suffix}"), ratio(map), NONE, bar);
    let bar = goal(10_000, Goal::AtMost(20.0));
    let event_ns = |name| series.median(name, MeasuredWindow::event_ns);
    report.figure_toward(format!("in_place_ns{suffix}"), event_ns(engine), NONE, bar);
    for (name, field) in [(by_hand, "by_hand_in_place_ns"), (map, "map_ns")] {
        report.figure(format!("{field}{suffix}"), event_ns(name), NONE);
    }
    rates(report, &series, suffix);
    Ok(())
}

/// What one more filter or map in front of the table costs.
fn operators(report: &mut Report, need: f64) -> Result<()> {
    let job = Job::of_window(report, LATENCY_KEYS, Pace::Full);
    let ways: [(&str, Enter); 2] = [
        ("plain", |name, job| Entrant::new(name, move || ours::session_in_place(&job))),
        ("chain", |name, job| Entrant::new(name, move || ours::session_operators(&job))),
    ];
    let series = compete(report, job, &[["chain", "plain"]], &ways, need)?;
    let added = series.difference("chain", "plain", MeasuredWindow::event_ns);
    let each = added.divided_by(ours::OPERATORS as f64);
    report.goal("operator_ns", each, NONE, Goal::AtMost(2.0));
    Ok(())
}

fn compete(
    report: &mut Report,
    job: Job,
    ratios: &[[&str; 2]],
    ways: &[(&'static str, Enter)],
    need: f64,
) -> Result<Paired<MeasuredWindow>> {
    let what = format!("keyed count, {} keys, {}", job.keys, job.pace);
    if let Err(error) = ensure_memory(job.keys * ways.len() as u64 * KEY_BYTES_MAX) {
        report.failed(what, &error);
        report.budget().begin(need);
        return Ok(Paired::empty(ways.iter().map(|(name, _)| *name)));
    }
    let length = report.scale().probe;
    let probe = move || probe::of_cores(job.place, length);
    let contest = Contest { what: &what, probe: &probe, ratios, need };
    let entrants = ways.iter().map(|(name, enter)| enter(name, job)).collect();
    alternate(report, &contest, entrants)
}

/// All contenders keep their tables from window to window.
fn ensure_memory(needed: u64) -> Result<()> {
    let text = fs::read_to_string("/proc/meminfo").context("no memory figures")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let available = 1024 * kibibytes.context("no memory figures")?.parse::<u64>()?;
    ensure!(
        needed < available,
        "the tables of all contenders take {} MB and {} MB are free: free some, or use --quick",
        needed >> 20,
        available >> 20
    );
    Ok(())
}

/// Figures by class have the raw round trip of their class beside them.
const NONE: f64 = 0.0;
/// The table at which the engine is compared with itself.
const AGAIN_KEYS: u64 = 10_000;
/// Of an engine against itself.
const ITSELF: Goal = Goal::OneWithin(0.03);
/// Keys of the table where latency and operators are measured.
const LATENCY_KEYS: u64 = 10_000;
/// Bytes of a key in the table of a contender: up to 130, rounded up.
const KEY_BYTES_MAX: u64 = 140;
/// Seconds per key of a contender's set-ups, all together.
const SETUP_KEY_SECONDS: f64 = 0.5e-6;
/// Seconds per key of a round of growth.
const GROWTH_KEY_SECONDS: f64 = 0.5e-6;

/// How to read the figures.
const NOTES: &[&str] = &[
    "over_itself: a second engine in the same windows: 1.00 within 3 % or the run is void",
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
    use crate::place::Place;

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
            "engine_over_itself",
            "engine_in_place_over_itself",
            "operator_ns",
            "growth_worst_us",
            "bytes_per_key",
        ] {
            assert!(report.value(name).is_some(), "{name} is missing");
        }
    }

    #[test]
    fn tables_that_do_not_fit_are_refused_with_a_remedy() {
        let error = ensure_memory(u64::MAX).unwrap_err().to_string();
        assert!(error.contains("use --quick"), "{error}");
        assert!(ensure_memory(1).is_ok());
    }
}
