//! What the agreement has of a cluster beside its lead: who takes part, what happened, and what
//! operators wish. For people: no node decides anything by the record.

use serde::{Deserialize, Serialize};

use super::agreement::AgreedEntries;
use super::shares::{PartitionShares, Weight};

/// The key of the node that leads; its value is the address of its port for nodes.
pub const LEAD: &str = "lead";

/// The key of the text that a node shows the lead: who can read the agreement may take part.
pub const SECRET: &str = "secret";

/// The key of a [`ClusterRecord`].
pub const RECORD: &str = "record";

/// In front of the name of a node that lives; the value is the number of its process.
pub const NODES: &str = "nodes/";

/// The key of a [`SharesRecord`], which a lead goes on from: it decides who moves.
pub const SHARES: &str = "shares";

/// In front of the name of a node to which an operator has given this [`Weight`].
pub const WEIGHTS: &str = "weights/";

/// The weight that an operator has given `node`, else its `own`, with which it came.
pub fn weight_of(entries: &AgreedEntries, node: &str, own: Weight) -> Weight {
    let given = entries.get(&format!("{WEIGHTS}{node}"));
    given.and_then(|given| given.value.parse().ok()).unwrap_or(own)
}

/// The name of the node that leads.
pub fn lead_of(entries: &AgreedEntries) -> Option<&str> {
    let session = entries.get(LEAD)?.session?;
    let nodes = entries.iter().filter_map(|(key, entry)| Some((key.strip_prefix(NODES)?, entry)));
    nodes.into_iter().find(|(_, entry)| entry.session == Some(session)).map(|(node, _)| node)
}

/// Who owns what, as the lead has written it down; what cannot be read is nothing.
pub fn shares_of(entries: &AgreedEntries) -> SharesRecord {
    let found = entries.get(SHARES).and_then(|entry| serde_json::from_str(&entry.value).ok());
    found.unwrap_or_default()
}

/// In front of the random number of a [`Wish`], which stays until it is done. The lead has
/// [`REFUSED`] in front of a reason instead of one that cannot be.
pub const WISHES: &str = "wishes/";

/// In front of the reason why a wish is not fulfilled.
pub const REFUSED: &str = "refused: ";

/// In front of what was done for a wish.
pub const DONE: &str = "done: ";

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
    /// Its process, as the agreement has it while it lives.
    #[serde(default)]
    pub process: String,
    /// Its cores.
    pub cores: usize,
    /// Those of them that own state.
    #[serde(default)]
    pub state_cores: usize,
    /// The weight that it came with.
    #[serde(default = "no_weight")]
    pub weight: Weight,
    /// Partitions that it owns.
    pub partitions: usize,
}

/// Of a node that an earlier version has written down.
fn no_weight() -> Weight {
    Weight::of_cores(0)
}

/// Who owns which partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharesRecord {
    /// How often they have changed.
    pub version: u64,
    /// How many partitions there are.
    pub partitions: u32,
    /// By node and core.
    pub shares: PartitionShares,
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
    /// What they were spent on, in order.
    #[serde(default)]
    pub phases: Vec<(String, u64)>,
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
    /// This node gets another share.
    Weight {
        /// Its name.
        node: String,
        /// `None` for the one that it comes with.
        weight: Option<Weight>,
    },
    /// All nodes get the weights with which they would be equally busy.
    Rebalance,
    /// To see what all nodes do: the answer is a [`ClusterView`](super::view::ClusterView).
    View,
}
