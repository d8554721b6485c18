//! The way back: a million keys from a folder into a core, beside the least that it could take.
//!
//! What stands beside it reads the same files in one go each, believes everything that is in them,
//! and puts the states into a plain hash map.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use potoroo::Config;
use potoroo::checkpoint::coordinator::{Action, Coordinator, CoordinatorInput};
use potoroo::checkpoint::store::{self, Store, draw};
use potoroo::checkpoint::{Epoch, Identity, Renumbering, load, propose, recover};
use potoroo::control::checkpoints::part_storage::PartStorage;
use potoroo::flow::Core;
use potoroo::sdk::table::Record;
use potoroo_runtime::Nanos;

use super::folder::StateFolder;
use crate::engine::growth;
use crate::engine::owner::KeyHasher;
use crate::report::{Goal, Report};
use crate::rounds::{Contender, alternate};
use crate::stamp;

/// Measures both, several times each, from the same folder.
///
/// # Errors
/// The folder cannot be written or read, or not all keys come back.
pub fn bench(report: &mut Report) -> Result<()> {
    let keys = report.scale().keys_max.min(1_000_000);
    let folder = StateFolder::new("checkpoint");
    write(&folder.0, keys)?;
    let place = report.place();
    let alone = |read: fn(&Path, u64) -> Result<u64>| {
        let path = &folder.0;
        move || {
            place.alone(|gate| {
                let sprint = gate.enter();
                let took = read(path, keys);
                drop(sprint);
                took
            })
        }
    };
    let contenders =
        vec![Contender::new("recover", alone(engine)), Contender::new("baseline", alone(map))];
    let series = alternate(report, &format!("recovery of {keys} keys"), contenders)?;
    let raw = series.raw_rtt_ns(&["recover", "baseline"]);
    let ratio = series.ratio("recover", "baseline", |ns| *ns as f64);
    report.goal("recover_over_baseline", ratio, raw, Goal::AtMost(2.0));
    report.figure("recover_ms", series.median("recover", |ns| *ns as f64 / 1e6), raw);
    Ok(())
}

/// One checkpoint of `keys` rows.
fn write(path: &Path, keys: u64) -> Result<()> {
    let mut core = growth::core(keys)?;
    let facts = facts(keys)?;
    let store = Arc::new(store::Folder::open(path)?);
    let head = recover(&*store, &facts, draw(), None)?.head;
    let log_bytes_max = Config::default().checkpoint_log_bytes as u64;
    core.enable_checkpoints(Epoch::NONE, head.generation, log_bytes_max);
    while core.turn(Nanos(stamp::now()), |_| {}) > 0 {}
    let sources = vec!["keys".to_owned()];
    let parts = PartStorage::new(store.clone(), facts.clone(), head.generation, sources, 1);
    let coordinator = Coordinator::new(facts, head, 1, Vec::new());
    Taking { core, parts, coordinator, store: &*store }.take()
}

/// A checkpoint that nothing else goes on beside.
struct Taking<'a> {
    core: Core,
    parts: PartStorage,
    coordinator: Coordinator,
    store: &'a dyn Store,
}

impl Taking<'_> {
    fn take(mut self) -> Result<()> {
        let mut input = CoordinatorInput::Begin;
        while let Some(action) = self.coordinator.handle(input, 0) {
            input = match action {
                Action::Begin { epoch } => self.part(epoch)?,
                Action::Store(manifest) => {
                    let name = propose(self.store, self.coordinator.head(), &manifest, draw())?;
                    CoordinatorInput::Stored(Ok(name))
                }
                Action::Swap { expected, new } => {
                    self.store.swap_head(Some(&expected), &new)?;
                    CoordinatorInput::Swapped(Ok(()))
                }
                Action::Commit { .. } => return Ok(()),
                Action::Abort { reason, .. } => bail!("the checkpoint was aborted: {reason}"),
            };
        }
        bail!("the checkpoint does not end")
    }

    fn part(&mut self, epoch: Epoch) -> Result<CoordinatorInput> {
        self.core.begin_checkpoint(epoch);
        self.core.attend_checkpoint(|_| {});
        loop {
            while self.core.hand_out_rows(16).is_some() {}
            let step = self.core.take_part().context("the part does not end")?;
            if let Some(input) = self.parts.store(0, &step, draw()) {
                return Ok(input);
            }
        }
    }
}

/// As an application does it at its start. Returns nanoseconds.
fn engine(path: &Path, keys: u64) -> Result<u64> {
    let mut core = growth::core(keys)?;
    let facts = facts(keys)?;
    let begun = stamp::now();
    let store = store::Folder::open(path)?;
    let manifest = recover(&store, &facts, draw(), None)?.manifest.context("nothing is stored")?;
    let numbers = Renumbering::same(core.plan());
    load::<anyhow::Error>(&store, &manifest, (1, |_| 0), |_, _, chunk| {
        core.restore(chunk, &numbers, Nanos(begun)).map_err(|corrupt| anyhow!("{corrupt}"))
    })?;
    core.restored();
    let took = stamp::now() - begun;
    let (rows, _) = core.counts().tables[0];
    ensure!(rows == keys, "{rows} rows came back instead of {keys}");
    Ok(took)
}

/// The same bytes into a plain hash map. Returns nanoseconds.
fn map(path: &Path, keys: u64) -> Result<u64> {
    let begun = stamp::now();
    let mut map = HashMap::<u64, [u8; 64], std::hash::BuildHasherDefault<KeyHasher>>::default();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        if file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("part-")) {
            insert(&fs::read(&file)?, &mut map).context("the part is not as it should be")?;
        }
    }
    let took = stamp::now() - begun;
    ensure!(map.len() as u64 == keys, "{} keys came back instead of {keys}", map.len());
    Ok(took)
}

/// Puts all rows of a part into `map`; the layout stands at `potoroo::checkpoint`'s parts.
fn insert<S: std::hash::BuildHasher>(
    part: &[u8],
    map: &mut HashMap<u64, [u8; 64], S>,
) -> Option<()> {
    const ROWS: u8 = 1;
    let word = |at: usize| Some(u32::from_le_bytes(*part.get(at..)?.first_chunk()?) as usize);
    let mut at = 20 + word(12)?;
    while at < part.len() {
        let chunk = part.get(at + 12..)?.get(..word(at + 4)?)?;
        let mut rest = if part[at] == ROWS { chunk } else { &[] };
        while let Some((record, behind)) = Record::split(rest) {
            map.insert(
                u64::from_le_bytes(*record.key.first_chunk()?),
                *record.state.first_chunk()?,
            );
            rest = behind;
        }
        at += 12 + chunk.len();
    }
    Some(())
}

fn facts(keys: u64) -> Result<Identity> {
    Ok(Identity::of(&growth::application(keys).plan()?, Config::default().partitions as u32))
}
