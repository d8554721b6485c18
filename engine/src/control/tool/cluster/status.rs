//! Which nodes take part, and what each of them does.

use std::fmt::Write;

use serde::Serialize;

use super::super::answer::{Error, ToolExit, answer, to_json};
use super::wishes::view;
use super::{ClusterArgs, open, record};
use crate::checkpoint::store::Location;
use crate::cluster::agreement::AgreedEntries;
use crate::cluster::record::{
    ClusterRecord, NODES, NamedProcess, RecordedNode, lead_of, weights_of,
};
use crate::cluster::shares::Weight;
use crate::cluster::view::{ClusterView, NodeState, NodeView};

#[derive(Debug, PartialEq, Serialize)]
struct NodeLine {
    node: String,
    process: Option<String>,
    state: NodeState,
    cores: usize,
    weight: Weight,
    partitions: usize,
    /// As the lead answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    doing: Option<NodeView>,
}

#[derive(Serialize)]
struct ClusterStatus<'a> {
    application: &'a str,
    generation: u64,
    lead: Option<String>,
    epoch: Option<u64>,
    nodes: Vec<NodeLine>,
}

/// Shows who takes part and, unless only what is `agreed` is asked for, what they do.
pub fn status(of: &ClusterArgs, agreed: bool) -> Result<ToolExit, Error> {
    let (agreement, entries) = open(of)?;
    let record = record(&entries);
    let mut nodes = lines(&entries, &record);
    let leads = |line: &&NodeLine| line.state == NodeState::Lead;
    let lead = nodes.iter().find(leads).map(|line| line.node.clone());
    let head = record.state.parse::<Location>().ok().and_then(|place| place.view().ok());
    let head = head.and_then(|view| view.head().ok().flatten());
    let epoch = head.map(|head| u64::from(head.epoch.0));
    let asks = lead.as_ref().filter(|_| !agreed);
    let view = asks.map(|_| view(&*agreement)).transpose()?.flatten();
    let silent = asks.filter(|_| view.is_none()).cloned();
    add(&mut nodes, view);
    if of.json {
        let (application, generation) = (record.application.as_str(), record.generation);
        let status = ClusterStatus { application, generation, lead, epoch, nodes };
        return answer(to_json(&status), ToolExit::Whole);
    }
    let mut text = format!(
        "{} · generation {} · {} · checkpoint {}\n\
         {:<16} {:>8}  {:<8} {:>5}  {:>6} {:>11} {:>11} {:>11} {:>13}  {:>4}  held by",
        record.application,
        record.generation,
        lead.map_or("no node leads".to_owned(), |lead| format!("lead {lead}")),
        epoch.map_or("unknown".to_owned(), |epoch| epoch.to_string()),
        "node",
        "process",
        "state",
        "cores",
        "weight",
        "partitions",
        "events/s",
        "rows",
        "bytes",
        "busy",
    );
    nodes.iter().for_each(|line| print(line, &mut text));
    if let Some(lead) = silent {
        let said = write!(
            text,
            "\nnode {lead}, which leads, does not answer: it begins a generation, stands still or \
             cannot be reached"
        );
        said.expect("text grows");
    }
    answer(text, ToolExit::Whole)
}

fn print(line: &NodeLine, text: &mut String) {
    let NodeLine { node, process, state, cores, weight, partitions, doing } = line;
    let process = process.as_deref().unwrap_or("-");
    let state = format!("{state:?}").to_lowercase();
    write!(text, "\n{node:<16} {process:>8}  {state:<8} {cores:>5}  {weight:>6} {partitions:>11}")
        .expect("text grows");
    let Some(view) = doing else { return };
    let figures = &view.figures;
    write!(
        text,
        " {:>11.0} {:>11} {:>13} {:>4.0}%  {}",
        figures.events_per_second,
        figures.rows,
        figures.bytes,
        figures.busy * 100.0,
        view.held_by().as_deref().unwrap_or("-"),
    )
    .expect("text grows");
}

/// Adds what the lead answers.
fn add(lines: &mut [NodeLine], view: Option<ClusterView>) {
    for node in view.into_iter().flat_map(|view| view.nodes) {
        let Some(line) = lines.iter_mut().find(|line| line.node == node.node) else { continue };
        if node.state == NodeState::Leaving {
            line.state = node.state;
        }
        line.doing = Some(node);
    }
}

/// The nodes of the generation, then those that live beside it.
fn lines(entries: &AgreedEntries, record: &ClusterRecord) -> Vec<NodeLine> {
    let process = |node: &str| {
        let entry = entries.get(&format!("{NODES}{node}"))?;
        let process = NamedProcess::read(&entry.value);
        Some(process.map_or("?".to_owned(), |process| process.process.to_string()))
    };
    let lead = lead_of(entries);
    let leads = |node: &str| lead == Some(node);
    let given = weights_of(entries);
    let weight = |node: &RecordedNode| given.get(&node.node).copied().unwrap_or(node.weight);
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
            weight: weight(one),
            partitions: one.partitions,
            doing: None,
        })
        .collect();
    for node in entries.keys().filter_map(|key| key.strip_prefix(NODES)) {
        if !record.nodes.iter().any(|one| one.node == node) {
            lines.push(NodeLine {
                node: node.to_owned(),
                process: process(node),
                state: NodeState::Joining,
                cores: 0,
                weight: Weight::of_cores(0),
                partitions: 0,
                doing: None,
            });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::agreement::Agreed;

    #[test]
    fn a_node_is_what_the_agreement_and_the_record_say() {
        let entry =
            |value: &str, session| Agreed { value: value.to_owned(), session: Some(session) };
        let process =
            |process| NamedProcess { process, host: "here".to_owned(), lease_ms: 1000 }.write();
        let entries = AgreedEntries::from([
            ("lead".to_owned(), entry("127.0.0.1:1", 1)),
            ("nodes/a".to_owned(), entry(&process(11), 1)),
            ("nodes/b".to_owned(), entry(&process(12), 2)),
            ("nodes/d".to_owned(), entry(&process(14), 4)),
        ]);
        let node = |node: &str| {
            let (node, weight) = (node.to_owned(), Weight::of_cores(2));
            RecordedNode {
                node,
                process: "1".to_owned(),
                cores: 2,
                state_cores: 2,
                weight,
                partitions: 3,
            }
        };
        let nodes = vec![node("a"), node("b"), node("c")];
        let record = ClusterRecord { nodes, ..ClusterRecord::default() };
        let lines = lines(&entries, &record);
        let states: Vec<_> = lines.iter().map(|line| (line.node.as_str(), line.state)).collect();
        let (lead, member) = (("a", NodeState::Lead), ("b", NodeState::Member));
        assert_eq!(states, [lead, member, ("c", NodeState::Gone), ("d", NodeState::Joining)]);
        assert_eq!(lines[0].process.as_deref(), Some("11"));
    }
}
