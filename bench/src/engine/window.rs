//! The work of a contender in windows: what it did in one, and a table that outlives them.

use anyhow::{Context, Result, ensure};

use super::job::Job;
use super::load::Load;
use crate::gaps::CoreGaps;
use crate::pairs::WindowRunner;
use crate::take::Take;

/// What a contender did in one window.
#[derive(Debug)]
pub struct MeasuredWindow {
    /// Time after the update minus intended time, per event; empty at full speed.
    pub latency: Take,
    /// Events taken in.
    pub events: u64,
    /// Time until the last of them was taken in, as seen by the owner.
    pub nanos: u64,
}

impl MeasuredWindow {
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
}

/// What the owner did and kept, with the gaps of the side that made the load.
pub fn with_load<K>(
    (load, (mut window, kept)): (CoreGaps, (MeasuredWindow, K)),
) -> (MeasuredWindow, K) {
    window.latency.gaps.push(load);
    (window, kept)
}

/// A table that is filled once and updated in all windows.
pub trait Filled {
    /// A table with all keys in it.
    fn filled(keys: u64) -> Self;

    /// The sum over all states; see [`Load::checksum`].
    fn checksum(&self) -> u64;
}

/// A contender whose threads end with each window. Each begins the same load anew.
pub struct Rerun<K> {
    job: Job,
    window: fn(&Job, K) -> Result<(MeasuredWindow, K)>,
    /// `None` when a window failed.
    table: Option<K>,
    /// Events of each window.
    counts: Vec<u64>,
}

impl<K: Filled> Rerun<K> {
    /// Fills the table.
    pub fn new(job: &Job, window: fn(&Job, K) -> Result<(MeasuredWindow, K)>) -> Self {
        Self { job: *job, window, table: Some(K::filled(job.keys)), counts: Vec::new() }
    }
}

impl<K: Filled> WindowRunner<MeasuredWindow> for Rerun<K> {
    fn window(&mut self) -> Result<MeasuredWindow> {
        let table = self.table.take().context("an earlier window failed")?;
        let (window, table) = (self.window)(&self.job, table)?;
        // Without real-time priority a short window may pass while something else runs.
        let is_measured = window.events > 0 || !self.job.place.fifo;
        ensure!(is_measured, "no event came through in the window");
        self.counts.push(window.events);
        self.table = Some(table);
        Ok(window)
    }

    /// The states are sums over all windows.
    fn finish(self: Box<Self>) -> Result<()> {
        let table = self.table.context("an earlier window failed")?;
        let expected = self.counts.iter().map(|&events| Load::checksum(self.job.keys, events));
        let expected = expected.fold(0, u64::wrapping_add);
        ensure!(table.checksum() == expected, "the states do not add up to the events sent");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::job::Pace;
    use crate::place::Place;

    struct Sum(u64);

    impl Filled for Sum {
        fn filled(_: u64) -> Self {
            Self(0)
        }

        fn checksum(&self) -> u64 {
            self.0
        }
    }

    fn finish(window: fn(&Job, Sum) -> Result<(MeasuredWindow, Sum)>) -> Result<()> {
        let slice = Duration::from_millis(1);
        let place = Place { fifo: true, ..Place::toy() };
        let job = Job { place, keys: 9, pace: Pace::Full, slice };
        let mut session = Box::new(Rerun::new(&job, window));
        for _ in 0..2 {
            session.window()?;
        }
        session.finish()
    }

    fn window(events: u64) -> MeasuredWindow {
        MeasuredWindow { latency: Take::default(), events, nanos: 1 }
    }

    #[test]
    fn windows_add_up_and_a_wrong_checksum_is_an_error() {
        let right = |job: &Job, sum: Sum| {
            let sum = sum.0.wrapping_add(Load::checksum(job.keys, 7));
            Ok((window(7), Sum(sum)))
        };
        assert!(finish(right).is_ok());
        assert!(finish(|_, sum| Ok((window(7), sum))).is_err());
        assert!(finish(|_, sum| Ok((window(0), sum))).is_err());
    }
}
