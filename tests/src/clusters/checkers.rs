//! What must never be, one file each.

mod generations;
mod heads;
mod leases;
mod liveness;
mod members;
mod names;

use std::time::Duration;

use potoroo::checkpoint::Epoch;
use potoroo::checkpoint::store::Head;

use super::turns::{NodeIndex, ProcessId};
use generations::Generations;
use heads::Heads;
pub use liveness::Liveness;
use members::Members;
use names::Names;

/// All of them.
#[derive(Default)]
pub struct Checkers {
    generations: Generations,
    heads: Heads,
    /// Who belongs to which generation.
    pub members: Members,
    names: Names,
    /// What each node did last.
    pub liveness: Liveness,
    /// What was wrong first.
    wrong: Option<String>,
}

impl Checkers {
    /// What was wrong first, once something was.
    pub fn wrong(&self) -> Option<String> {
        self.wrong.clone()
    }

    fn note(&mut self, now: Duration, found: Result<(), String>) {
        if let (Err(text), None) = (found, &self.wrong) {
            self.wrong = Some(format!("after {now:?}: {text}"));
        }
    }

    /// The core of a process let something in or out in a generation; with edges, if it `leads`.
    pub fn acted(
        &mut self,
        now: Duration,
        (node, process): (NodeIndex, ProcessId),
        generation: u64,
        leads: bool,
    ) {
        let in_order = match leads {
            true => {
                let in_order = self.generations.acted(process, generation);
                in_order.and(self.members.acted(generation))
            }
            false => Ok(()),
        };
        let alone = self.names.acted(node, process);
        self.liveness.acted(now, node, generation, leads);
        self.note(now, in_order.and(alone));
    }

    /// It did so when its session `is_over` for others.
    pub fn check_lease(&mut self, now: Duration, process: ProcessId, is_over: bool) {
        self.note(now, leases::check(process, is_over));
    }

    /// The core of a process learned that an epoch is committed.
    pub fn learned(&mut self, now: Duration, process: ProcessId, generation: u64, epoch: Epoch) {
        let found = self.heads.learned(process, generation, epoch);
        self.note(now, found);
    }

    /// A process has swapped HEAD.
    pub fn swapped(&mut self, now: Duration, process: ProcessId, old: Option<&Head>, new: &Head) {
        let found = self.heads.swapped(process, old, new);
        self.liveness.committed(now, new.epoch);
        self.note(now, found);
    }
}
