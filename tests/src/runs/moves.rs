//! Parts that are stored as if partitions moved: with each epoch all partitions of a core are
//! another one's, and a part still has rows of partitions that its core passed on.
//!
//! Cores keep their partitions while they run. What reads checkpoints must not rely on that.

use potoroo::checkpoint::coordinator::CoordinatorInput;
use potoroo::checkpoint::{Chunk, Identity, Section};
use potoroo::control::checkpoints::part_storage::PartStorage;
use potoroo::flow::PartStep;

/// Stores the parts of a run.
pub(super) struct MovingParts {
    /// By core.
    cores: Vec<CoreStorage>,
    /// Rows that were stored last, and by which core.
    last: Option<(usize, Chunk)>,
}

struct CoreStorage {
    storage: PartStorage,
    /// As whose its present part is stored.
    seat: usize,
}

impl MovingParts {
    /// Each core has one of `storages`.
    pub(super) fn new(storages: impl Iterator<Item = PartStorage>) -> Self {
        let cores = storages.map(|storage| CoreStorage { storage, seat: 0 }).collect();
        Self { cores, last: None }
    }

    /// Stores the parts of `generation`, in which cores may own what others did.
    pub(super) fn renew(&mut self, generation: u64, facts: &Identity) {
        self.last = None;
        let total = self.cores.len();
        self.cores.iter_mut().for_each(|core| core.storage.renew(generation, facts.clone(), total));
    }

    /// Stores the next step of the part of `core`, see [`PartStorage::store`].
    pub(super) fn store(
        &mut self,
        core: usize,
        step: &PartStep,
        random: u64,
    ) -> Option<CoordinatorInput> {
        let cores = self.cores.len();
        let CoreStorage { storage, seat } = &mut self.cores[core];
        if let PartStep::Begin { epoch, .. } = step {
            *seat = (core + epoch.0 as usize) % cores;
        }
        let stored = storage.store(*seat, step, random);
        match (step, &self.last) {
            (PartStep::Begin { .. }, Some((owner, rows))) if *owner != core => {
                let rows = PartStep::Chunk(rows.clone());
                stored.or_else(|| storage.store(*seat, &rows, random))
            }
            (PartStep::Chunk(chunk), _) if matches!(chunk.section, Section::Rows(_)) => {
                self.last = Some((core, chunk.clone()));
                stored
            }
            _ => stored,
        }
    }
}
