//! Liveness of checkpoints: each core ends its part within a bounded number of steps, also while a
//! sink takes nothing.
//!
//! A sink that is stuck fills the lanes that lead to it, and those that lead to these, on all
//! nodes. It stays stuck until all cores have ended a part: one that waits for room never does.

use std::collections::BTreeSet;

use potoroo::checkpoint::Epoch;
use potoroo::flow::PartStep;
use potoroo_sdk::random::Random;

use super::ports::SinkGate;
use crate::seeds::{Concern, random};

/// What must go on, and what stands in its way.
pub(super) struct Liveness {
    parts: Option<PartsDue>,
    stuck: StuckSink,
}

/// Parts of an epoch that are under way.
struct PartsDue {
    epoch: Epoch,
    /// The step in which it began.
    since: u64,
    /// The cores that have not ended theirs.
    cores: BTreeSet<usize>,
}

/// A sink that takes nothing for a while.
struct StuckSink {
    random: Random,
    /// The gate that is closed, and the first step in which it may be opened.
    closed: Option<(SinkGate, u64)>,
}

/// Steps in which all cores end their parts: bytes of a narrow wire take many. Several times what
/// was seen in thousands of seeds, which is 22 000.
const PART_STEPS_MAX: u64 = 100_000;

/// Least steps that a sink is stuck, at most.
const STUCK_STEPS_MAX: u64 = 6_000;

impl Liveness {
    pub(super) fn new(seed: u64) -> Self {
        let random = random(!seed.rotate_left(32), Concern::Schedule);
        Self { parts: None, stuck: StuckSink { random, closed: None } }
    }

    /// An epoch begins.
    pub(super) fn begin(&mut self, epoch: Epoch, step: u64, cores: usize) {
        self.parts = Some(PartsDue { epoch, since: step, cores: (0..cores).collect() });
    }

    /// A core hands out a step of its part.
    pub(super) fn note(&mut self, core: usize, step: &PartStep) {
        let of = match step {
            PartStep::End(end) => end.epoch,
            PartStep::Failed { epoch, .. } => *epoch,
            PartStep::Begin { .. } | PartStep::Chunk(_) => return,
        };
        if let Some(parts) = self.parts.as_mut().filter(|parts| parts.epoch == of) {
            parts.cores.remove(&core);
        }
    }

    /// No epoch is under way.
    pub(super) fn end(&mut self) {
        self.parts = None;
    }

    /// Lets a sink be stuck, as often as `chance` says, or no longer: never in a run that is
    /// `ending`. Returns for how many steps some core has not ended its part.
    ///
    /// # Errors
    /// Some core has not ended its part.
    pub(super) fn look(
        &mut self,
        step: u64,
        (chance, ending): (f64, bool),
        gates: &[SinkGate],
    ) -> Result<u64, String> {
        let parts = self.parts.as_ref().filter(|_| !ending);
        let late = parts.filter(|parts| !parts.cores.is_empty());
        let steps = late.map_or(0, |late| step - late.since);
        if let Some(PartsDue { epoch, cores, .. }) = late.filter(|_| steps > PART_STEPS_MAX) {
            let stuck = self.stuck.closed.is_some();
            return Err(format!(
                "in {PART_STEPS_MAX} steps the cores {cores:?} have not ended their parts of \
                 {epoch}, and that a sink is stuck is {stuck}"
            ));
        }
        let goes_on = parts.is_some_and(|parts| parts.cores.is_empty());
        self.stuck.look(step, (chance, ending), goes_on, gates);
        Ok(steps)
    }
}

impl StuckSink {
    fn look(
        &mut self,
        step: u64,
        (chance, ending): (f64, bool),
        parts_ended: bool,
        gates: &[SinkGate],
    ) {
        match &self.closed {
            None if !ending && !gates.is_empty() && self.random.chance(chance) => {
                let gate = gates[self.random.below(gates.len() as u64) as usize].clone();
                gate.set(false);
                self.closed = Some((gate, step + self.random.below(STUCK_STEPS_MAX)));
            }
            Some((gate, until)) if ending || parts_ended && step >= *until => {
                gate.set(true);
                self.closed = None;
            }
            _ => {}
        }
    }
}
