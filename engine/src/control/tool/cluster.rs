//! `potoroo cluster`: what the nodes of a cluster agree upon, and what an operator wishes of them.

mod map;

mod status;

mod wishes;

pub use map::map;
pub use status::status;
pub use wishes::{GivenWeight, gone, leave, rebalance, stop, weight};

use std::fmt::Write;

use clap::Args;

use super::age::{age, now};
use super::answer::{Error, ToolExit, answer, to_json};
use crate::checkpoint::store::draw;
use crate::cluster::agreement::{AgreedEntries, Agreement};
use crate::cluster::record::{ClusterRecord, RECORD};
use crate::control::config::ClusterPlace;

/// Where the nodes agree, and how to answer.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Folder that the nodes were given with the same flag
    #[arg(long, value_name = "DIR", env = "POTOROO_CLUSTER")]
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

fn open(place: &ClusterPlace) -> Result<(Agreement, AgreedEntries), Error> {
    let found = Agreement::exists(place.folder());
    if !found {
        return Err(Error::NoCluster(place.to_string()));
    }
    let agreement = Agreement::open(place.folder(), draw())?;
    let entries = agreement.list()?;
    Ok((agreement, entries))
}

fn record(entries: &AgreedEntries) -> ClusterRecord {
    let record = entries.get(RECORD).and_then(|entry| serde_json::from_str(&entry.value).ok());
    record.unwrap_or_default()
}
