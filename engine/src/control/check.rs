//! What `--check` prints: the plan, the guarantee of each path, the memory bill, and what would be
//! kept of what is stored.

use std::fmt::Write;

use potoroo_sdk::plan::{End, Path, Plan};

use super::bill::Bill;
use super::config::{Config, idle_name};
use super::error::Error;
use super::inspect::again;
use super::takeover::preview;
use crate::checkpoint::Identity;
use crate::checkpoint::store::Location;
use crate::connect::promise::{Promise, Survival};

/// The whole text, and why a start would be refused by what is stored, if it would.
///
/// # Errors
/// What is stored cannot be read.
pub(super) fn check(plan: &Plan, config: &Config) -> Result<(String, Result<(), Error>), Error> {
    let text = describe(plan, config);
    let Some(place) = &config.state else { return Ok((text, Ok(()))) };
    let refused = |reason: String| Error::State { place: place.clone(), reason };
    let facts = Identity::of(plan, config.partitions as u32);
    let found = again(|| Ok(preview(plan, &facts, config, place)?));
    let found = found.map_err(|error| refused(error.to_string()))?;
    let text = format!("{text}\nstate in {place}\n{}", found.text);
    Ok((text, found.refused.map_or(Ok(()), |reason| Err(refused(reason)))))
}

/// What is known without what is stored.
pub fn describe(plan: &Plan, config: &Config) -> String {
    let mut text = format!("application {}\n\nsources\n", plan.name);
    for source in &plan.sources {
        let address = &config.sources[&source.name];
        let _ = writeln!(text, "  {} ({}) from {address}", source.name, source.event);
    }
    text.push_str("\nexchanges\n");
    for exchange in &plan.exchanges {
        let _ = writeln!(text, "  level {}: {}", exchange.level, exchange.label);
    }
    text.push_str("\ntables\n");
    for table in &plan.tables {
        let bytes = table.rows.row_bytes();
        // Of slots that changed: those of the present epoch, and of a quarter from before.
        let lists = if config.state.is_some() { ", up to 5 of lists of changes" } else { "" };
        let name = &table.name;
        let _ = writeln!(text, "  {name}: {bytes} bytes per row, about 20 of index{lists}");
    }
    text.push_str("\nsinks\n");
    for sink in &plan.sinks {
        let to = match &sink.name {
            Some(name) => config.sinks[name].to_string(),
            None => "the connection that asked".to_string(),
        };
        let _ = writeln!(text, "  {} to {to}", sink.label());
    }
    text.push_str("\nguarantees\n");
    for line in guarantees(plan, config) {
        let _ = writeln!(text, "  {line}");
    }
    if config.cluster.is_some() {
        text.push_str(&losses(plan, config));
        let how = if config.is_encrypted() {
            "encrypted (TLS 1.3, certificates on both sides)"
        } else {
            "in the clear"
        };
        let _ = writeln!(text, "\nlinks and control between nodes\n  {how}");
    }
    let _ = writeln!(
        text,
        "\ncores\n  {:?}, {} partitions on {:?}, idle: {}",
        config.cores,
        config.partitions,
        config.state_cores.as_ref().unwrap_or(&config.cores),
        idle_name(config.idle),
    );
    let _ = writeln!(text, "\nmemory\n{}", Bill::new(plan, config));
    text
}

/// What becomes of each edge when a node of the cluster, or a machine, is lost.
fn losses(plan: &Plan, config: &Config) -> String {
    let state = match &config.state {
        Some(Location::Folder(_)) => {
            "a machine's loss is survived if --state is a folder that other machines see, or s3://"
        }
        _ => "--state outlives a machine",
    };
    let mut text = format!("\nwhen a node is lost, or its machine with the disk ({state})\n");
    let mut line = |edge: &str, name: &str, Survival { node, machine }: Survival| {
        let _ = writeln!(text, "  {edge} {name}: node: {node}; machine: {machine}");
    };
    for table in &plan.tables {
        line("table", &table.name, Survival::new("as in the last checkpoint", Survival::SAME));
    }
    for source in &plan.sources {
        let name = &source.name;
        line("source", name, config.sources[name].connector().survival());
    }
    for sink in &plan.sinks {
        let survival = match &sink.name {
            Some(name) => config.sinks[name].connector().survival(),
            None => Survival::new("replies go with their connection", Survival::SAME),
        };
        line("sink", sink.label(), survival);
    }
    text
}

/// The guarantee of each path, in one line each.
pub fn guarantees(plan: &Plan, config: &Config) -> Vec<String> {
    let line = |path: &Path| {
        let address = &config.sources[&plan.sources[path.source.0 as usize].name];
        let checkpoints = config.state.is_some();
        let source = address.connector();
        let sink = match path.end {
            End::Table(_) if checkpoints => {
                Promise::new("kept", "in the last checkpoint, see --state")
            }
            End::Table(_) => {
                Promise::new("kept in memory", "state ends with the process without --state")
            }
            End::Sink(id) => match &plan.sinks[id.0 as usize].name {
                Some(name) => config.sinks[name].connector().promise(checkpoints),
                None => source.reply_promise(),
            },
        };
        let Promise { times, reason } = source.promise(checkpoints);
        let label = plan.path_label(*path);
        format!("{label}: {times} in ({reason}), {} out ({})", sink.times, sink.reason)
    };
    plan.paths.iter().map(line).collect()
}
