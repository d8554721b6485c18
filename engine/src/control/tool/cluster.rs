//! `potoroo cluster`: what the nodes of a cluster agree upon, and what an operator wishes of them.

mod map;

mod ready;

mod status;

mod wishes;

pub use map::map;
pub use ready::ready;
pub use status::status;
pub use wishes::{GivenWeight, gone, leave, rebalance, stop, weight};

use std::fmt::Write;
use std::sync::Arc;

use clap::Args;

use super::age::{age, now};
use super::answer::{Error, ToolExit, answer, to_json};
use crate::cluster::agreement::{AgreedEntries, Agreement, FolderAgreement};
use crate::cluster::record::{ClusterRecord, RECORD};
use crate::control::config::ClusterPlace;

/// Where the nodes agree, and how to answer.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Folder or etcd://HOST:PORT/NAME that the nodes were given with the same flag
    #[arg(long, value_name = "DIR|URL", env = "POTOROO_CLUSTER")]
    pub cluster: ClusterPlace,
    /// Answer with one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Shows what happened.
pub fn history(of: &ClusterArgs) -> Result<ToolExit, Error> {
    let (_, entries) = open(&of.cluster)?;
    let record = record(&entries);
    if of.json {
        return answer(to_json(&record.changes), ToolExit::Whole);
    }
    let mut text =
        "generation  paused (ms)  when           nodes and cause (phases in ms)".to_owned();
    for change in record.changes.iter().rev() {
        let nodes = change.nodes.join(" ");
        let when = age(change.unix_seconds, now());
        let (generation, ms, cause) = (change.generation, change.ms, &change.cause);
        let phases: Vec<String> =
            change.phases.iter().map(|(phase, ms)| format!("{phase} {ms}")).collect();
        let phases = phases.join(", ");
        write!(text, "\n{generation:>10} {ms:>12}  {when:<13}  {nodes}: {cause} ({phases})")
            .expect("it grows");
    }
    answer(text, ToolExit::Whole)
}

fn open(place: &ClusterPlace) -> Result<(Arc<dyn Agreement>, AgreedEntries), Error> {
    let nothing = || Error::NoCluster(place.to_string());
    // It would be made.
    if place.folder().is_some_and(|folder| !FolderAgreement::exists(folder)) {
        return Err(nothing());
    }
    let agreement = place.agree(None)?;
    let entries = agreement.list()?;
    match entries.is_empty() {
        true => Err(nothing()),
        false => Ok((agreement, entries)),
    }
}

fn record(entries: &AgreedEntries) -> ClusterRecord {
    let record = entries.get(RECORD).and_then(|entry| serde_json::from_str(&entry.value).ok());
    record.unwrap_or_default()
}
