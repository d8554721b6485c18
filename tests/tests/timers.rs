//! Timers of the engine, in the simulator: what fires, when, and in which order for each key.

use potoroo_tests::runs::Troubles;
use potoroo_tests::seeds::each_seed;
use potoroo_tests::timed::TimedTrial;

/// One connection: what comes of a key is exactly what the reference says, in its order.
#[test]
fn timers_of_one_connection_are_those_of_the_reference() {
    let mut fired = 0;
    each_seed("timers_of_one_connection_are_those_of_the_reference", 300, |seed| {
        let outcome = TimedTrial::timers(seed).simulate(1 + seed as usize % 4);
        let outcome = outcome.unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        let lines = outcome.sinks["out"].split(|byte| *byte == b'\n');
        fired += lines.filter(|line| line.windows(5).any(|word| word == b"fired")).count();
    });
    assert!(fired > 1000, "{fired} timers fired");
}

/// Killed at any step and started again on other numbers of cores: the same, each once.
#[test]
fn timers_survive_whatever_is_killed() {
    let (mut recoveries, mut replayed, mut seeds) = (0, 0, 0);
    each_seed("timers_survive_whatever_is_killed", 200, |seed| {
        let troubles = Troubles::any(seed);
        let chronicle = TimedTrial::timers(seed).survive(&troubles);
        let chronicle = chronicle.unwrap_or_else(|wrong| panic!("{wrong}\n{troubles:?}"));
        recoveries += chronicle.recoveries;
        replayed += chronicle.frames_replayed;
        seeds += 1;
    });
    assert!(seeds == 1 || recoveries > seeds / 2 && replayed > 0, "{recoveries}, {replayed}");
}
