//! After a process of a node has acted, no process of that node before it does.

use std::collections::BTreeMap;

use super::super::turns::{NodeIndex, ProcessId};

/// By node: the process that acted last.
#[derive(Default)]
pub struct Names {
    last: BTreeMap<NodeIndex, ProcessId>,
}

impl Names {
    /// A process of a node acted.
    pub fn acted(&mut self, node: NodeIndex, process: ProcessId) -> Result<(), String> {
        match self.last.insert(node, process) {
            Some(last) if last > process => {
                Err(format!("process {process} of node {node} acts after process {last} of it did"))
            }
            _ => Ok(()),
        }
    }
}
