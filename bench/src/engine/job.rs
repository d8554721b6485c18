//! The job of a contender in one slice.

use std::time::Duration;

use crate::load::{Departures, Traffic};
use crate::place::Place;
use crate::report::Report;
use crate::stamp;

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
        Self { place: report.place(), keys, pace, slice: report.scale().slice }
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

/// The loop that makes events, among those that are watched.
pub const LOAD: usize = 0;
/// The loop that takes them in.
pub const OWN: usize = 1;
