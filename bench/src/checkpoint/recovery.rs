//! The way back: a million keys from a folder into one core and into four, beside the least that it
//! could take.
//!
//! As in an application, one thread reads while the cores restore: with one core on the other CPU,
//! with four where there is room. What stands beside it reads the same files in one go each,
//! believes everything that is in them, and puts the states into a plain hash map.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use anyhow::{Context, Result, anyhow, bail, ensure};
use potoroo::Config;
use potoroo::checkpoint::coordinator::{Action, Coordinator, CoordinatorInput};
use potoroo::checkpoint::store::{self, Store, draw};
use potoroo::checkpoint::{
    EndGone, Epoch, Identity, LoadReceiver, LoadSender, Renumbering, load, load_channel, propose,
    recover,
};
use potoroo::control::checkpoints::part_storage::PartStorage;
use potoroo::flow::{Core, CoreConfig, PartitionMap, SharedCounts};
use potoroo::sdk::table::Record;
use potoroo_runtime::{Lanes, Nanos, mesh};

use super::folder::StateFolder;
use crate::engine::growth;
use crate::engine::owner::KeyHasher;
use crate::place::{Gate, Place, join, pin, start};
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
    let path = &folder.0;
    let alone = || {
        place.alone(|gate| {
            let sprint = gate.enter();
            let took = map(path, keys);
            drop(sprint);
            took
        })
    };
    let contenders = vec![
        Contender::new("recover", || engine(place, path, keys, 1)),
        Contender::new("recover_4_cores", || engine(place, path, keys, 4)),
        Contender::new("baseline", alone),
    ];
    let series = alternate(report, &format!("recovery of {keys} keys"), contenders)?;
    for (name, goal) in [("recover", 2.0), ("recover_4_cores", 1.0)] {
        let raw = series.raw_rtt_ns(&[name, "baseline"]);
        let ratio = series.ratio(name, "baseline", |ns| *ns as f64);
        report.goal(format!("{name}_over_baseline"), ratio, raw, Goal::AtMost(goal));
        let ms = series.median(name, |ns| *ns as f64 / 1e6);
        report.figure(format!("{name}_ms"), ms, raw);
    }
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

/// As an application with `count` cores does it at its start. Returns nanoseconds.
fn engine(place: Place, path: &Path, keys: u64, count: usize) -> Result<u64> {
    let (to, from) = load_channel(count);
    let levels = growth::application(keys).plan()?.levels();
    let lanes = mesh(count, levels + 1, Config::default().lane_bytes);
    let (ready_in, ready) = channel();
    let (begun, cores) = thread::scope(|scope| {
        let seats = lanes.into_iter().zip(from).enumerate().map(|(core, ends)| {
            let (cpu, ready) = ([place.left, place.right][core % 2], ready_in.clone());
            start(scope, move || {
                pin(cpu)?;
                restore(keys, (core, count), ends, (ready, place))
            })
        });
        let seats = seats.collect::<Result<Vec<_>>>()?;
        drop(ready_in);
        let reader = start(scope, || {
            // One core has the left CPU for itself.
            (count == 1).then(|| pin(place.right)).transpose()?;
            read(path, keys, to, (ready, place))
        })?;
        let begun = join(reader);
        let cores: Result<Vec<_>> = seats.into_iter().map(join).collect();
        anyhow::Ok((begun?, cores?))
    })?;
    let rows: u64 = cores.iter().map(|(_, rows)| rows).sum();
    ensure!(rows == keys, "{rows} rows came back instead of {keys}");
    let ended = cores.iter().map(|(ended, _)| *ended).max();
    Ok(ended.context("no core")? - begun)
}

/// Reads the checkpoint for all cores, once they are ready. Returns when that began.
fn read(
    path: &Path,
    keys: u64,
    mut to: LoadSender,
    (ready, place): (Receiver<()>, Place),
) -> Result<u64> {
    let (facts, map) = (facts(keys)?, spread(to.cores()));
    (0..to.cores()).try_for_each(|_| ready.recv()).context("a core has failed")?;
    let sprint = Gate::new(1, place.fifo).enter();
    let begun = stamp::now();
    let store = store::Folder::open(path)?;
    let manifest = recover(&store, &facts, draw(), None)?.manifest.context("nothing is stored")?;
    let owners = (to.cores(), |hash| Some(map.owner(hash)));
    load::<anyhow::Error>(&store, &manifest, owners, |core, part, chunk| {
        to.send(core, part, chunk).map_err(|_| anyhow!("core {core} has failed"))
    })?;
    to.finish();
    drop(sprint);
    Ok(begun)
}

/// Restores the share of one of `count` cores. Returns when it had everything, and its rows.
fn restore(
    keys: u64,
    (core, count): (usize, usize),
    (lanes, from): (Lanes, LoadReceiver),
    (ready, place): (Sender<()>, Place),
) -> Result<(u64, u64)> {
    let plan = growth::application(keys).plan()?;
    let Config { lane_bytes, inlet_bytes, outlet_bytes, .. } = Config::default();
    let config = CoreConfig {
        core,
        lanes,
        map: spread(count),
        sink_owners: Vec::new(),
        inlet_bytes,
        outlet_bytes,
        local_bytes: lane_bytes,
        keep_letters: false,
        readers: Vec::new(),
        tally: Arc::new(SharedCounts::new(&plan)),
    };
    let mut core = Core::new(plan, config);
    let numbers = Renumbering::same(core.plan());
    let sprint = Gate::new(1, place.fifo).enter();
    ready.send(()).context("the reader has failed")?;
    let now = Nanos(stamp::now());
    from.each(|_, chunk| {
        let restored = core.restore(chunk, &numbers, now);
        restored.map_err(|corrupt| Failed(corrupt.to_string()))
    })
    .map_err(|Failed(reason)| anyhow!("{reason}"))?;
    core.restored();
    let ended = stamp::now();
    drop(sprint);
    Ok((ended, core.counts().tables[0].0))
}

/// Why a core does not restore its share.
struct Failed(String);

impl From<EndGone> for Failed {
    fn from(EndGone: EndGone) -> Self {
        Self("the reader has failed".to_owned())
    }
}

fn spread(cores: usize) -> PartitionMap {
    let owners: Vec<u16> = (0..cores as u16).collect();
    PartitionMap::spread(Config::default().partitions as u32, &owners)
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
