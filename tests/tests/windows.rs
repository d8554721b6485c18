//! Windows of the engine, in the simulator: the same contents as those of the reference, on any
//! number of cores, and each once whatever is killed.

use potoroo_tests::runs::Troubles;
use potoroo_tests::seeds::each_seed;
use potoroo_tests::timed::TimedTrial;

#[test]
fn windows_of_two_connections_hold_what_those_of_the_reference_do() {
    let mut bytes = [0; 3];
    each_seed("windows_of_two_connections_hold_what_those_of_the_reference_do", 400, |seed| {
        let outcome = TimedTrial::windows(seed).simulate(1 + seed as usize / 3 % 4);
        let outcome = outcome.unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        let sinks = ["out", "late", "all"].map(|sink| outcome.sinks[sink].len());
        bytes.iter_mut().zip(sinks).for_each(|(bytes, sink)| *bytes += sink);
    });
    assert!(bytes.iter().all(|bytes| *bytes > 10_000), "{bytes:?}");
}

/// Killed at any step and started again on other numbers of cores: the same, each once. 450 seeds
/// need each rule of the protocol of time: saved frames with stamps of what was known when they
/// were copied, and not at the snapshot, are noticed last.
#[test]
fn windows_survive_whatever_is_killed() {
    let (mut recoveries, mut seeds) = (0, 0);
    each_seed("windows_survive_whatever_is_killed", 450, |seed| {
        let troubles = Troubles::any(seed);
        let chronicle = TimedTrial::windows(seed).survive(&troubles);
        let chronicle = chronicle.unwrap_or_else(|wrong| panic!("{wrong}\n{troubles:?}"));
        recoveries += chronicle.recoveries;
        seeds += 1;
    });
    assert!(seeds == 1 || recoveries > seeds / 2, "{recoveries}");
}
