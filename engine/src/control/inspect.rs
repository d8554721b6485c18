//! What people ask of the state that an application has stored: its tables as JSON.
//!
//! Only the application knows the types of its tables, so the tool asks it: a program that is
//! started to export, or one that runs. Reads only; takes no lock.

use std::io::{self, Write};
use std::path::PathBuf;

use potoroo_sdk::host::TableId;
use potoroo_sdk::plan::{Plan, TablePlan};
use potoroo_sdk::table::Record;

use super::config::Config;
use super::recovery::expect_table;
use super::rows_file::RowsWriter;
use crate::checkpoint::recover;
use crate::checkpoint::store::{self, Location, StoreReader};
use crate::checkpoint::{
    Epoch, Identity, IdentityMismatch, Manifest, TableFacts, each_row, history,
};

/// Writes the table `table` as the last checkpoint has it, or that of `config.restore`, to `out`:
/// one JSON object in each line. Returns whether `out` could be written.
///
/// # Errors
/// There is no such table or checkpoint, it cannot be used, or the storage cannot be read. What was
/// written then is not the whole table.
pub(super) fn export(
    plan: &Plan,
    config: &Config,
    table: &str,
    for_import: bool,
    mut out: impl Write,
) -> Result<io::Result<()>, super::error::Error> {
    let place = config.state.clone().unwrap_or_else(|| Location::Folder(PathBuf::new()));
    let written = place.view().map_err(Error::from).and_then(|view| {
        again(|| {
            let found = Inspected::open(&*view, plan, table, config.restore)?;
            if for_import { found.write_for_import(&mut out) } else { found.write(&mut out) }
        })
    });
    match written {
        Ok(()) => Ok(out.flush()),
        Err(Error::Output(error)) => Ok(Err(error)),
        Err(error) => Err(super::error::Error::State { place, reason: error.to_string() }),
    }
}

/// Tries `read` again when a part is missing, which is known before anything is shown: an
/// application that runs may have collected it meanwhile, and has a newer checkpoint then.
pub(super) fn again<T>(mut read: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 1..READS_MAX {
        match read() {
            Err(Error::Store(store::Error::Missing { .. })) => {}
            Err(Error::Start(recover::Error::Store(store::Error::Missing { .. }))) => {}
            done => return done,
        }
    }
    read()
}

/// Number of tries. An object is missing after that only if each try was slower than a checkpoint.
const READS_MAX: usize = 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The storage cannot be read, or what is in it is damaged.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Another application, or other types, wrote it.
    #[error(transparent)]
    Refused(#[from] IdentityMismatch),
    /// No checkpoint can be gone on from.
    #[error(transparent)]
    Start(#[from] recover::Error),
    /// There is no such checkpoint.
    #[error(
        "there is no checkpoint{}; retained are those of epochs {:?}",
        of(*.epoch),
        numbers(.kept)
    )]
    Checkpoint {
        /// What was asked for; `None` for the last one.
        epoch: Option<Epoch>,
        /// Those that are there.
        kept: Vec<Epoch>,
    },
    /// There is no such table.
    #[error("there is no table `{name}`; there are: {}", .tables.join(", "))]
    Table {
        /// What was asked for.
        name: String,
        /// Those that are there.
        tables: Vec<String>,
    },
    /// A row is not what its table says.
    #[error("a row of table `{table}` cannot be read: `potoroo checkpoint verify` has the details")]
    Row {
        /// The table.
        table: String,
    },
    /// What is shown cannot be written.
    #[error(transparent)]
    Output(#[from] io::Error),
}

fn numbers(epochs: &[Epoch]) -> Vec<u32> {
    epochs.iter().map(|epoch| epoch.0).collect()
}

fn of(epoch: Option<Epoch>) -> String {
    epoch.map_or_else(|| " yet".to_owned(), |epoch| format!(" of epoch {epoch}"))
}

/// A table of a checkpoint.
pub(super) struct Inspected<'a> {
    view: &'a dyn StoreReader,
    manifest: Manifest,
    id: TableId,
    table: &'a TablePlan,
}

impl<'a> Inspected<'a> {
    /// The table `name` of the application of `plan` in the checkpoint of `epoch`, or in the last
    /// one.
    pub(super) fn open(
        view: &'a dyn StoreReader,
        plan: &'a Plan,
        name: &str,
        epoch: Option<Epoch>,
    ) -> Result<Self, Error> {
        let table = plan.tables.iter().find(|table| table.name == name);
        let table = table.ok_or_else(|| Error::Table {
            name: name.to_owned(),
            tables: plan.tables.iter().map(|table| table.name.clone()).collect(),
        })?;
        let manifest = find(view, epoch)?;
        // How its keys were spread, and what else the application has, says nothing about a table.
        let facts = Identity::of(plan, manifest.facts.partitions);
        let object = format!("checkpoint {}", manifest.epoch);
        let at = facts.accept_table(&object, &manifest, name)?;
        expect_table(table, &manifest.facts.tables[at]);
        Ok(Self { view, manifest, id: TableId(at as u16), table })
    }

    /// Writes all rows: one JSON object with `key` and `state` in each line.
    fn write(&self, out: &mut impl Write) -> Result<(), Error> {
        self.each(|_, key, state| Ok(writeln!(out, "{{\"key\":{key},\"state\":{state}}}")?))
    }

    /// Writes all rows so that they can be imported.
    fn write_for_import(&self, out: &mut impl Write) -> Result<(), Error> {
        let TableFacts { name, key, state, .. } =
            &self.manifest.facts.tables[usize::from(self.id.0)];
        let mut rows = RowsWriter::new(out, name, key, state)?;
        self.each(|record, key, state| Ok(rows.row(record, key, state)?))?;
        Ok(rows.finish()?)
    }

    /// Calls `show` with each row, its key and its state as JSON.
    fn each(
        &self,
        mut show: impl FnMut(Record<'_>, &str, &str) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let each = |record: Record<'_>| {
            let (key, state) = self.json(record)?;
            show(record, &key, &state)
        };
        each_row(self.view, &self.manifest, self.id, |_| true, each)
    }

    /// The row whose key is written `key`, as JSON or, if that is a string, without its quotation
    /// marks. `None` if there is none.
    pub(super) fn get(&self, key: &str) -> Result<Option<String>, Error> {
        let quoted = serde_json::Value::from(key).to_string();
        let is_it = |record: Record<'_>| {
            let shown = self.table.rows.json(Record { state: &[], ..record });
            shown.is_ok_and(|(shown, _)| shown == key || shown == quoted)
        };
        let (epoch, mut found) = (self.manifest.epoch, None);
        each_row(self.view, &self.manifest, self.id, is_it, |record| {
            let (key, state) = self.json(record)?;
            found = Some(format!("{{\"epoch\":{epoch},\"key\":{key},\"state\":{state}}}"));
            Ok::<_, Error>(())
        })?;
        Ok(found)
    }

    fn json(&self, record: Record<'_>) -> Result<(String, String), Error> {
        let shown = self.table.rows.json(record);
        shown.map_err(|_| Error::Row { table: self.table.name.clone() })
    }
}

fn find(view: &dyn StoreReader, epoch: Option<Epoch>) -> Result<Manifest, Error> {
    let mut past = history(view, view.head()?.as_ref())?;
    let kept = past.iter().map(|past| past.epoch).collect();
    let at = past.iter().position(|past| epoch.is_none_or(|epoch| past.epoch == epoch));
    let at = at.ok_or(Error::Checkpoint { epoch, kept })?;
    Ok(past.swap_remove(at).manifest?)
}
