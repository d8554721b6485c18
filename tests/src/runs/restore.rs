//! The way back: what a checkpoint has stored is handed to the cores of the next run.

use potoroo::checkpoint::store::StoreReader;
use potoroo::checkpoint::{Chunk, Epoch, Manifest, PartitionSet, Renumbering, Section, load};

use super::process::Process;
use super::troubles::Sabotage;

/// Hands everything that was stored to the cores. Returns how many bytes of frames there were.
/// After a rollback the `last` checkpoint before it is known, for a sabotage.
pub(super) fn restore(
    process: &mut Process,
    store: &dyn StoreReader,
    manifest: &Manifest,
    (sabotage, last): (Option<Sabotage>, Option<Manifest>),
) -> Result<u64, String> {
    let now = process.now();
    let numbers = Renumbering::same(process.cores[0].plan());
    let mut frames = 0;
    let map = process.map.clone();
    let cores = process.cores.len();
    let mut restore = |core: usize, epoch: Epoch, chunk: &mut Chunk| -> Result<(), Failed> {
        if sabotage == Some(Sabotage::NewestPartOnly) && epoch != manifest.epoch {
            return Ok(());
        }
        chunk.section = match chunk.section {
            Section::Lanes(level) if sabotage == Some(Sabotage::OutboxesFirst) => {
                Section::Outboxes(level)
            }
            Section::Outboxes(level) if sabotage == Some(Sabotage::OutboxesFirst) => {
                Section::Lanes(level)
            }
            section => section,
        };
        if let Section::Lanes(_) | Section::Outboxes(_) = chunk.section {
            frames += if core == 0 { chunk.bytes.len() as u64 } else { 0 };
        }
        let restored = process.cores[core].restore(chunk, &numbers, now);
        restored.map_err(|error| Failed(error.to_string()))
    };
    let owners = (cores, |hash| Some(map.owner(hash)));
    load(store, &misread(manifest, sabotage), owners, |core, part, chunk| {
        restore(core, part.epoch, chunk)
    })
    .map_err(|Failed(reason)| reason)?;
    match last.filter(|_| sabotage == Some(Sabotage::FramesSurvive)) {
        Some(last) => restore_frames(process, store, &last).map(|()| frames),
        None => Ok(frames),
    }
}

/// A manifest as a sabotage takes it.
fn misread(manifest: &Manifest, sabotage: Option<Sabotage>) -> Manifest {
    let mut manifest = manifest.clone();
    let all = PartitionSet::all(manifest.facts.partitions);
    for part in &mut manifest.parts {
        match sabotage {
            Some(Sabotage::CoversIgnored) => part.covers = Some(all.clone()),
            Some(Sabotage::ChainsByCore) => part.covers = None,
            _ => {}
        }
    }
    manifest
}

/// Hands the frames of `manifest` to the cores, which belong to a later generation.
fn restore_frames(
    process: &mut Process,
    store: &dyn StoreReader,
    manifest: &Manifest,
) -> Result<(), String> {
    let now = process.now();
    let numbers = Renumbering::same(process.cores[0].plan());
    load(store, manifest, (1, |_| Some(0)), |_, _, chunk| match chunk.section {
        Section::Lanes(_) | Section::Outboxes(_) => {
            let mut cores = process.cores.iter_mut();
            let restored = cores.try_for_each(|core| core.restore(chunk, &numbers, now));
            restored.map_err(|error| Failed(error.to_string()))
        }
        _ => Ok(()),
    })
    .map_err(|Failed(reason)| reason)
}

struct Failed(String);

impl From<potoroo::checkpoint::store::Error> for Failed {
    fn from(error: potoroo::checkpoint::store::Error) -> Self {
        Self(error.to_string())
    }
}
