//! `potoroo cluster`: what the nodes of a cluster agree upon, and what an operator wishes of them.

use std::fmt::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::age::{age, now};
use super::answer::{Error, ToolExit, answer, to_json};
use crate::checkpoint::store::{Location, draw};
use crate::cluster::agreement::{Agreed, AgreedEntries, Agreement};
use crate::cluster::record::{ClusterRecord, LEAD, NODES, RECORD, REFUSED, WISHES, Wish};
use crate::control::config::ClusterPlace;

/// Where the nodes agree, and how to answer.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Folder that the nodes were given with the same flag
    #[arg(long, value_name = "DIR")]
    pub cluster: ClusterPlace,
    /// Answer with one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What a node does, as far as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum NodeState {
    Lead,
    Member,
    /// It lives, and the generation does not have it.
    Joining,
    /// The generation has it, and it does not live.
    Gone,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct NodeLine {
    node: String,
    process: Option<String>,
    state: NodeState,
    cores: usize,
    partitions: usize,
}

#[derive(Serialize)]
struct ClusterStatus<'a> {
    application: &'a str,
    generation: u64,
    lead: Option<String>,
    epoch: Option<u64>,
    nodes: Vec<NodeLine>,
}

/// Shows who takes part.
pub fn status(of: &ClusterArgs) -> Result<ToolExit, Error> {
    let (_, entries) = open(&of.cluster)?;
    let record = record(&entries);
    let nodes = lines(&entries, &record);
    let leads = |line: &&NodeLine| line.state == NodeState::Lead;
    let lead = nodes.iter().find(leads).map(|line| line.node.clone());
    let head = record.state.parse::<Location>().ok().and_then(|place| place.view().ok());
    let head = head.and_then(|view| view.head().ok().flatten());
    let epoch = head.map(|head| u64::from(head.epoch.0));
    if of.json {
        let (application, generation) = (record.application.as_str(), record.generation);
        let status = ClusterStatus { application, generation, lead, epoch, nodes };
        return answer(to_json(&status), ToolExit::Whole);
    }
    let mut text = format!(
        "{} · generation {} · {} · checkpoint {}\n\
         node              process  state    cores  partitions",
        record.application,
        record.generation,
        lead.map_or("no node leads".to_owned(), |lead| format!("lead {lead}")),
        epoch.map_or("unknown".to_owned(), |epoch| epoch.to_string()),
    );
    for NodeLine { node, process, state, cores, partitions } in &nodes {
        let process = process.as_deref().unwrap_or("-");
        let state = format!("{state:?}").to_lowercase();
        let line =
            write!(text, "\n{node:<16} {process:>8}  {state:<8} {cores:>5} {partitions:>11}");
        line.expect("text grows");
    }
    answer(text, ToolExit::Whole)
}

/// Shows what happened.
pub fn history(of: &ClusterArgs) -> Result<ToolExit, Error> {
    let (_, entries) = open(&of.cluster)?;
    let record = record(&entries);
    if of.json {
        return answer(to_json(&record.changes), ToolExit::Whole);
    }
    let mut text = "generation  paused (ms)  when           nodes and cause".to_owned();
    for change in record.changes.iter().rev() {
        let nodes = change.nodes.join(" ");
        let when = age(change.unix_seconds, now());
        let (generation, ms, cause) = (change.generation, change.ms, &change.cause);
        write!(text, "\n{generation:>10} {ms:>12}  {when:<13}  {nodes}: {cause}")
            .expect("it grows");
    }
    answer(text, ToolExit::Whole)
}

/// Has a node end while the others go on, and waits until it has.
pub fn leave(of: &ClusterArgs, node: &str) -> Result<ToolExit, Error> {
    wish(of, &Wish::Leave(node.to_owned()), |entries| {
        !entries.contains_key(&format!("{NODES}{node}"))
    })?;
    answer(format_args!("node `{node}` has left"), ToolExit::Whole)
}

