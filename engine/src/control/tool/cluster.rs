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
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::age::{age, now};
use super::answer::{Error, ToolExit, answer, to_json};
use crate::cluster::agreement::{AgreedEntries, Agreement, FolderAgreement};
use crate::cluster::record::{ClusterRecord, RECORD};
use crate::cluster::tls_files::GivenFiles;
use crate::control::config::ClusterPlace;

/// Where the nodes agree, and how to answer.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Folder, etcd://HOST:PORT/NAME or etcds://HOST:PORT/NAME that the nodes were given with the
    /// same flag
    #[arg(long, value_name = "DIR|URL", env = "POTOROO_CLUSTER")]
    pub cluster: ClusterPlace,
    /// Certificates, in PEM, of the authorities of etcd, for etcds://…
    #[arg(long, value_name = "FILE", env = "POTOROO_TLS_CA")]
    pub tls_ca: Option<PathBuf>,
    /// Certificate, in PEM, that is shown to etcd where it wants one
    #[arg(long, value_name = "FILE", env = "POTOROO_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key, in PEM, of that
    #[arg(long, value_name = "FILE", env = "POTOROO_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Answer with one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Shows what happened.
pub fn history(of: &ClusterArgs) -> Result<ToolExit, Error> {
    let (_, entries) = open(of)?;
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

fn open(of: &ClusterArgs) -> Result<(Arc<dyn Agreement>, AgreedEntries), Error> {
    let place = &of.cluster;
    let nothing = || Error::NoCluster(place.to_string());
    // It would be made.
    if place.folder().is_some_and(|folder| !FolderAgreement::exists(folder)) {
        return Err(nothing());
    }
    let (certificate, key) = (of.tls_cert.clone(), of.tls_key.clone());
    let files = GivenFiles { certificate, key, authority: of.tls_ca.clone() };
    let agreement = place.agree(None, &files)?;
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
