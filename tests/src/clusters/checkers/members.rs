//! A generation lets something out only when the cores of all of its nodes have begun.

use std::collections::{BTreeMap, BTreeSet};

/// Which nodes a generation has, and which of them have begun.
#[derive(Default)]
pub struct Members {
    of: BTreeMap<u64, BTreeSet<String>>,
    begun: BTreeSet<(u64, String)>,
}

impl Members {
    /// A generation is to have these nodes.
    pub fn seated(&mut self, generation: u64, nodes: BTreeSet<String>) {
        self.of.insert(generation, nodes);
    }

    /// The core of a node has begun.
    pub fn begun(&mut self, generation: u64, node: &str) {
        self.begun.insert((generation, node.to_owned()));
    }

    /// A generation let something out.
    pub fn acted(&self, generation: u64) -> Result<(), String> {
        let nodes = self.of.get(&generation).into_iter().flatten();
        let mut missing = nodes.filter(|node| !self.begun.contains(&(generation, (*node).clone())));
        missing.next().map_or(Ok(()), |node| {
            Err(format!(
                "generation {generation} lets something out, and node {node} has not begun"
            ))
        })
    }
}
