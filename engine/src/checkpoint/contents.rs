//! Contents: the rows of a table in a checkpoint.
//!
//! Reads only. What is under way at the cut has not had its effect on a table yet.

use std::collections::BTreeMap;

use potoroo_sdk::host::TableId;
use potoroo_sdk::table::Record;

use super::recover::each_chunk;
use super::store::{self, View};
use super::{Manifest, Section};

/// Keys and states of a table, as archives, by key.
pub type Rows = BTreeMap<Vec<u8>, (u64, Vec<u8>)>;

/// The rows of `table` in the checkpoint of `manifest` of which `wanted` says so. It is asked for
/// each record, also of those that a later one replaces, and must say the same for each of a key.
///
/// # Errors
/// A part is missing or damaged, or the storage cannot be read.
pub fn contents(
    view: &dyn View,
    manifest: &Manifest,
    table: TableId,
    mut wanted: impl FnMut(Record<'_>) -> bool,
) -> Result<Rows, store::Error> {
    let mut rows = Rows::new();
    each_chunk::<store::Error>(view, manifest, |_, chunk| {
        let (Section::Rows(of) | Section::Removed(of)) = chunk.section else { return Ok(()) };
        let mut rest = if of == table { chunk.bytes.as_slice() } else { &[] };
        while let Some((record, behind)) = Record::split(rest) {
            rest = behind;
            if !wanted(record) {
                continue;
            }
            match chunk.section {
                Section::Rows(_) => {
                    rows.insert(record.key.to_vec(), (record.hash, record.state.to_vec()));
                }
                _ => drop(rows.remove(record.key)),
            }
        }
        Ok(())
    })?;
    Ok(rows)
}
