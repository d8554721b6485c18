//! Each mistake in the protocol of time is noticed.

use std::panic::catch_unwind;

use potoroo_tests::runs::{Sabotage, Troubles};
use potoroo_tests::timed::TimedTrial;

/// What goes wrong with a sabotage in any of the trials of this seed, and not without.
fn wrong(seed: u64, sabotage: Sabotage) -> Option<String> {
    let any = Troubles::any(seed);
    let troubles = Troubles { kills: 4 + seed % 3, kill_steps_max: 2_000, begin: 0.1, ..any };
    let sabotaged = Troubles { sabotage: Some(sabotage), ..troubles.clone() };
    [TimedTrial::timers, TimedTrial::windows, TimedTrial::joins].into_iter().find_map(|trial| {
        let survive = |troubles: &Troubles| match catch_unwind(|| trial(seed).survive(troubles)) {
            Ok(survived) => survived.err(),
            Err(_) => Some("it panicked".to_owned()),
        };
        survive(&sabotaged).filter(|_| survive(&troubles).is_none())
    })
}

#[test]
fn every_sabotage_of_time_is_noticed() {
    for sabotage in Sabotage::OF_TIME {
        let noticed = (0..1_000).find_map(|seed| Some((seed, wrong(seed, sabotage)?)));
        let (seed, wrong) = noticed.unwrap_or_else(|| panic!("{sabotage:?} is not noticed"));
        println!("{sabotage:?} with seed {seed}: {wrong}");
    }
}
