//! The simulator itself: the same seed gives the same run.

use potoroo_tests::seeds::each_seed;
use potoroo_tests::simulator::Deployment;
use potoroo_tests::topology::{Kind, Topology};
use potoroo_tests::trial::simulate;
use potoroo_tests::workload::Workload;

fn topology(seed: u64) -> Topology {
    let kinds = vec![Kind::KeyStateful, Kind::Stateless];
    Topology { seed, kinds, sources: 1, one_connection: true, fancy: false }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let run = |seed| {
        let scripts = Workload::plain(1, 80).scripts(seed);
        simulate(&topology(seed), &Deployment::tiny(3, seed), &scripts)
    };
    let mut traces = Vec::new();
    each_seed("the_same_seed", 10, |seed| {
        let (one, two) = (run(seed), run(seed));
        assert_eq!(one.trace, two.trace);
        assert_eq!(one.sinks, two.sinks);
        traces.push(one.trace.0);
    });
    let count = traces.len();
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), count, "runs of different seeds differ");
}
