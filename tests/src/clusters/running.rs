//! Which processes run, and how those before them ended.

use potoroo::control::cluster::StopNode;

use super::turns::ProcessId;

/// The processes of nodes.
#[derive(Default)]
pub struct Nodes {
    /// By node.
    pub running: Vec<Option<(ProcessId, StopNode)>>,
    /// How the last ones ended.
    pub ends: Vec<String>,
}

impl Nodes {
    /// Of `nodes` nodes.
    pub fn new(nodes: usize) -> Self {
        Self { running: (0..nodes).map(|_| None).collect(), ends: Vec::new() }
    }
}
