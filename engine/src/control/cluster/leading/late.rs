//! Nodes that the agreement does not have any more: they stand still, or cannot reach it.

use std::sync::Arc;

use super::Lead;
use crate::cluster::nodes::RemoteNode;
use crate::cluster::record::NODES;

impl Lead {
    /// Ends the connections of nodes whose sessions are over, which their readers report.
    pub(super) fn end_late_nodes(&self) {
        let Some(living) = self.member.session.judged() else { return };
        let is_late = |node: &&Arc<RemoteNode>| {
            let key = format!("{NODES}{}", node.hello.node);
            // It claims its name before it comes: a list of before does not have it.
            !node.is_lost() && node.came < living.at && !living.entries.contains_key(&key)
        };
        for node in self.nodes.iter().chain(&self.joining).filter(is_late) {
            tracing::warn!(
                "node `{}` has not renewed its lease: the others go on without it",
                node.hello.node
            );
            node.end();
        }
    }

    /// A node of a name takes the place of the one before, whose session is over.
    pub(super) fn end_namesakes(&self, new: &Arc<RemoteNode>) {
        let is_one = |node: &&Arc<RemoteNode>| node.hello.node == new.hello.node;
        self.nodes.iter().chain(&self.joining).filter(is_one).for_each(|node| node.end());
    }

    /// Whether all nodes that the agreement has are connected.
    pub(super) fn all_living_are_here(&self) -> bool {
        let is_here = |name: &str| {
            let others = || self.nodes.iter().chain(&self.joining);
            name == self.member.name() || others().any(|node| node.hello.node == name)
        };
        let living = self.member.session.listed().entries;
        living.keys().filter_map(|key| key.strip_prefix(NODES)).all(is_here)
    }

    /// Whether all nodes of the generation are connected.
    pub(super) fn all_are_here(&self) -> bool {
        self.end_late_nodes();
        self.nodes.iter().all(|node| !node.is_lost())
    }
}
