//! Instructions per event, counted one by one: the same on every run, whatever the machine does.
//!
//! A child process drives [`Core`] through turns of a keyed count in place, as `growth` does, and
//! stops itself after one count of turns and after another of twice as many. The difference is
//! what the further turns took; what stops and starts take is in both.

use std::process;
use std::sync::Arc;

use anyhow::Result;
use potoroo::flow::Core;
use potoroo_runtime::Nanos;

use super::{growth, ours};
use crate::interrupt;
use crate::progress::Progress;
use crate::report::{Goal, Report};
use crate::stepping;

/// Counts both, with and without operators.
///
/// Where they cannot be counted, both figures have no value, and the report says why.
///
/// # Errors
/// The run had been asked to end before.
pub fn bench(report: &mut Report) -> Result<()> {
    interrupt::check()?;
    let progress = Progress::new("instructions of an event", 2);
    let turns = if report.scale().growth_keys < COUNTED_KEYS { 1 } else { TURNS };
    let place = report.place();
    // Child and parent take turns on one CPU: no step wakes another one.
    let plain = place.alone(|_| count(turns, 0));
    progress.end();
    let chain = place.alone(|_| count(turns, ours::OPERATORS));
    progress.end();
    let counted = plain.and_then(|plain| Ok((plain, chain?)));
    let (plain, chain) = counted.unwrap_or_else(|error| {
        report.failed("event_instructions, operator_instructions", &error);
        (f64::NAN, f64::NAN)
    });
    report.figure("event_instructions", plain, 0.0);
    let operator = (chain - plain) / ours::OPERATORS as f64;
    report.goal("operator_instructions", operator, 0.0, Goal::AtMost(15.0));
    Ok(())
}

/// Instructions per event.
fn count(turns: usize, operators: usize) -> Result<f64> {
    let (turns_text, operators) = (turns.to_string(), operators.to_string());
    let parent = process::id().to_string();
    let counts = stepping::count(&["step", &turns_text, &operators, &parent], 2)?;
    Ok((counts[1] as f64 - counts[0] as f64) / (turns as f64 * EVENTS_PER_TURN))
}

/// What the child does.
///
/// # Errors
/// It is not traced, or the application is not sound.
pub fn step(turns: usize, operators: usize, parent: u32) -> Result<()> {
    let application = ours::counted(KEYS, operators, &Arc::default());
    let mut core = growth::core_of(application, "load", (0, u64::MAX))?;
    let mut now = 0;
    run(&mut core, &mut now, WARM_TURNS);
    stepping::offer(parent)?;
    stepping::lap()?;
    run(&mut core, &mut now, turns);
    stepping::lap()?;
    run(&mut core, &mut now, 2 * turns);
    stepping::lap()
}

#[inline(never)]
fn run(core: &mut Core, now: &mut u64, turns: usize) {
    for _ in 0..turns {
        *now += TURN_NS;
        core.turn(Nanos(*now), |_| {});
    }
}

/// Few enough that all of them are near.
const KEYS: u64 = 1024;
/// Fills the table and comes once around everything that happens rarely.
const WARM_TURNS: usize = 128;
/// Some hundred events.
const TURNS: usize = 2;
/// A generator brings as many into each turn.
const EVENTS_PER_TURN: f64 = 128.0;
/// On the child's own clock.
const TURN_NS: u64 = 5000;
/// Toy runs have fewer keys.
const COUNTED_KEYS: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_turn_has_its_events() {
        let application = ours::counted(KEYS, 0, &Arc::default());
        let mut core = growth::core_of(application, "load", (0, u64::MAX)).unwrap();
        let mut now = 0;
        run(&mut core, &mut now, WARM_TURNS);
        let before = core.counts().sources[0].events;
        run(&mut core, &mut now, TURNS);
        let events = core.counts().sources[0].events - before;
        assert_eq!(events as f64, TURNS as f64 * EVENTS_PER_TURN);
    }
}
