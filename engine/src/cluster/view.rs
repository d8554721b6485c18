//! What the nodes of a cluster do, as the lead knew it a moment ago. For people: no node decides
//! anything by it, but for what an operator wishes.

use serde::{Deserialize, Serialize};

use super::record::RecordedChange;
use super::shares::Weight;

/// What a node reports of itself, each second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeFigures {
    /// Events that its cores took from sources and from other cores since its start.
    pub events: u64,
    /// The same in the last second.
    pub events_per_second: f64,
    /// Rows of all tables.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Part of the last second in which its cores that own state had something to do, from 0 to 1.
    pub busy: f64,
    /// What holds one of its cores back, the longest if there are several.
    pub held: Option<NodeHeld>,
}

/// What holds a core back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeHeld {
    /// A sink, a connection, a lane, or another node.
    pub by: String,
    /// For how long.
    pub seconds: f64,
}

/// What a node does, as far as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It leads.
    Lead,
    /// It has cores of the generation.
    Member,
    /// It lives, and the generation does not have it.
    Joining,
    /// It is to end, and the others go on.
    Leaving,
    /// The generation has it, and it does not live.
    Gone,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its name.
    pub node: String,
    /// What it does.
    pub state: NodeState,
    /// Its cores.
    pub cores: usize,
    /// Its share.
    pub weight: Weight,
    /// Partitions that it owns.
    pub partitions: usize,
    /// How long ago it reported what follows, in seconds; or since when the generation runs without
    /// a report.
    pub silent_seconds: Option<f64>,
    /// What it reported.
    #[serde(flatten)]
    pub figures: NodeFigures,
}

/// All nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterView {
    /// Name of the application.
    pub application: String,
    /// Of HEAD.
    pub generation: u64,
    /// How often the shares of nodes have changed.
    pub map: u64,
    /// The last epoch that was committed.
    pub epoch: u32,
    /// How long ago the lead said so, in seconds.
    pub age_seconds: f64,
    /// The lead first.
    pub nodes: Vec<NodeView>,
    /// How the generation began.
    pub change: Option<RecordedChange>,
}

/// A node from which nothing has come for this time stands still, or cannot be reached.
pub const SILENT_SECONDS: f64 = 3.0;

impl NodeView {
    /// Whether it tells nothing, although it should.
    pub fn is_silent(&self) -> bool {
        self.silent_seconds.is_some_and(|seconds| seconds >= SILENT_SECONDS)
    }

    /// What holds it back, in words.
    pub fn held_by(&self) -> Option<String> {
        if let Some(seconds) = self.silent_seconds.filter(|_| self.is_silent()) {
            return Some(format!("itself: it tells nothing since {seconds:.0} s"));
        }
        let NodeHeld { by, seconds } = self.figures.held.as_ref()?;
        Some(format!("{by}, {seconds:.1} s"))
    }
}
