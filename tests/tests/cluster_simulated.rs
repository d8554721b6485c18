//! Nodes of simulated clusters, with troubles of all kinds: no two of them ever act where one may,
//! and afterwards they are one cluster that commits.
//!
//! `POTOROO_LOG` prints what nodes log and what happens between them.

use potoroo_tests::clusters::{Mistake, Step, run};
use potoroo_tests::seeds::each_seed;

/// By default those below this one are run.
const SEEDS: u64 = 40;

#[test]
fn who_leads_who_acts_and_what_is_committed_is_one_whatever_happens() {
    if std::env::var_os("POTOROO_LOG").is_some() {
        potoroo::control::logging::init(false);
    }
    each_seed("cluster_simulated", SEEDS, |seed| {
        if let Err(wrong) = run(seed, None) {
            panic!("seed {seed}: {wrong}");
        }
    });
}

#[test]
fn the_same_seed_gives_the_same_turns() {
    for seed in 0..3 {
        assert_eq!(run(seed, None), run(seed, None));
    }
}

#[test]
fn nodes_are_killed_at_each_step() {
    let mut killed = [0; Step::ALL.len()];
    for seed in 0..SEEDS {
        let run = run(seed, None).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        killed.iter_mut().zip(run.killed_at).for_each(|(sum, more)| *sum += more);
    }
    for step in Step::ALL {
        assert!(killed[step as usize] > 0, "no node is killed at {step:?}: {killed:?}");
    }
}

#[test]
fn every_mistake_is_noticed() {
    for mistake in Mistake::ALL {
        let wrong = |seed| Some((seed, run(seed, Some(mistake)).err()?));
        let noticed = (0..1000).find_map(wrong);
        let (seed, wrong) = noticed.unwrap_or_else(|| panic!("{mistake:?} is not noticed"));
        println!("{mistake:?} is noticed with seed {seed}: {wrong:.200}");
        // What is wrong is wrong because of it.
        assert_eq!(run(seed, None).err(), None);
    }
}
