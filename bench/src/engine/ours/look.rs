//! Looks at the counters of a running engine, and what lies between two of them.

use std::thread;
use std::time::Duration;

use potoroo::Running;
use potoroo::control::report::{CheckpointSummary, CoreStatus, PathSummary, Status};

use crate::engine::job::{Job, Pace};
use crate::engine::window::MeasuredWindow;
use crate::gaps::{CoreGaps, LoopGap};
use crate::recorder::Recorder;
use crate::stamp;
use crate::take::Take;

/// The counters of a moment.
pub struct Look {
    pub nanos: u64,
    status: Status,
}

/// What was late before its priority was raised is not measured: the slice begins when events
/// come as fast as they are due.
pub fn look_when_caught_up(running: &Running, job: &Job) -> Look {
    let mut before = look(running);
    let end = before.nanos + (3 * job.slice).max(CATCH_UP_MAX).as_nanos() as u64;
    while before.nanos < end {
        thread::sleep(job.slice / 16);
        let after = look(running);
        let events = (after.events() - before.events()) as f64;
        let seconds = (after.nanos - before.nanos) as f64 / 1e9;
        before = after;
        match job.pace {
            Pace::Rate(rate) if job.place.fifo => {
                let share = events / (f64::from(rate) * seconds);
                if (0.9..=1.1).contains(&share) {
                    break;
                }
            }
            _ => break,
        }
    }
    before
}

/// The counts are read first, some microseconds after the stamp.
pub fn look(running: &Running) -> Look {
    Look { nanos: stamp::now(), status: running.status() }
}

impl Look {
    /// Events whose update has been done.
    pub fn events(&self) -> u64 {
        let snapshot = &self.status.snapshot;
        // One path of each source.
        let paths = snapshot.paths.iter().take(snapshot.sources.len());
        paths.map(|path| path.latency.len()).sum()
    }

    /// What is known of checkpoints.
    pub fn checkpoints(&self) -> CheckpointSummary {
        self.status.snapshot.checkpoints.clone().unwrap_or_default()
    }

    /// All latencies, and those outside gaps.
    fn latencies(&self) -> [Recorder; 2] {
        let PathSummary { latency, outside, .. } = &self.status.snapshot.paths[0];
        [latency, outside].map(|histogram| {
            let mut recorder = Recorder::new();
            for step in histogram.iter_recorded() {
                recorder.record_n(step.value_iterated_to(), step.count_at_value());
            }
            recorder
        })
    }

    /// Gaps that the engine's cores reported between another look and this one.
    fn gaps_since(&self, before: &Self) -> Vec<CoreGaps> {
        let names: &[&str] =
            if self.status.cores.len() == 2 { &["load", "own"] } else { &["core"] };
        let cores = self.status.cores.iter().zip(names.iter().cycle());
        let gaps = |(core, name): (&CoreStatus, &&str)| {
            let recent = core.gaps.recent.iter().map(|gap| LoopGap::from(*gap));
            CoreGaps::reported(name, before.nanos, self.nanos, recent)
        };
        cores.map(gaps).collect()
    }
}

/// What the engine did between two looks.
pub fn between(job: &Job, [before, after]: &[Look; 2]) -> MeasuredWindow {
    // One interval: a look in the middle of a slice would take a CPU from the engine.
    let mut latency = Take::default();
    if job.pace != Pace::Full {
        let ([all, outside], [all_before, outside_before]) =
            (after.latencies(), before.latencies());
        let length_ns = after.nanos - before.nanos;
        let (all, outside) = (all.without(&all_before), outside.without(&outside_before));
        latency.push(before.nanos, length_ns, &all, &outside);
        latency.gaps = after.gaps_since(before);
    }
    let events = after.events() - before.events();
    MeasuredWindow { latency, events, nanos: after.nanos - before.nanos }
}

/// Who has not caught up within three slices, or within this time, never will, and the figures
/// shall say so.
const CATCH_UP_MAX: Duration = Duration::from_millis(400);
