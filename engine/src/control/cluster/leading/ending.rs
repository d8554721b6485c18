//! How the lead sees that nothing is in flight any more, and that all nodes have ended.

use std::sync::Arc;
use std::time::Duration;

use super::super::super::process::Process;
use super::{Lead, NodeEnd};
use crate::cluster::nodes::{NodeNews, RemoteNode};
use crate::cluster::wire::ToNode;
use crate::system;

impl Lead {
    /// Whether nothing is in flight any more on any node, when the cores here counted `own`.
    /// Counters only grow: if two rounds that follow each other count the same, nothing was sent or
    /// received between them.
    pub(in crate::control) fn is_quiet(&mut self, own: Option<(u64, u64)>) -> bool {
        let Self { nodes, counting, .. } = self;
        let Some(own) = own else {
            counting.before = None;
            return false;
        };
        if !counting.asked {
            (counting.asked, counting.round) = (true, counting.round + 1);
            counting.answers.clear();
            let round = counting.round;
            nodes.iter().for_each(|node| node.send(&ToNode::Count { round }));
        }
        if counting.answers.len() < nodes.len() {
            return false;
        }
        counting.asked = false;
        let sum = counting.answers.values().try_fold(own, |(sent, received), frames| {
            frames.map(|(more_sent, more_received)| (sent + more_sent, received + more_received))
        });
        let now = sum.filter(|(sent, received)| sent == received);
        let before = std::mem::replace(&mut counting.before, now);
        now.is_some() && now == before
    }

    /// Another node that has not said in the last round that nothing is in flight on it.
    pub(in crate::control) fn not_quiet(&self) -> Option<String> {
        let says = |node: &&Arc<RemoteNode>| {
            matches!(self.counting.answers.get(&node.hello.node), Some(Some(_)))
        };
        let node = self.nodes.iter().find(|node| !says(node))?;
        Some(format!("node {}", node.hello.node))
    }

    /// Waits until the cores of all nodes have ended, and has the nodes end; but if the storage of
    /// this one has `failed`: then another one leads. Returns what they reported.
    pub(in crate::control) fn end(&mut self, process: &Process, failed: bool) -> Vec<NodeEnd> {
        let until = system::now() + Duration::from_secs(process.config.drain_seconds.max(1));
        while self.ended.len() < self.nodes.len() && system::now() < until {
            if let Ok(news) = system::receive(self.port.news(), Duration::from_millis(10)) {
                // One that is lost has ended, too.
                if let NodeNews::Lost(node, _) = &news {
                    self.nodes.retain(|one| !Arc::ptr_eq(one, node));
                }
                let _ = self.note(news);
            }
        }
        if !failed {
            self.nodes.iter().chain(&self.joining).for_each(|node| node.send(&ToNode::End));
        }
        std::mem::take(&mut self.ended).into_values().collect()
    }
}
