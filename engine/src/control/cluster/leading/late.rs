//! Nodes that the agreement does not have any more: they stand still, or cannot reach it.

use std::sync::Arc;

use super::super::super::error::Error;
use super::super::super::process::Process;
use super::Lead;
use crate::cluster::nodes::RemoteNode;
use crate::cluster::record::NODES;

impl Lead {
    /// Ends the connections of nodes whose sessions are over, which their readers report.
    pub(super) fn end_late_nodes(&self) {
        let Some(living) = self.member.session.judged() else { return };
        let is_late = |node: &&Arc<RemoteNode>| {
            !node.is_lost() && !living.contains_key(&format!("{NODES}{}", node.hello.node))
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

    /// Whether this node may act: see [`Member::may_act`](super::super::member::Member).
    ///
    /// # Errors
    /// The others went on without it.
    pub(in crate::control) fn may_act(&mut self, process: &Process) -> Result<bool, Error> {
        let (was_suspended, address) = (self.is_suspended(), self.member.address_of(&self.port));
        let acts = self.member.may_act(process, self.generation, Some(address))?;
        if acts && was_suspended {
            // An agreement that was restored from a copy does not have it.
            let shown = self.show_record().and_then(|()| self.write_shares_anew());
            if let Err(error) = shown {
                tracing::warn!("`potoroo cluster` shows what was before: {error}");
            }
        }
        Ok(acts)
    }

    pub(in crate::control) fn is_suspended(&self) -> bool {
        self.member.is_suspended()
    }
}
