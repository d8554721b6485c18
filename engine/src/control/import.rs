//! Import: a new application begins with a table of another one.
//!
//! The rows become a checkpoint, the first one of an empty state or the next one of an application
//! that is stopped: all else in it stays, with positions, frames under way and output that waits.
//!
//! Promises: the table must be empty, so nothing is overwritten; that is known, and the file was
//! read to its end, before the state is touched; a crash leaves the checkpoint before or the new
//! one. Must never do: open a source or a sink.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use potoroo_runtime::{Clock, mesh};
use potoroo_sdk::host::TableId;
use potoroo_sdk::plan::{Plan, TablePlan};
use potoroo_sdk::table::Record;

use super::checkpoints::part_storage::PartStorage;
use super::checkpoints::unix_seconds;
use super::config::Config;
use super::error::Error;
use super::inspect;
use super::open_store::OpenStore;
use super::recovery::Recovery;
use super::rows_file::{RowsMistake, read_rows};
use super::takeover::count_rows;
use crate::checkpoint;
use crate::checkpoint::coordinator::{Action, Coordinator, CoordinatorInput};
use crate::checkpoint::store::{Location, draw};
use crate::checkpoint::{Chunk, Delivered, Epoch, Manifest, Renumbering, Section, propose};
use crate::flow::{Core, CoreConfig, PartitionMap, SharedCounts};

/// What was imported.
#[derive(Debug)]
pub(super) struct Imported {
    pub(super) rows: u64,
    /// The checkpoint that has them; `None` with `--check`, which changes nothing.
    pub(super) epoch: Option<Epoch>,
}

/// Imports `file` into the table `name` of the application of both `plans`, which are the same.
///
/// # Errors
/// The file or the state cannot be used, or the table has rows.
pub(super) fn import(
    [plan, of_core]: [Plan; 2],
    config: &Config,
    name: &str,
    file: &Path,
) -> Result<Imported, Error> {
    let place = config.state.as_ref().expect("the flag requires --state");
    let refused = |reason: String| Error::Import { table: name.to_owned(), reason };
    let at = plan.tables.iter().position(|table| table.name == name).ok_or_else(|| {
        let tables: Vec<&str> = plan.tables.iter().map(|table| table.name.as_str()).collect();
        refused(format!("there is no such table; there are: {}", tables.join(", ")))
    })?;
    let rows = check(&plan.tables[at], file).map_err(refused)?;
    let held = |rows: u64| {
        refused(format!(
            "it has {rows} rows, and only an empty table is filled: give another --state"
        ))
    };
    let unreadable = |reason: String| Error::State { place: place.clone(), reason };
    match stored_rows(place, config, name).map_err(|error| unreadable(error.to_string()))? {
        0 => {}
        rows => return Err(held(rows)),
    }
    if config.check {
        return Ok(Imported { rows, epoch: None });
    }
    let recovery =
        Recovery::open((&plan, config), &OpenStore::open(place, 1, false)?, None, &|_| Ok(()))?;
    let mut core = core(of_core, config);
    recovery.restore_alone(&mut core)?;
    // What an application committed that ran until now, in a bucket.
    match core.plan().tables[at].rows.count() {
        0 => {}
        rows => return Err(held(rows as u64)),
    }
    let rows = fill(&mut core, at, file).map_err(refused)?;
    // One core has the frames of all.
    recovery.begin_checkpoints(&mut core, u64::MAX);
    let epoch = commit(core, &recovery, place)?;
    Ok(Imported { rows, epoch: Some(epoch) })
}

/// Number of rows that the table has in the checkpoint to go on from. Known before HEAD changes:
/// in a bucket nothing locks, and an application that runs there ends when HEAD does.
fn stored_rows(place: &Location, config: &Config, name: &str) -> Result<u64, inspect::Error> {
    if place.folder().is_some_and(|folder| !folder.exists()) {
        return Ok(0);
    }
    inspect::again(|| {
        let view = place.view()?;
        let found = checkpoint::preview(&*view, config.restore)?;
        let has = |manifest: &Manifest| manifest.facts.tables.iter().any(|one| one.name == name);
        match found.filter(|(_, manifest)| has(manifest)) {
            Some((_, manifest)) => Ok(count_rows(&*view, &manifest, name)?),
            None => Ok(0),
        }
    })
}

/// Reads the file to its end. Returns the number of its rows.
fn check(table: &TablePlan, file: &Path) -> Result<u64, String> {
    read(table, file, |key, state| {
        let record = Record { hash: 0, key, state };
        table.rows.check(record).map_err(|_| "its row is none of this table".to_owned())
    })
}

fn read(
    table: &TablePlan,
    file: &Path,
    visit: impl FnMut(&[u8], &[u8]) -> Result<(), String>,
) -> Result<u64, String> {
    let named = |error: String| format!("{}: {error}", file.display());
    // Before it is opened, which waits at a pipe.
    let kind = file.metadata().map_err(|error| named(error.to_string()))?;
    if !kind.is_file() {
        let text = "it is no regular file, and is read twice: write the table to a file first";
        return Err(named(text.to_owned()));
    }
    let from = File::open(file).map_err(|error| named(error.to_string()))?;
    let rows = read_rows(BufReader::new(from), table, visit);
    rows.map_err(|mistake: RowsMistake| format!("{}, {mistake}", file.display()))
}

