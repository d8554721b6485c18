//! A track: all takes of one contender under one load, and what a record says of them.

use hdrhistogram::Histogram;

use crate::results::{GapSum, LatencySeries, Percentiles};
use crate::take::{Take, TakeInterval};

/// The takes of one series, in the order of time.
#[derive(Clone, Debug)]
pub struct Track {
    /// Name of the series: letters, digits, `_`, `-`; its files are named so.
    pub name: String,
    /// How events came, in words.
    pub load: String,
    /// Whether latency counts from an intended departure.
    pub open_loop: bool,
    /// One per round, or several.
    pub takes: Vec<Take>,
}

impl Track {
    /// Round trips with one event under way: no intended departure can be missed.
    pub fn closed(name: impl Into<String>, takes: Vec<Take>) -> Self {
        let load = "closed loop, one event under way".into();
        Self { name: name.into(), load, open_loop: false, takes }
    }

    /// Events with departures fixed beforehand; `load` says how, such as `100000 per second`.
    pub fn open(name: impl Into<String>, load: &str, takes: Vec<Take>) -> Self {
        let load = format!("open loop, {load}");
        Self { name: name.into(), load, open_loop: true, takes }
    }

    /// Whether gaps were looked for.
    pub fn is_watched(&self) -> bool {
        !self.takes.is_empty() && self.takes.iter().all(|take| !take.gaps.is_empty())
    }

    /// What a record says.
    pub fn series(&self) -> LatencySeries {
        let outside = self.is_watched().then(|| percentiles(&self.histogram(|it| &it.outside)));
        LatencySeries {
            name: self.name.clone(),
            load: self.load.clone(),
            open_loop: self.open_loop,
            seconds: self.intervals().map(|it| seconds(it.length_ns)).sum(),
            all: percentiles(&self.histogram(|it| &it.all)),
            outside,
            gaps: self.gap_sums(),
            kept: false,
        }
    }

    /// All values of all intervals by one of their two views.
    pub fn histogram(&self, view: fn(&TakeInterval) -> &[(u64, u64)]) -> Histogram<u64> {
        let mut all = empty();
        self.intervals().for_each(|interval| add(&mut all, view(interval)));
        all
    }

    /// All intervals in the order of time.
    pub fn intervals(&self) -> impl Iterator<Item = &TakeInterval> {
        self.takes.iter().flat_map(|take| &take.intervals)
    }

    fn gap_sums(&self) -> Vec<GapSum> {
        let mut sums: Vec<GapSum> = Vec::new();
        for core in self.takes.iter().flat_map(|take| &take.gaps) {
            let listed = core.gaps.iter().map(|gap| gap.end_ns - gap.start_ns);
            let here = GapSum {
                name: core.name.clone(),
                watched_seconds: seconds(core.watched_ns),
                count: core.gaps.len() as u64 + core.unlisted,
                total_ns: listed.clone().sum::<u64>() + core.unlisted_ns,
                longest_ns: listed.max().unwrap_or(0),
                switches: core.gaps.iter().map(|gap| gap.switches).sum(),
            };
            match sums.iter_mut().find(|sum| sum.name == here.name) {
                Some(sum) => sum.add(&here),
                None => sums.push(here),
            }
        }
        sums
    }
}

impl GapSum {
    fn add(&mut self, other: &Self) {
        self.watched_seconds += other.watched_seconds;
        self.count += other.count;
        self.total_ns += other.total_ns;
        self.longest_ns = self.longest_ns.max(other.longest_ns);
        self.switches += other.switches;
    }
}

/// A histogram that grows with its values: three significant digits, as the standard tools use.
pub fn empty() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are allowed")
}

/// Adds values with their counts.
pub fn add(histogram: &mut Histogram<u64>, steps: &[(u64, u64)]) {
    for &(value, count) in steps {
        histogram.record_n(value, count).expect("it grows with its values");
    }
}

/// The usual percentiles.
pub fn percentiles(histogram: &Histogram<u64>) -> Percentiles {
    let at = |quantile| histogram.value_at_quantile(quantile);
    Percentiles {
        count: histogram.len(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        p9999: at(0.9999),
        max: histogram.max(),
        mean: histogram.mean(),
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
