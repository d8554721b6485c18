//! HEAD is a line: a generation belongs to one process, and comes after the one before; what is
//! committed stays, and only the process of a generation commits in it. What a core takes for
//! committed is.

use std::collections::{BTreeMap, BTreeSet};

use potoroo::checkpoint::Epoch;
use potoroo::checkpoint::store::Head;

use super::super::turns::ProcessId;

/// Who has swapped HEAD to which generation.
#[derive(Default)]
pub struct Heads {
    owners: BTreeMap<u64, ProcessId>,
    /// Generations and epochs that HEAD had.
    committed: BTreeSet<(u64, Epoch)>,
}

impl Heads {
    /// A process has swapped HEAD.
    pub fn swapped(
        &mut self,
        process: ProcessId,
        old: Option<&Head>,
        new: &Head,
    ) -> Result<(), String> {
        self.committed.insert((new.generation, new.epoch));
        let (before, epoch) = old.map_or((0, 0), |head| (head.generation, head.epoch.0));
        if new.epoch.0 < epoch {
            return Err(format!("process {process} undoes epoch {epoch}: HEAD becomes {new}"));
        }
        if new.generation < before {
            return Err(format!("process {process} goes back from generation {before}: {new}"));
        }
        if new.generation > before {
            let other = self.owners.insert(new.generation, process);
            return other.map_or(Ok(()), |other| {
                Err(format!("processes {other} and {process} both began {new}"))
            });
        }
        let owner = self.owners.get(&new.generation);
        if owner != Some(&process) || old.is_some_and(|old| old.owner != new.owner) {
            return Err(format!("process {process} commits {new} of process {owner:?}"));
        }
        match new.epoch.0 > epoch {
            true => Ok(()),
            false => Err(format!("process {process} commits epoch {epoch} once more: {new}")),
        }
    }

    /// A core learned that an epoch is committed.
    pub fn learned(&self, process: ProcessId, generation: u64, epoch: Epoch) -> Result<(), String> {
        match self.committed.contains(&(generation, epoch)) {
            true => Ok(()),
            false => Err(format!(
                "process {process} takes epoch {epoch} of generation {generation} for committed"
            )),
        }
    }
}
