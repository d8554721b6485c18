//! Trials: one application, one workload, one run, judged.

use crate::items::whole_frames;
use crate::oracle::{self, Results};
use crate::simulator::{Deployment, Outcome, Script, Simulation};
use crate::topology::Topology;

/// Runs `topology` in the simulator over `scripts` and judges it.
///
/// # Panics
/// It did not do what the reference does.
pub fn simulate(topology: &Topology, deployment: &Deployment, scripts: &[Script]) -> Outcome {
    let describe = || topology.application();
    let simulation = Simulation::new(topology.seed, deployment, &describe, scripts.to_vec());
    let outcome = simulation.run();
    let scripts = sent(scripts, &outcome);
    let judged = oracle::observe(&outcome, &scripts)
        .and_then(|seen| oracle::judge(&expect(topology, &scripts), &seen, &topology.sinks()));
    if let Err(wrong) = judged {
        panic!("{wrong}\n{topology:?}\n{deployment:?}");
    }
    outcome
}

/// The scripts as far as they came before the sources were stopped: of those that were stopped
/// whole frames only.
fn sent(scripts: &[Script], outcome: &Outcome) -> Vec<Script> {
    let mut scripts = scripts.to_vec();
    let ends = outcome.sent.iter().zip(&outcome.stopped);
    for (script, (sent, stopped)) in scripts.iter_mut().zip(ends) {
        script.bytes.truncate(*sent);
        if *stopped {
            script.bytes.truncate(whole_frames(&script.bytes));
        }
    }
    scripts
}

/// What the reference makes of `topology` and `scripts`.
pub fn expect(topology: &Topology, scripts: &[Script]) -> Results {
    oracle::expect(&|| topology.application(), scripts, &topology.sinks())
}
