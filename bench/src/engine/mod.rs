//! `engine`: keyed count of 64-byte events, produced on one core and owned by the other.
//!
//! Latency is open loop: each event has an intended time, and what is recorded is the time after
//! its update minus that, so a producer that falls behind makes its events late instead of fewer.
//! All keys are in all tables before the clock starts. All contenders send *every* event across.

mod load;
mod map;
mod owner;
mod rtrb;
mod timely;

use std::hint::spin_loop;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use self::load::Load;
use crate::place::Place;
use crate::recorder::Recorder;
use crate::report::Report;
use crate::rounds::{Contender, Scale, Series, alternate};
use crate::stamp;

/// Runs all contenders at all paces and key counts.
///
/// # Errors
/// A contender failed, or its states do not add up to what was sent.
pub fn bench(place: Place, scale: Scale) -> Result<Report> {
    let mut report = Report::new("engine", place, scale);
    for (suffix, rate) in [("100k", 100_000), ("1m", 1_000_000)] {
        latency(&mut report, place, scale, suffix, rate)?;
    }
    for (suffix, keys) in [("", 10_000), ("_1m_keys", 1_000_000), ("_10m_keys", 10_000_000)] {
        if keys <= scale.keys_max {
            throughput(&mut report, place, scale, suffix, keys)?;
        }
    }
    NOTES.iter().for_each(|note| report.note(note));
    Ok(report)
}

/// What a contender has to do in one slice.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Where: produced on the left, owned on the right.
    pub place: Place,
    /// Number of different keys.
    pub keys: u64,
    /// How fast events come.
    pub pace: Pace,
    /// How long events come.
    pub slice: Duration,
}

/// How fast events come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Open loop, so many per second, each with an intended time.
    Rate(u32),
    /// As fast as they are taken, without latencies.
    Full,
}

/// What a contender did in one slice.
#[derive(Debug)]
pub struct Outcome {
    /// Number of keys of the job.
    pub keys: u64,
    /// Time after the update minus intended time, per event; empty at full speed.
    pub latency: Recorder,
    /// Events taken in.
    pub events: u64,
    /// Time until the last of them was taken in, as seen by the owner.
    pub nanos: u64,
    /// Sum over all states; [`Load::checksum`] says what it must be.
    pub checksum: u64,
}

impl Outcome {
    fn p50_ns(&self) -> f64 {
        self.latency.quantile(0.5)
    }

    fn events_per_second(&self) -> f64 {
        self.events as f64 * 1e9 / self.nanos as f64
    }

    fn event_ns(&self) -> f64 {
        self.nanos as f64 / self.events as f64
    }

    /// Fails unless each key got its events with their values.
    fn verified(self) -> Result<Self> {
        let expected = Load::checksum(self.keys, self.events);
        ensure!(self.events > 0, "no event came through");
        ensure!(self.checksum == expected, "the states do not add up to the events sent");
        Ok(self)
    }
}

/// All ways to do the job have this shape.
type Run = fn(&Job) -> Result<Outcome>;

/// Contenders that carry events from one core to the other.
const ACROSS: [(&str, Run); 2] = [("rtrb", rtrb::run), ("timely", timely::run)];
/// Contenders that do the work where the events are made.
const IN_PLACE: [(&str, Run); 1] = [("map", map::run)];

fn latency(report: &mut Report, place: Place, scale: Scale, suffix: &str, rate: u32) -> Result<()> {
    let job = Job { place, keys: 10_000, pace: Pace::Rate(rate), slice: scale.slice };
    let series = compete(scale, job, &ACROSS)?;
    for &name in series.names() {
        let p50 = series.median(name, Outcome::p50_ns);
        report.figure(format!("{name}_p50_ns_{suffix}"), p50, series.raw_rtt_ns(&[name]));
        let typical = series.typical(name, Outcome::p50_ns);
        report.detail(format!("{name}_{suffix}"), typical.latency.summary());
    }
    let ratio = series.ratio("timely", "rtrb", Outcome::p50_ns);
    let raw = series.raw_rtt_ns(&["timely", "rtrb"]);
    report.figure(format!("timely_over_rtrb_p50_{suffix}"), ratio, raw);
    Ok(())
}