/// Has all nodes end, and waits until they have.
pub fn stop(of: &ClusterArgs) -> Result<ToolExit, Error> {
    wish(of, &Wish::Stop, |entries| !entries.keys().any(|key| key.starts_with(NODES)))?;
    answer("all nodes have ended", ToolExit::Whole)
}

/// How long no node may lead.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Tells the lead, and waits until it is `done`.
fn wish(of: &ClusterArgs, wish: &Wish, done: impl Fn(&AgreedEntries) -> bool) -> Result<(), Error> {
    let (agreement, entries) = open(&of.cluster)?;
    let place = of.cluster.to_string();
    if !entries.contains_key(LEAD) {
        return Err(Error::NoLead(place));
    }
    let key = format!("{WISHES}{:016x}", draw());
    let value = serde_json::to_string(wish).expect("names are JSON");
    // It goes with this process.
    let session = Some(agreement.session());
    agreement.swap(&key, None, Some(Agreed { value, session }))?;
    let begun = Instant::now();
    loop {
        let entries = agreement.list()?;
        if done(&entries) {
            return Ok(());
        }
        let answer = entries.get(&key).and_then(|entry| entry.value.strip_prefix(REFUSED));
        if let Some(reason) = answer {
            return Err(Error::WishRefused { place, reason: reason.to_owned() });
        }
        if !entries.contains_key(LEAD) && begun.elapsed() > SEEN_WITHIN {
            return Err(Error::NoLead(place));
        }
        sleep(LOOK);
    }
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

/// The nodes of the generation, then those that live beside it.
fn lines(entries: &AgreedEntries, record: &ClusterRecord) -> Vec<NodeLine> {
    let process = |node: &str| entries.get(&format!("{NODES}{node}")).map(|it| it.value.clone());
    let lead = entries.get(LEAD).and_then(|lead| lead.session);
    let leads = |node: &str| {
        let session = entries.get(&format!("{NODES}{node}")).and_then(|it| it.session);
        session.is_some() && session == lead
    };
    let mut lines: Vec<NodeLine> = record
        .nodes
        .iter()
        .map(|one| NodeLine {
            node: one.node.clone(),
            process: process(&one.node),
            state: match process(&one.node) {
                None => NodeState::Gone,
                Some(_) if leads(&one.node) => NodeState::Lead,
                Some(_) => NodeState::Member,
            },
            cores: one.cores,
            partitions: one.partitions,
        })
        .collect();
    for node in entries.keys().filter_map(|key| key.strip_prefix(NODES)) {
        if !record.nodes.iter().any(|one| one.node == node) {
            lines.push(NodeLine {
                node: node.to_owned(),
                process: process(node),
                state: NodeState::Joining,
                cores: 0,
                partitions: 0,
            });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::record::RecordedNode;

    #[test]
    fn a_node_is_what_the_agreement_and_the_record_say() {
        let entry =
            |value: &str, session| Agreed { value: value.to_owned(), session: Some(session) };
        let entries = AgreedEntries::from([
            ("lead".to_owned(), entry("127.0.0.1:1", 1)),
            ("nodes/a".to_owned(), entry("11", 1)),
            ("nodes/b".to_owned(), entry("12", 2)),
            ("nodes/d".to_owned(), entry("14", 4)),
        ]);
        let node = |node: &str| RecordedNode { node: node.to_owned(), cores: 2, partitions: 3 };
        let nodes = vec![node("a"), node("b"), node("c")];
        let record = ClusterRecord { nodes, ..ClusterRecord::default() };
        let lines = lines(&entries, &record);
        let states: Vec<_> = lines.iter().map(|line| (line.node.as_str(), line.state)).collect();
        let (lead, member) = (("a", NodeState::Lead), ("b", NodeState::Member));
        assert_eq!(states, [lead, member, ("c", NodeState::Gone), ("d", NodeState::Joining)]);
        assert_eq!(lines[0].process.as_deref(), Some("11"));
    }
}
