//! What the lead shows of all nodes.

use super::super::super::process::Process;
use super::Lead;
use super::seating::weight_of;
use crate::cluster::view::{ClusterView, NodeState, NodeView};
use crate::cluster::wire::{NodeHello, ToNode};

impl Lead {
    /// Once each second: shows all nodes what all of them do.
    pub(super) fn show(&mut self, process: &Process) {
        let Some(figures) = self.member.figures.look(process) else { return };
        self.member.look_at_certificate();
        let own = self.member.name().to_owned();
        self.reports.take(&own, figures);
        let view = self.view(process);
        for node in &self.nodes {
            // What one that stands still does not take would fill its connection.
            let takes = |one: &&NodeView| one.node == node.hello.node && !one.is_silent();
            if view.nodes.iter().any(|one| takes(&one)) {
                node.send(&ToNode::View(Box::new(view.clone())));
            }
        }
        process.watch.set_cluster(view);
    }

    /// What all nodes do, as far as this one knows.
    pub(super) fn view(&self, process: &Process) -> ClusterView {
        let node = |hello: &NodeHello, state| {
            let found = self.reports.of(&hello.node);
            let (figures, silent) =
                found.map(|(figures, silent)| (figures.clone(), silent)).unzip();
            NodeView {
                node: hello.node.clone(),
                state,
                cores: hello.cores,
                weight: weight_of(&self.weights, hello),
                partitions: self.partitions_of(&hello.node),
                silent_seconds: silent,
                figures: figures.unwrap_or_default(),
            }
        };
        let member = |hello: &NodeHello| {
            let state = match hello.node == self.member.name() {
                _ if self.leaving.contains_key(&hello.node) => NodeState::Leaving,
                true => NodeState::Lead,
                false => NodeState::Member,
            };
            node(hello, state)
        };
        let joining = self.joining.iter().map(|one| node(&one.hello, NodeState::Joining));
        let mut nodes: Vec<NodeView> = self.hellos().map(member).chain(joining).collect();
        name_silent(&mut nodes);
        let stored = process.stored.as_ref().expect("a cluster has state");
        ClusterView {
            application: self.member.hello.facts.application.clone(),
            generation: self.generation,
            map: self.shares.version,
            epoch: stored.progress.summary().epoch.0,
            age_seconds: 0.0,
            nodes,
            change: self.changes.last().cloned(),
        }
    }

    /// Names of the nodes that tell nothing, although they live.
    pub(in crate::control) fn silent(&self, process: &Process) -> Vec<String> {
        let silent = self.view(process).nodes.into_iter().filter(NodeView::is_silent);
        silent.map(|node| node.node).collect()
    }
}

/// A node that is held by a lane to one that stands still is held by that one.
fn name_silent(nodes: &mut [NodeView]) {
    let silent: Vec<_> =
        nodes.iter().filter(|node| node.is_silent()).map(|node| node.node.clone()).collect();
    for held in nodes.iter_mut().filter_map(|node| node.figures.held.as_mut()) {
        let to = |node: &&String| held.by.ends_with(&format!(" of node {node}"));
        if let Some(node) = silent.iter().find(to) {
            held.by = format!("node {node}, which stands still");
        }
    }
}