fn throughput(
    report: &mut Report,
    place: Place,
    scale: Scale,
    suffix: &str,
    keys: u64,
) -> Result<()> {
    let job = Job { place, keys, pace: Pace::Full, slice: scale.slice };
    let series = compete(scale, job, &[ACROSS.as_slice(), IN_PLACE.as_slice()].concat())?;
    for &name in series.names() {
        let rate = series.median(name, Outcome::events_per_second);
        let raw = series.raw_rtt_ns(&[name]);
        report.figure(format!("{name}_events_per_second{suffix}"), rate, raw);
        let typical = series.typical(name, Outcome::events_per_second);
        let detail = json!({ "events": typical.events, "checksum": typical.checksum });
        report.detail(format!("{name}_throughput{suffix}"), detail);
    }
    let raw = series.raw_rtt_ns(&["map"]);
    report.figure(format!("map_ns{suffix}"), series.median("map", Outcome::event_ns), raw);
    Ok(())
}

fn compete(scale: Scale, job: Job, ways: &[(&'static str, Run)]) -> Result<Series<Outcome>> {
    eprintln!("keyed count, {} keys, {:?}", job.keys, job.pace);
    let contender = |&(name, run): &(&'static str, Run)| {
        Contender::new(name, move || run(&job).and_then(Outcome::verified))
    };
    alternate(job.place, scale, ways.iter().map(contender).collect())
}

/// The intended times of an open loop.
#[derive(Debug)]
pub struct Schedule {
    next_ns: u64,
    end_ns: u64,
    interval_ns: u64,
}

impl Schedule {
    /// Starts now, with `rate` events per second for the length of `slice`.
    ///
    /// # Panics
    /// When the rate is 0 or above one per nanosecond.
    pub fn start(rate: u32, slice: Duration) -> Self {
        let interval_ns = 1_000_000_000 / u64::from(rate);
        assert!(interval_ns > 0, "{rate} events per second are below a nanosecond each");
        let now = stamp::now();
        Self { next_ns: now + interval_ns, end_ns: now + slice.as_nanos() as u64, interval_ns }
    }

    /// The intended time of the next event, when it has come and the schedule is not over.
    #[inline]
    pub fn due(&mut self) -> Option<u64> {
        let intended_ns = self.next_ns;
        if stamp::now() < intended_ns || self.is_over() {
            return None;
        }
        self.next_ns += self.interval_ns;
        Some(intended_ns)
    }

    /// Spins until the next event is due and returns its intended time; `None` after the last.
    #[inline]
    pub fn wait(&mut self) -> Option<u64> {
        while !self.is_over() {
            if let Some(intended_ns) = self.due() {
                return Some(intended_ns);
            }
            spin_loop();
        }
        None
    }

    /// Whether all events have been handed out.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.next_ns >= self.end_ns
    }
}

/// How to read the figures.
const NOTES: [&str; 3] = [
    "map: std::collections::HashMap with a multiply-rotate hash, keys scattered over 64 bits",
    "rtrb: push and pop of single events at a fixed rate, chunks of 64 at full speed",
    "timely: two workers, fed on one, all keys owned by the other, typed channels",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contender_proves_its_checksum_at_toy_size() {
        let place = Place::toy();
        let report = bench(place, Scale::toy()).unwrap();
        for name in ["rtrb_p50_ns_100k", "timely_p50_ns_1m", "map_ns", "rtrb_events_per_second"] {
            assert!(report.value(name).is_some(), "{name} is missing");
        }
    }

    #[test]
    fn a_wrong_checksum_is_an_error() {
        let latency = Recorder::new();
        let outcome = Outcome { keys: 10, latency, events: 100, nanos: 1, checksum: 1 };
        assert!(outcome.verified().is_err());
    }

    #[test]
    fn a_schedule_hands_out_each_interval_once() {
        let mut schedule = Schedule::start(1_000_000, Duration::from_micros(100));
        let times: Vec<u64> = std::iter::from_fn(|| schedule.wait()).collect();
        assert_eq!(times.len(), 99);
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 1000));
    }
}
