//! Timed: applications that use the times of events, and what the engine leaves of them, compared
//! with what the reference does.
//!
//! Promises: what is compared depends on no schedule and no number of cores.

mod joins;
mod timers;
mod windows;

use std::collections::BTreeMap;

use potoroo_sdk::prelude::*;

use crate::runs::{Chronicle, Subject, Troubles, World, live};
use crate::seeds::{Concern, random};
use crate::simulator::{Deployment, Outcome, Script, Simulation};
use crate::workload::{FULL_LANE_BYTES, LATENESS_MS};

/// An application that uses the times of events, and its input.
pub struct TimedTrial {
    seed: u64,
    describe: Box<dyn Fn() -> Application>,
    /// One connection for each source, in the order of sources.
    scripts: Vec<Script>,
    /// The sinks that are compared.
    sinks: &'static [&'static str],
    /// How what a sink has got differs from what it should have.
    difference: fn(&[u8], &[u8]) -> Option<String>,
}

impl TimedTrial {
    /// What the reference sends to each sink: it gets one source after the other, since what is
    /// compared depends on no order of connections.
    fn expected(&self) -> BTreeMap<&'static str, Vec<u8>> {
        let mut reference = Reference::new((self.describe)()).expect("it is sound");
        let name = |script: &Script| format!("s{}", script.source);
        self.scripts.iter().for_each(|script| reference.feed(&name(script), &script.bytes));
        self.scripts.iter().rev().for_each(|script| reference.end(&name(script)));
        self.sinks.iter().map(|sink| (*sink, reference.output(sink))).collect()
    }

    /// # Errors
    /// A sink has not got what it should have.
    fn compare(&self, seen: impl Fn(&str) -> Vec<u8>) -> Result<(), String> {
        self.expected().into_iter().try_for_each(|(sink, expected)| {
            match (self.difference)(&seen(sink), &expected) {
                None => Ok(()),
                Some(difference) => Err(format!("sink `{sink}`: {difference}")),
            }
        })
    }

    /// Runs it once on this number of cores.
    ///
    /// # Errors
    /// The engine does something else than the reference.
    pub fn simulate(&self, cores: usize) -> Result<Outcome, String> {
        let any = Deployment::any(cores, self.seed);
        let lane_bytes = if self.seed.is_multiple_of(4) { FULL_LANE_BYTES } else { any.lane_bytes };
        let deployment = Deployment { lane_bytes, ..any };
        let scripts = self.scripts.clone();
        let outcome = Simulation::new(self.seed, &deployment, &self.describe, scripts).run();
        self.compare(|sink| outcome.sinks[sink].clone())?;
        Ok(outcome)
    }

    /// Runs it again and again on other numbers of cores, with these troubles, until all is done.
    ///
    /// # Errors
    /// All runs together do something else than the reference.
    pub fn survive(&self, troubles: &Troubles) -> Result<Chronicle, String> {
        let inputs = self.scripts.iter().map(|script| script.bytes.clone()).collect();
        let mut world = World { inputs, ..World::default() };
        let (describe, generators) = (&*self.describe, Vec::new());
        let subject = Subject { describe, partitions: 16, cores_max: 4, generators };
        let chronicle = live(self.seed, &subject, troubles, &mut world)?;
        self.compare(|sink| world.history(sink))?;
        Ok(chronicle)
    }
}

/// What one connection sends: at most `most` lines of a time in milliseconds, a key, what `rest`
/// makes of the number of the event, and a load.
///
/// Loads let lanes fill up that have room for batches of several events, and times that are further
/// apart than events may be late let a watermark pass what waits beside such a lane. Without both,
/// promises that are published too early are never noticed. Without loads there are more events
/// than a core replays in one turn.
fn script(
    (source, seed): (u8, u64),
    (most, late_max_ms): (u64, u64),
    mut rest: impl FnMut(u64, &mut Random) -> String,
) -> Script {
    let mut random = random(seed ^ u64::from(source) << 40, Concern::Workload);
    let (keys, gaps) = (1 + random.below(12), [0.0, 0.1, 0.5][random.below(3) as usize]);
    let load_bytes_max = [0, 60, 600, 600][random.below(4) as usize];
    let (mut bytes, mut now) = (String::new(), 0);
    let events_max = if load_bytes_max == 0 { most } else { 200 };
    for number in 0..1 + random.below(events_max) {
        let step_max = if random.chance(gaps) { 200 } else { LATENESS_MS };
        now += random.below(step_max);
        let late_max = if random.chance(0.1) { late_max_ms } else { LATENESS_MS };
        let time = now as i64 - random.below(late_max) as i64;
        let key = random.below(keys);
        let rest = rest(number, &mut random);
        let load = "x".repeat(random.below(1 + load_bytes_max) as usize);
        bytes.push_str(&format!("{time} {key} {rest} {load}\n"));
    }
    Script { source, bytes: bytes.into_bytes(), ..Script::default() }
}

/// A number that decides of an application what nothing else does.
fn which(seed: u64, count: u64) -> u64 {
    random(seed, Concern::Topology).below(count)
}

/// The first line of only one of both, whatever their order.
fn difference_in_any_order(seen: &[u8], expected: &[u8]) -> Option<String> {
    let sorted = |bytes| {
        let text: &str = str::from_utf8(bytes).expect("lines are text");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let (seen, expected) = (sorted(seen), sorted(expected));
    let longest = seen.len().max(expected.len());
    let at = (0..longest).find(|at| seen.get(*at) != expected.get(*at))?;
    Some(format!("{:?} instead of {:?}", seen.get(at), expected.get(at)))
}
