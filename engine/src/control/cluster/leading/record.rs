//! What the lead writes down for people, and what operators wish.

use std::time::Instant;

use super::super::super::checkpoints::unix_seconds;
use super::super::super::process::Process;
use super::Lead;
use crate::cluster::agreement::{Agreed, Disagreement};
use crate::cluster::record::{
    CHANGES_MAX, ClusterRecord, LEAD, RECORD, REFUSED, RecordedChange, RecordedNode, WISHES, Wish,
};
use crate::cluster::wire::{NewGeneration, NodeSeats};
use crate::flow::PartitionMap;

impl Lead {
    /// Writes down for people what has begun.
    pub(super) fn record(&mut self, process: &Process, new: &NewGeneration) {
        let (cause, since) = std::mem::replace(&mut self.cause, (String::new(), Instant::now()));
        let map = PartitionMap::spread(process.config.partitions as u32, &new.owners);
        let partitions = |node: &NodeSeats| {
            let seats = node.first..node.first + node.cores;
            let all = 0..process.config.partitions as u64;
            all.filter(|partition| seats.contains(&map.owner(*partition))).count()
        };
        let nodes: Vec<RecordedNode> = new
            .nodes
            .iter()
            .map(|node| RecordedNode {
                node: node.node.clone(),
                cores: node.cores,
                partitions: partitions(node),
            })
            .collect();
        if self.changes.is_empty() {
            self.changes = self.recorded().map(|record| record.changes).unwrap_or_default();
        }
        let cause = if cause.is_empty() { "start".to_owned() } else { cause };
        self.changes.push(RecordedChange {
            unix_seconds: unix_seconds(),
            generation: new.head.generation,
            cause,
            ms: since.elapsed().as_millis() as u64,
            nodes: nodes.iter().map(|node| node.node.clone()).collect(),
        });
        let forgotten = self.changes.len().saturating_sub(CHANGES_MAX);
        self.changes.drain(..forgotten);
        let record = ClusterRecord {
            application: self.member.hello.facts.application.clone(),
            generation: new.head.generation,
            state: self.member.hello.facts.state.clone(),
            nodes,
            changes: self.changes.clone(),
        };
        let text = serde_json::to_string(&record).expect("names and numbers are JSON");
        if let Err(error) = self.member.agreement.set(RECORD, text) {
            tracing::warn!("`potoroo cluster status` shows what was before: {error}");
        }
    }

    fn recorded(&self) -> Option<ClusterRecord> {
        let entries = self.member.agreement.list().ok()?;
        serde_json::from_str(&entries.get(RECORD)?.value).ok()
    }

    /// Looks for what operators wish.
    pub(super) fn look_for_wishes(&mut self, process: &Process) -> Result<(), Disagreement> {
        let version = self.member.agreement.version();
        if std::mem::replace(&mut self.seen, version) == version {
            return Ok(());
        }
        let entries = self.member.agreement.list().inspect_err(|_| self.seen = (0, 0, 0))?;
        let session = entries.get(LEAD).and_then(|lead| lead.session);
        self.is_deposed = session != Some(self.member.agreement.session());
        for (key, entry) in entries.iter().filter(|(key, _)| key.starts_with(WISHES)) {
            if entry.value.starts_with(REFUSED) {
                continue;
            }
            // A wish stays until it is done: when this node is lost, the next lead sees it, too.
            let refused = match serde_json::from_str(&entry.value) {
                Ok(Wish::Stop) => {
                    self.stopping = true;
                    process.request.stop();
                    None
                }
                Ok(Wish::Leave(node)) => self.let_leave(&node).err(),
                Err(error) => Some(format!("it cannot be understood: {error}")),
            };
            if let Some(reason) = refused {
                let (value, session) = (format!("{REFUSED}{reason}"), entry.session);
                let answer = Agreed { value, session };
                self.member.agreement.swap(key, Some(entry), Some(answer))?;
            }
        }
        Ok(())
    }

    /// # Errors
    /// The node cannot leave: cause and remedy.
    fn let_leave(&mut self, node: &str) -> Result<(), String> {
        if node == self.member.name() {
            let alone = "no other node would go on: use `potoroo cluster stop`";
            return if self.leave() { Ok(()) } else { Err(alone.to_owned()) };
        }
        match self.nodes.iter().any(|one| one.hello.node == node) {
            true => {
                self.leaving.insert(node.to_owned());
                Ok(())
            }
            false => Err(format!("there is no node `{node}`: `potoroo cluster status` shows them")),
        }
    }
}
