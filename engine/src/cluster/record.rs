//! What the agreement has of a cluster beside its lead: who takes part, what happened, and what
//! operators wish. For people: no node decides anything by the record.

use serde::{Deserialize, Serialize};

/// The key of the node that leads; its value is the address of its port for nodes.
pub const LEAD: &str = "lead";

/// The key of the text that a node shows the lead: who can read the agreement may take part.
pub const SECRET: &str = "secret";

/// The key of a [`ClusterRecord`].
pub const RECORD: &str = "record";

/// In front of the name of a node that lives; the value is the number of its process.
pub const NODES: &str = "nodes/";

/// In front of the random number of a [`Wish`], which stays until it is done. The lead has
/// [`REFUSED`] in front of a reason instead of one that cannot be.
pub const WISHES: &str = "wishes/";

/// In front of the reason why a wish is not fulfilled.
pub const REFUSED: &str = "refused: ";

/// Who takes part, and what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRecord {
    /// Name of the application.
    pub application: String,
    /// Of HEAD.
    pub generation: u64,
    /// Where checkpoints lie.
    pub state: String,
    /// The nodes of the generation, the lead first.
    pub nodes: Vec<RecordedNode>,
    /// The last changes, oldest first.
    pub changes: Vec<RecordedChange>,
}

/// A node of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedNode {
    /// Its name.
    pub node: String,
    /// Its cores.
    pub cores: usize,
    /// Partitions that it owns.
    pub partitions: usize,
}

/// How a generation began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedChange {
    /// When, in seconds since the Unix epoch.
    pub unix_seconds: u64,
    /// The generation.
    pub generation: u64,
    /// Why.
    pub cause: String,
    /// Milliseconds in which nothing was processed.
    pub ms: u64,
    /// Names of its nodes.
    pub nodes: Vec<String>,
}

/// Changes that are remembered.
pub const CHANGES_MAX: usize = 50;

/// What an operator wishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// All nodes end, after everything that is under way is processed and committed.
    Stop,
    /// This node ends, and the others go on.
    Leave(String),
}
