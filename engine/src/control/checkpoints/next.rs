//! What the storage thread goes on with after a rest, when nodes come or go.

use std::sync::Arc;

use crate::checkpoint::store::Head;
use crate::checkpoint::{Identity, SourcePosition};
use crate::cluster::nodes::RemoteNode;

/// The next generation of the same cores and edges, with other nodes.
pub(in crate::control) struct NextGeneration {
    /// HEAD, which was taken over.
    pub(in crate::control) head: Head,
    /// What the application is, as HEAD's manifest and later parts say.
    pub(in crate::control) facts: Identity,
    /// Cores of all nodes.
    pub(in crate::control) cores: usize,
    /// Where all sources would go on.
    pub(in crate::control) sources: Vec<SourcePosition>,
    /// The other nodes.
    pub(in crate::control) nodes: Vec<Arc<RemoteNode>>,
}

/// The storage thread or a core has ended, and has reported why.
#[derive(Debug)]
pub(in crate::control) struct CannotRest;
