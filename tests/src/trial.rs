//! Trials: one application, one workload, one run, judged.

use crate::oracle::{self, Results};
use crate::simulator::{Deployment, Outcome, Script, Simulation};
use crate::topology::Topology;

/// Runs `topology` in the simulator over `scripts` and judges it.
///
/// # Panics
/// It did not do what the reference does.
pub fn simulate(topology: &Topology, deployment: &Deployment, scripts: &[Script]) -> Outcome {
    let describe = || topology.application();
    let sinks = topology.sinks();
    let expected = oracle::expect(&describe, scripts, &sinks);
    let simulation = Simulation::new(topology.seed, deployment, &describe, scripts.to_vec());
    let outcome = simulation.run();
    let judged =
        oracle::observe(&outcome, scripts).and_then(|seen| oracle::judge(&expected, &seen, &sinks));
    if let Err(wrong) = judged {
        panic!("{wrong}\n{topology:?}\n{deployment:?}");
    }
    outcome
}

/// What the reference makes of `topology` and `scripts`.
pub fn expect(topology: &Topology, scripts: &[Script]) -> Results {
    oracle::expect(&|| topology.application(), scripts, &topology.sinks())
}
