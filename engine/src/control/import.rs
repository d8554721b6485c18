//! Import: a new application begins with a table of another one.
//!
//! The rows become a checkpoint, the first one of an empty state or the next one of an application
//! that is stopped: all else in it stays, with positions, frames under way and output that waits.
//!
//! Promises: the table must be empty, so nothing is overwritten; the file is read to its end before
//! the state is touched; a crash leaves the checkpoint before or the new one. Must never do: open a
//! source or a sink.

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
use super::recovery::Recovery;
use super::rows_file::{RowsMistake, read_rows};
use super::stop_request::StopRequest;
use crate::checkpoint::coordinator::{Action, Coordinator, CoordinatorInput};
use crate::checkpoint::store::{Location, draw};
use crate::checkpoint::{Chunk, Delivered, Epoch, Renumbering, Section, propose};
use crate::flow::{Core, CoreConfig, PartitionMap, SharedCounts};

/// What was imported.
#[derive(Debug)]
pub(super) struct Imported {
    pub(super) rows: u64,
    pub(super) epoch: Epoch,
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
    check(&plan.tables[at], file).map_err(refused)?;
    let recovery = Recovery::open(&plan, config, place)?;
    let mut core = core(of_core, config);
    recovery.load(&mut core, &StopRequest::default())?;
    let held = core.plan().tables[at].rows.count();
    if held > 0 {
        return Err(refused(format!(
            "it has {held} rows, and only an empty table is filled: give another --state"
        )));
    }
    let rows = fill(&mut core, at, file).map_err(refused)?;
    recovery.begin_checkpoints(&mut core, config);
    let epoch = commit(core, &recovery, place)?;
    Ok(Imported { rows, epoch })
}

/// Reads the file to its end.
fn check(table: &TablePlan, file: &Path) -> Result<(), String> {
    read(table, file, |key, state| {
        let record = Record { hash: 0, key, state };
        let readable = !state.is_empty() && table.rows.json(record).is_ok();
        if readable { Ok(()) } else { Err("its row is none of this table".to_owned()) }
    })
    .map(drop)
}

fn read(
    table: &TablePlan,
    file: &Path,
    visit: impl FnMut(&[u8], &[u8]) -> Result<(), String>,
) -> Result<u64, String> {
    let named = |error: String| format!("{}: {error}", file.display());
    let from = File::open(file).map_err(|error| named(error.to_string()))?;
    let rows = read_rows(BufReader::new(from), table, visit);
    rows.map_err(|mistake: RowsMistake| format!("{}, {mistake}", file.display()))
}

/// Puts the rows of the file into the table `at`.
fn fill(core: &mut Core, at: usize, file: &Path) -> Result<u64, String> {
    let numbers = Renumbering::same(core.plan());
    let section = Section::Rows(TableId(at as u16));
    let (table, now) = (core.plan().tables[at].rows.clone(), Clock::new().now());
    let name = core.plan().tables[at].name.clone();
    let plan = TablePlan { name, rows: table.clone() };
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
