//! The job of a contender in one slice, and its outcome.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::load::Load;
use crate::load::{Departures, Traffic};
use crate::place::Place;
use crate::report::Report;
use crate::stamp;
use crate::take::Take;

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
    /// Whether caches hold something else when the slice begins.
    pub cold: bool,
}

impl Job {
    /// The moments of a slice that begins now, at a rate.
    pub fn departures(&self, rate: u32) -> Departures {
        Traffic::constant(rate).departures(0, stamp::now(), self.slice)
    }

    /// A window of the report's length at its place.
    pub fn of_window(report: &Report, keys: u64, pace: Pace) -> Self {
        Self { slice: report.scale().window, ..Self::new(report, keys, pace) }
    }

    /// A slice of the report's length at its place.
    pub fn new(report: &Report, keys: u64, pace: Pace) -> Self {
        Self { place: report.place(), keys, pace, slice: report.scale().slice, cold: false }
    }
}

/// How fast events come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Open loop, this many per second, each with an intended time.
    Rate(u32),
    /// As fast as they are taken, without latencies.
    Full,
}

impl std::fmt::Display for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rate(rate) => write!(f, "{rate} events/s"),
            Self::Full => f.write_str("full speed"),
        }
    }
}

/// What a contender did in one slice.
#[derive(Debug)]
pub struct Outcome {
    /// Number of keys of the job.
    pub keys: u64,
    /// Time after the update minus intended time, per event; empty at full speed.
    pub latency: Take,
    /// Events from the first on, all of which are in the states.
    pub sent: u64,
    /// Events taken in while the clock ran; all of them, where it starts with the first one.
    pub events: u64,
    /// Time until the last of them was taken in, as seen by the owner.
    pub nanos: u64,
    /// Sum over all states; see [`Load::checksum`].
    pub checksum: u64,
}

impl Outcome {
    /// Median latency, in nanoseconds.
    pub fn p50_ns(&self) -> f64 {
        self.latency.quantile(0.5)
    }

    /// Events taken in per second.
    pub fn events_per_second(&self) -> f64 {
        self.events as f64 * 1e9 / self.nanos as f64
    }

    /// Nanoseconds per event.
    pub fn event_ns(&self) -> f64 {
        self.nanos as f64 / self.events as f64
    }

    /// Fails unless each key got its events with their values.
    ///
    /// # Errors
    /// Some got others.
    pub fn verified(self) -> Result<Self> {
        let expected = Load::checksum(self.keys, self.sent);
        ensure!(self.sent > 0, "no event came through");
        ensure!(self.checksum == expected, "the states do not add up to the events sent");
        Ok(self)
    }
}

/// The loop that makes events, among those that are watched.
pub const LOAD: usize = 0;
/// The loop that takes them in.
pub const OWN: usize = 1;
