//! Which seats the nodes of a generation have, and what their cores own.

use std::sync::Arc;

use super::super::super::process::Process;
use super::super::super::recovery::Recovery;
use super::Lead;
use crate::checkpoint::PartitionSet;
use crate::cluster::agreement::Disagreement;
use crate::cluster::nodes::RemoteNode;
use crate::cluster::record::{GivenWeights, SHARES, SharesRecord, shares_of, weights_of};
use crate::cluster::shares::{Sharer, Weight};
use crate::cluster::wire::{NewGeneration, NodeHello, NodeSeats, ToNode};
use crate::system;

impl Lead {
    /// Takes a node, for the next generation, unless there are as many as there may be, or it could
    /// not begin a moment ago.
    pub(super) fn admit(&mut self, node: Arc<RemoteNode>) {
        let (name, most) = (&node.hello.node, self.member.nodes_max);
        // One of its name is its predecessor.
        let is_other = |one: &&Arc<RemoteNode>| !one.is_lost() && one.hello.node != *name;
        let others = self.nodes.iter().chain(&self.joining).filter(is_other).count();
        let too_many = || {
            format!(
                "the cluster has {most} nodes, and takes no more: end one, or start all of them \
                 with a higher --nodes-max"
            )
        };
        let refusal = (1 + others >= most).then(too_many);
        let Some(reason) = refusal.or_else(|| self.unfit.refusal(name, system::now())) else {
            tracing::info!("node `{name}` has come");
            self.end_namesakes(&node);
            return self.joining.push(node);
        };
        tracing::warn!("node `{name}` is refused: {reason}");
        node.send(&ToNode::Refused(reason));
    }

    /// Gives all nodes their seats, this one the first, and their cores their partitions.
    pub(super) fn seat_all(&mut self, process: &Process, recovery: &Recovery) -> NewGeneration {
        let partitions = process.config.partitions as u32;
        // What cannot be read stays as this node knows it.
        match self.member.agreement.list() {
            Ok(entries) => {
                self.weights = weights_of(&entries);
                if self.shares.version == 0 {
                    self.shares = shares_of(&entries);
                }
            }
            Err(error) => tracing::warn!("the shares of nodes stay as they were: {error}"),
        }
        let before = &self.shares;
        let sharer = |hello| sharer(&self.weights, hello);
        let sharers: Vec<Sharer<'_>> = self.hellos().map(sharer).collect();
        if sharers.iter().all(|sharer| sharer.weight.is_zero()) {
            tracing::warn!("all nodes have the weight 0: each owns partitions for its cores");
        }
        let shares = before.shares.assign(partitions, &sharers);
        if shares != before.shares || partitions != before.partitions {
            let version = before.version + 1;
            self.shares = SharesRecord { version, partitions, shares };
            self.shares_written = false;
        }
        let (mut nodes, mut shares, mut first) = (Vec::new(), Vec::new(), 0);
        for hello in self.hellos() {
            let (node, links) = (hello.node.clone(), hello.links);
            nodes.push(NodeSeats { node, first, cores: hello.cores, links });
            first += hello.cores;
            shares.resize(first, PartitionSet::default());
            let own = self.shares.shares.of(&hello.node);
            for (core, own) in hello.state_cores.iter().zip(own) {
                shares[first - hello.cores + core] = own.clone();
            }
        }
        let head = recovery.recovered.head.clone();
        NewGeneration { head, identity: recovery.facts.clone(), nodes, shares }
    }

    /// This node, then the others of the generation.
    pub(super) fn hellos(&self) -> impl Iterator<Item = &NodeHello> {
        std::iter::once(&self.member.hello).chain(self.nodes.iter().map(|node| &node.hello))
    }

    /// How many partitions a node of the generation owns.
    pub(super) fn partitions_of(&self, node: &str) -> usize {
        self.shares.shares.count(node)
    }

    /// Writes down once more who owns what.
    ///
    /// # Errors
    /// The agreement cannot be used.
    pub(super) fn write_shares_anew(&mut self) -> Result<(), Disagreement> {
        self.shares_written = false;
        self.write_shares()
    }

    /// Writes down who owns what, for the next lead.
    ///
    /// # Errors
    /// The agreement cannot be used.
    pub(super) fn write_shares(&mut self) -> Result<(), Disagreement> {
        if !self.shares_written {
            let text = serde_json::to_string(&self.shares).expect("names and numbers are JSON");
            self.member.set_as_lead(SHARES, text)?;
            self.shares_written = true;
        }
        Ok(())
    }
}

fn sharer<'a>(weights: &GivenWeights, hello: &'a NodeHello) -> Sharer<'a> {
    let cores = hello.state_cores.len();
    Sharer { node: &hello.node, weight: weight_of(weights, hello), cores }
}

/// The weight that an operator has given a node, else the one that it came with.
pub(super) fn weight_of(weights: &GivenWeights, hello: &NodeHello) -> Weight {
    weights.get(&hello.node).copied().unwrap_or(hello.weight)
}
