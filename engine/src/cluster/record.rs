//! What the agreement has of a cluster beside its lead: who takes part, what happened, and what
//! operators wish. For people: no node decides anything by the record.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::agreement::AgreedEntries;
use super::shares::{PartitionShares, Weight};

/// The key of the node that leads; its value is the address of its port for nodes.
pub const LEAD: &str = "lead";

/// Which node leads, as one of them sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leading {
    /// This one, though it need not know: an answer may have been lost.
    Own,
    /// The one with this address.
    Other(String),
    /// None.
    None,
}

/// Which node leads by these `entries`, for the node of the session `own`.
pub fn leading(entries: &AgreedEntries, own: u64) -> Leading {
    match entries.get(LEAD) {
        None => Leading::None,
        Some(lead) if lead.session == Some(own) => Leading::Own,
        Some(lead) => Leading::Other(lead.value.clone()),
    }
}

/// The key of the text that a node shows the lead: who can read the agreement may take part.
pub const SECRET: &str = "secret";

/// The key of a [`ClusterRecord`].
pub const RECORD: &str = "record";

/// In front of the name of a node that lives; the value is its [`NamedProcess`].
pub const NODES: &str = "nodes/";

/// The process of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedProcess {
    /// Its number.
    pub process: u32,
    /// The name of its machine.
    pub host: String,
    /// How long its lease lasts.
    pub lease_ms: u64,
}

impl NamedProcess {
    /// This process, with this lease.
    pub fn own(lease: Duration) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let (host, lease_ms) = (host.trim().to_owned(), lease.as_millis() as u64);
        Self { process: std::process::id(), host, lease_ms }
    }

    /// What a key has, if it can be read.
    pub fn read(value: &str) -> Option<Self> {
        serde_json::from_str(value).ok()
    }

    /// For a key.
    pub fn write(&self) -> String {
        serde_json::to_string(self).expect("names and numbers are JSON")
    }
}

impl Display for NamedProcess {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { process, host, .. } = self;
        write!(f, "process {process} on host `{host}`")
    }
}

/// The key of a [`SharesRecord`], which a lead goes on from: it decides who moves.
pub const SHARES: &str = "shares";

/// The key of the [`GivenWeights`]: all in one entry, so that all change at once.
pub const WEIGHTS: &str = "weights";

/// The weights that operators have given nodes, by name.
pub type GivenWeights = BTreeMap<String, Weight>;

/// The weights that operators have given; what cannot be read is nothing.
pub fn weights_of(entries: &AgreedEntries) -> GivenWeights {
    let found = entries.get(WEIGHTS).and_then(|entry| serde_json::from_str(&entry.value).ok());
    found.unwrap_or_default()
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
    /// The lead, once it has left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
    /// The last changes, oldest first.
    pub changes: Vec<RecordedChange>,
}

impl ClusterRecord {
    /// Why a generation of `nodes` begins, the first of which leads since then: what differs from
    /// the generation that is recorded. Nothing if all nodes have started anew, unless the first
    /// one `succeeds` another lead.
    pub fn causes(&self, nodes: &[RecordedNode], succeeds: bool) -> Vec<String> {
        let goes_on = |before: &RecordedNode| {
            nodes.iter().any(|one| (&one.node, &one.process) == (&before.node, &before.process))
        };
        if !succeeds && !self.nodes.iter().any(goes_on) {
            return Vec::new();
        }
        let lead = nodes.first().map(|one| &one.node);
        let led = self.nodes.first().map(|one| &one.node);
        let is_deposed = |node: &String| led == Some(node) && lead != led;
        let gone = self.nodes.iter().filter(|one| !goes_on(one) || is_deposed(&one.node));
        let gone = gone.map(|one| match self.left.as_ref() == Some(&one.node) {
            true => format!("node {} left", one.node),
            false => format!("node {} was lost", one.node),
        });
        let is_new = |one: &&RecordedNode| self.nodes.iter().all(|before| before.node != one.node);
        let come = nodes.iter().filter(is_new).map(|one| format!("node {} joined", one.node));
        gone.chain(come).collect()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn node((node, process): &(&str, &str)) -> RecordedNode {
        RecordedNode {
            node: (*node).to_owned(),
            process: (*process).to_owned(),
            cores: 1,
            state_cores: 1,
            weight: no_weight(),
            partitions: 7,
        }
    }

    fn causes(
        before: &[(&str, &str)],
        left: Option<&str>,
        now: &[(&str, &str)],
        succeeds: bool,
    ) -> String {
        let (nodes, left) = (before.iter().map(node).collect(), left.map(str::to_owned));
        let record = ClusterRecord { nodes, left, ..ClusterRecord::default() };
        record.causes(&now.iter().map(node).collect::<Vec<_>>(), succeeds).join(", ")
    }

    #[test]
    fn the_next_lead_names_the_nodes_that_are_gone_and_those_that_have_come() {
        let before = [("a", "1"), ("b", "2"), ("c", "3")];
        for (left, now, expected) in [
            (None, &[("b", "2"), ("c", "3")][..], "node a was lost"),
            (Some("a"), &[("b", "2"), ("c", "3")], "node a left"),
            (Some("a"), &[("c", "3")], "node a left, node b was lost"),
            (None, &[("b", "2"), ("d", "4")], "node a was lost, node c was lost, node d joined"),
            // It has come again; in a container its process has the same number.
            (None, &[("b", "2"), ("c", "3"), ("a", "9")], "node a was lost"),
            (None, &[("b", "2"), ("c", "3"), ("a", "1")], "node a was lost"),
        ] {
            assert_eq!(causes(&before, left, now, true), expected, "{now:?}");
        }
        // The one that led was started again, and leads again.
        assert_eq!(
            causes(&before, None, &[("a", "9"), ("b", "2"), ("c", "3")], false),
            "node a was lost"
        );
    }

    #[test]
    fn a_start_of_all_nodes_is_no_change() {
        let before = [("a", "1"), ("b", "2")];
        assert_eq!(causes(&before, None, &[("b", "7"), ("a", "8")], false), "");
        assert_eq!(causes(&[], None, &[("a", "1")], false), "");
    }
}
