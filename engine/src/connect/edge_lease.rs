//! The lease of the node, as threads of edges see it: after its end they let nothing out.
//!
//! Must never be asked by a core, which compares its lease with the time of its turn: this reads
//! the clock.

use std::sync::Arc;

use crate::system;
use crate::turn::NodeLease;

/// The lease of the node; a process that is alone has none. A clone is the same one.
#[derive(Clone, Debug, Default)]
pub struct EdgeLease(Option<Arc<NodeLease>>);

impl EdgeLease {
    /// That of a node, if the process is one.
    pub fn new(lease: Option<Arc<NodeLease>>) -> Self {
        Self(lease)
    }

    /// Whether nothing may come in or out.
    pub fn is_over(&self) -> bool {
        self.0.as_ref().is_some_and(|lease| lease.is_over(system::machine_time()))
    }
}
