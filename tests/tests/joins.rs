//! Joins of the engine, in the simulator: the same pairs and answers as those of the reference, on
//! any number of cores, and each once whatever is killed.

use potoroo_tests::runs::Troubles;
use potoroo_tests::seeds::each_seed;
use potoroo_tests::timed::TimedTrial;

#[test]
fn joins_of_two_connections_are_those_of_the_reference() {
    let mut bytes = [0; 4];
    each_seed("joins_of_two_connections_are_those_of_the_reference", 400, |seed| {
        let outcome = TimedTrial::joins(seed).simulate(1 + seed as usize / 4 % 4);
        let outcome = outcome.unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        bytes[seed as usize % 4] += outcome.sinks["out"].len();
    });
    assert!(bytes.iter().all(|bytes| *bytes > 5_000), "{bytes:?}");
}

/// Killed at any step and started again on other numbers of cores: the same, each once.
#[test]
fn joins_survive_whatever_is_killed() {
    let (mut recoveries, mut seeds) = (0, 0);
    each_seed("joins_survive_whatever_is_killed", 200, |seed| {
        let troubles = Troubles::any(seed);
        let chronicle = TimedTrial::joins(seed).survive(&troubles);
        let chronicle = chronicle.unwrap_or_else(|wrong| panic!("{wrong}\n{troubles:?}"));
        recoveries += chronicle.recoveries;
        seeds += 1;
    });
    assert!(seeds == 1 || recoveries > seeds / 2, "{recoveries}");
}
