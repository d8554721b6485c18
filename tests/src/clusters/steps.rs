//! Steps of a node right at which it may be killed: just before they have their effect, or just
//! after.

use std::time::Duration;

/// A step after which a node is not what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It swaps HEAD.
    SwapHead,
    /// It claims the lead.
    ClaimLead,
    /// Its core begins in a generation.
    Begin,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SwapHead, Self::ClaimLead, Self::Begin];
}

/// The process that comes to a step next is killed there, by `K`.
pub struct Doom<K> {
    /// The step.
    pub step: Step,
    /// It has had its effect.
    pub done: bool,
    /// If that is before this time.
    pub until: Duration,
    /// Kills a process.
    pub kill: K,
}

/// The kills at steps.
pub struct StepKills<K> {
    doomed: Vec<Doom<K>>,
    /// By step: those that there were.
    pub done: [u64; Step::ALL.len()],
}

impl<K> Default for StepKills<K> {
    fn default() -> Self {
        Self { doomed: Vec::new(), done: [0; Step::ALL.len()] }
    }
}

impl<K> StepKills<K> {
    /// One more is to come.
    pub fn add(&mut self, doom: Doom<K>) {
        self.doomed.push(doom);
    }

    /// What kills the process that is at this step now, if something does.
    pub fn take(&mut self, now: Duration, (step, done): (Step, bool)) -> Option<K> {
        self.doomed.retain(|doom| now < doom.until);
        let at = self.doomed.iter().position(|doom| (doom.step, doom.done) == (step, done))?;
        self.done[step as usize] += 1;
        Some(self.doomed.remove(at).kill)
    }
}
