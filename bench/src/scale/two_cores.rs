//! Two cores over one, with a source on every core: what a second core gains by the time that the
//! handler takes.
//!
//! ```text
//!   load-0 (first core)  ── key_by ──► tallies-0 on all cores ┐
//!   load-1 (second core) ── key_by ──► tallies-1 on all cores ┘  handler: `work` ns, then a tally
//! ```
//!
//! Both sources, both tables and all handlers are the same on one core and on two, and so are the
//! events. On two cores every other event crosses. Each source proves its checksum by itself.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::Result;
use potoroo::Config;
use potoroo::prelude::*;
use potoroo_runtime::Idle;

use crate::engine::Job;
use crate::engine::load::{Item, ItemCodec, Tally};
use crate::engine::ours::{EngineSession, FilledEngine, Shared};
use crate::stamp;

/// Nanoseconds of work in the handler, by name.
pub const WORKS: [(&str, u64); 4] = [("0ns", 0), ("30ns", 30), ("100ns", 100), ("300ns", 300)];

/// Work of a length, in steps of a chain of multiplications that no processor can shorten.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    steps: u64,
}

impl Work {
    /// About this many nanoseconds on this processor, now.
    pub fn of(nanos: u64) -> Self {
        let timed = || {
            let start = stamp::now();
            black_box(Self { steps: CALIBRATION_STEPS }.done(black_box(1)));
            stamp::now() - start
        };
        // The quickest of some: the others were interrupted.
        let least = (0..CALIBRATIONS).map(|_| timed()).min().unwrap_or(1).max(1);
        Self { steps: nanos * CALIBRATION_STEPS / least }
    }

    /// Each step waits for the one before.
    #[inline]
    fn done(self, seed: u64) -> u64 {
        (0..self.steps).fold(seed, |value, _| value.wrapping_mul(MULTIPLIER).wrapping_add(1))
    }
}

/// Both sources at full speed on `cores`.
///
/// # Errors
/// The engine cannot start, or refuses events.
pub fn session(job: &Job, cores: &[usize], work: Work) -> Result<EngineSession> {
    let config =
        Config { cores: cores.into(), idle: Idle::Spin, progress: false, ..Config::default() };
    EngineSession::of(job, cores.len(), || {
        let sources = SOURCES.map(|(source, _)| source);
        FilledEngine::start_all(job, config, &sources, move |keys, shares| {
            application(keys, work, shares)
        })
    })
}

fn application(keys: u64, work: Work, shares: &[Arc<Shared>]) -> Application {
    let app = Application::new("busy-count");
    for ((source, table), shared) in SOURCES.into_iter().zip(shares) {
        shared.generator::<Item>(&app, source, keys);
        let (tallies, shared) = (app.table::<u64, Tally>(table), Arc::clone(shared));
        app.source(source, ItemCodec).key_by(|item| item.key).update(
            &tallies,
            move |tally, item| {
                if Shared::is_mark(item.rest[0]) {
                    shared.mark(0, item.rest[0], tally.checksum(item.rest[1]));
                } else {
                    // The chain of a key goes on from its state, as work of an application does.
                    black_box(work.done(tally.mixed));
                    tally.update(item.value, item.intended_ns);
                }
            },
        );
    }
    app
}

/// Sources and their tables. The n-th generator runs on the n-th core, as far as there are cores.
const SOURCES: [(&str, &str); 2] = [("load-0", "tallies-0"), ("load-1", "tallies-1")];
/// About a millisecond.
const CALIBRATION_STEPS: u64 = 1_000_000;
const CALIBRATIONS: usize = 16;
/// Odd, so that no value is lost; any other would take as long.
const MULTIPLIER: u64 = 6_364_136_223_846_793_005;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_grows_with_its_length() {
        assert_eq!(Work::of(0).steps, 0);
        let (short, long) = (Work::of(100).steps, Work::of(10_000).steps);
        assert!(short > 0 && long > short, "{short} and {long} steps");
        assert_ne!(Work { steps: 3 }.done(5), Work { steps: 4 }.done(5));
    }
}