/// Puts the rows of the file into the table `at`.
fn fill(core: &mut Core, at: usize, file: &Path) -> Result<u64, String> {
    let numbers = Renumbering::same(core.plan());
    let section = Section::Rows(TableId(at as u16));
    let (plan, now) = (core.plan().tables[at].clone(), Clock::new().now());
    let table = plan.rows.clone();
    let rows = read(&plan, file, |key, state| {
        let wrong = |_| "its row is none of this table".to_owned();
        let hash = table.hash(key).map_err(wrong)?;
        let mut bytes = hash.to_le_bytes().to_vec();
        bytes.extend((key.len() as u32).to_le_bytes());
        bytes.extend((state.len() as u32).to_le_bytes());
        bytes.extend(key);
        bytes.extend(state);
        core.restore(&Chunk { section, bytes }, &numbers, now).map_err(|error| error.to_string())
    })?;
    match table.count() as u64 {
        count if count == rows => Ok(rows),
        count => Err(format!("{}: it has {rows} rows of {count} keys", file.display())),
    }
}

/// One core that owns everything.
fn core(plan: Plan, config: &Config) -> Core {
    let lanes = mesh(1, plan.levels() + 1, config.lane_bytes).pop().expect("it has one end");
    let core_config = CoreConfig {
        core: 0,
        lanes,
        map: PartitionMap::spread(config.partitions as u32, &[0]),
        sink_owners: vec![0; plan.sinks.len()],
        inlet_bytes: config.inlet_bytes,
        outlet_bytes: config.outlet_bytes,
        local_bytes: config.lane_bytes,
        keep_letters: false,
        readers: Vec::new(),
        tally: Arc::new(SharedCounts::new(&plan)),
    };
    Core::new(plan, core_config)
}

/// Commits a checkpoint of `core`, and of everything else that the last one has.
fn commit(mut core: Core, recovery: &Recovery, place: &Location) -> Result<Epoch, Error> {
    let refused = |reason: String| Error::State { place: place.clone(), reason };
    let (store, facts) = (&recovery.store, recovery.facts.clone());
    let head = recovery.recovered.head.clone();
    let sources = core.plan().sources.iter().map(|source| source.name.clone()).collect();
    let mut parts = PartStorage::new(store.clone(), facts.clone(), head.generation, sources, 1);
    let mut coordinator = Coordinator::new(facts, head, 1, Vec::new());
    let transactions = recovery.manifest().map_or(&[][..], |last| &last.transactions);
    coordinator.take_over(recovery.positions(), transactions);
    for Delivered { sink, transaction } in recovery.delivered() {
        coordinator.deliver(sink, *transaction);
    }
    let mut input = CoordinatorInput::Begin;
    loop {
        let action = coordinator.handle(input, unix_seconds()).expect("a checkpoint goes on");
        input = match action {
            Action::Begin { epoch } => part(&mut core, &mut parts, epoch),
            Action::Store(manifest) => {
                let stored = propose(&**store, coordinator.head(), &manifest, draw());
                CoordinatorInput::Stored(stored.map_err(|error| error.to_string()))
            }
            Action::Swap { expected, new } => {
                store.swap_head(Some(&expected), &new).map_err(|it| refused(it.to_string()))?;
                CoordinatorInput::Swapped(Ok(()))
            }
            Action::Commit { epoch, .. } => return Ok(epoch),
            Action::Abort { reason, .. } => return Err(refused(reason)),
        };
    }
}

/// Stores all that the core has.
fn part(core: &mut Core, parts: &mut PartStorage, epoch: Epoch) -> CoordinatorInput {
    core.begin_checkpoint(epoch);
    core.attend_checkpoint(|_| {});
    loop {
        while core.hand_out_rows(ROWS_AT_ONCE).is_some() {}
        let step = core.take_part().expect("a part has an end");
        if let Some(input) = parts.store(0, &step, draw()) {
            return input;
        }
    }
}

/// Most rows that a core looks at in one call.
const ROWS_AT_ONCE: u32 = 16;

#[cfg(test)]
mod tests {
    use potoroo_sdk::prelude::*;

    use super::super::rows_file::RowsWriter;
    use super::*;
    use crate::checkpoint::TypeFacts;

    fn table<S: State + Default>() -> TablePlan {
        let app = Application::new("rows");
        let seen = app.table::<u64, S>("seen");
        let lines = app.source("lines", LineText::new()).key_by(|line| line.len() as u64);
        lines.update(&seen, |_, _| ());
        app.plan().expect("it is sound").tables.remove(0)
    }

    /// A row of the table whose state takes no byte.
    fn row_without_state(table: &TablePlan) -> Result<u64, String> {
        let shape = table.rows.shape();
        let of = |name: &str, shape| TypeFacts { name: name.to_owned(), shape };
        let types = (of(shape.key, shape.key_shape), of(shape.state, shape.state_shape));
        let mut bytes = Vec::new();
        let mut rows = RowsWriter::new(&mut bytes, "seen", &types.0, &types.1).expect("in memory");
        let record = Record { hash: 0, key: &7_u64.to_le_bytes(), state: &[] };
        rows.row(record, "7", "null").expect("in memory");
        rows.finish().expect("in memory");
        let name = format!("potoroo-import-{}-{}", std::process::id(), shape.state_shape);
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, &bytes).expect("there is room");
        let checked = check(table, &file);
        std::fs::remove_file(&file).expect("it is there");
        checked
    }

    #[test]
    fn a_row_is_one_of_the_table_by_its_type() {
        assert_eq!(row_without_state(&table::<()>()), Ok(1));
        let refused = row_without_state(&table::<u64>()).expect_err("a number takes bytes");
        assert!(refused.contains("its row is none of this table"), "{refused}");
    }

    #[test]
    fn what_can_be_read_once_only_is_refused() {
        let refused = check(&table::<u64>(), Path::new("/dev/zero")).expect_err("it is a device");
        assert!(refused.contains("it is no regular file"), "{refused}");
    }
}
