//! What the lead writes down for people.

use std::time::Instant;

use super::super::super::checkpoints::unix_seconds;
use super::super::super::process::Process;
use super::Lead;
use crate::cluster::agreement::Disagreement;
use crate::cluster::record::{CHANGES_MAX, ClusterRecord, RECORD, RecordedChange, RecordedNode};
use crate::cluster::wire::NodeHello;
use crate::system;

impl Lead {
    /// Writes down for people what has begun.
    pub(super) fn record(&mut self) {
        let nodes = self.recorded_nodes();
        if self.changes.is_empty() {
            let before = self.recorded().unwrap_or_default();
            let causes = before.causes(&nodes, self.succeeds);
            causes.into_iter().for_each(|cause| self.add_cause(cause));
            self.changes = before.changes;
        }
        let (cause, since) = std::mem::replace(&mut self.cause, (String::new(), system::now()));
        let marks = std::mem::take(&mut self.marks);
        let begun = marks.last().map_or_else(system::now, |(_, at)| *at);
        let cause = if cause.is_empty() { "start".to_owned() } else { cause };
        self.changes.push(RecordedChange {
            unix_seconds: unix_seconds(),
            generation: self.generation,
            cause,
            ms: begun.saturating_duration_since(since).as_millis() as u64,
            phases: phases(since, &marks),
            nodes: nodes.iter().map(|node| node.node.clone()).collect(),
        });
        let forgotten = self.changes.len().saturating_sub(CHANGES_MAX);
        self.changes.drain(..forgotten);
        let record = ClusterRecord {
            application: self.member.hello.facts.application.clone(),
            generation: self.generation,
            state: self.member.hello.facts.state.clone(),
            nodes,
            left: None,
            changes: self.changes.clone(),
        };
        self.record = to_text(&record);
        let waiting = self.waiting.clone();
        let written = self.show_record();
        let written = written.and_then(|()| self.write_shares()).and_then(|()| self.fulfil());
        if let Err(error) = written {
            tracing::warn!("`potoroo cluster` shows what was before: {error}");
            // No further generation is to begin for them: they are looked at again.
            self.waiting.clear();
            self.wishes.retain(|key| !waiting.contains(key));
            self.seen = None;
        }
    }

    fn recorded_nodes(&self) -> Vec<RecordedNode> {
        let node = |hello: &NodeHello| RecordedNode {
            node: hello.node.clone(),
            process: hello.process.clone(),
            cores: hello.cores,
            state_cores: hello.state_cores.len(),
            weight: hello.weight,
            partitions: self.partitions_of(&hello.node),
        };
        self.hellos().map(node).collect()
    }

    /// Writes down that this node leaves: the next lead would take it for lost.
    pub(in crate::control) fn record_leave(&self) {
        // Without the agreement its end does not wait.
        let Some(record) = self.member.stands().then(|| self.recorded()).flatten() else { return };
        let left = Some(self.member.name().to_owned());
        let record = to_text(&ClusterRecord { left, ..record });
        if let Err(error) = self.member.set_as_lead(RECORD, record) {
            tracing::debug!("`potoroo cluster history` takes this node for lost: {error}");
        }
    }

    /// Has people see what was recorded last.
    ///
    /// # Errors
    /// The agreement cannot be used.
    pub(super) fn show_record(&self) -> Result<(), Disagreement> {
        self.member.set_as_lead(RECORD, self.record.clone())
    }

    fn recorded(&self) -> Option<ClusterRecord> {
        let entries = self.member.agreement.list().ok()?;
        serde_json::from_str(&entries.get(RECORD)?.value).ok()
    }

    /// Removes what nodes that are dead had half written into the shared storage.
    pub(super) fn remove_left_over(&self, process: &Process) {
        let stored = process.stored.as_ref().expect("a cluster has state");
        if let Err(error) = stored.store.remove_left_over() {
            tracing::warn!("what killed nodes had half written stays: {error}");
        }
    }

    /// One line: which nodes the generation has.
    pub(super) fn line(&self) -> String {
        let all: Vec<String> =
            self.hellos().map(|one| format!("{} ({})", one.node, one.cores)).collect();
        let (count, generation) = (all.len(), self.generation);
        format!("generation {generation} runs on {count} nodes (cores): {}", all.join(", "))
    }
}

fn to_text(record: &ClusterRecord) -> String {
    serde_json::to_string(record).expect("names and numbers are JSON")
}

/// How many milliseconds each phase took; those of several tries are one.
fn phases(since: Instant, marks: &[(&'static str, Instant)]) -> Vec<(String, u64)> {
    let (mut phases, mut before): (Vec<(String, u64)>, _) = (Vec::new(), since);
    for (phase, at) in marks {
        let ms = at.saturating_duration_since(before).as_millis() as u64;
        before = *at;
        match phases.iter_mut().find(|(known, _)| known == phase) {
            Some((_, sum)) => *sum += ms,
            None => phases.push(((*phase).to_owned(), ms)),
        }
    }
    phases
}
