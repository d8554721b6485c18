//! The bytes between a node and the lead: messages as JSON, each after its length.
//!
//! ```text
//!    0           4
//!    ├───────────┼─ ─ ─ ─ ─
//!    │  length   │ JSON
//!    └───────────┴─ ─ ─ ─ ─
//!      u32 LE
//! ```
//!
//! People read them in captures, and none is faster than a checkpoint needs. Bytes of a peer are
//! checked before use: a length is bounded before memory is reserved, and what cannot be read is
//! an error of the connection.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::shares::Weight;
use super::view::{ClusterView, NodeFigures};
use crate::checkpoint::coordinator::Action;
use crate::checkpoint::store::Head;
use crate::checkpoint::{Epoch, Identity, PartEntry, PartitionSet, SourcePosition};

/// The version of the messages and of links: whatever changes in them, a node of another version is
/// to learn why it is refused. So [`AnyHello`] and [`ToNode::Refused`] stay as they are for ever.
pub const PROTOCOL: u32 = 3;

/// What a node of any version says of itself first.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AnyHello {
    /// Of its messages.
    pub protocol: u32,
    /// What only those know who can read the agreement.
    pub secret: String,
    /// Its name.
    pub node: String,
}

/// The first message of a node of any version.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub enum AnyFirst {
    /// It.
    Hello(AnyHello),
}

/// What a node says of itself first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeHello {
    /// Of its messages.
    pub protocol: u32,
    /// What only those know who can read the agreement.
    pub secret: String,
    /// Its name.
    pub node: String,
    /// Its process, as the agreement has it.
    pub process: String,
    /// Its cores.
    pub cores: usize,
    /// Those of them that own state.
    pub state_cores: Vec<usize>,
    /// Its share of the partitions, unless an operator decides otherwise.
    pub weight: Weight,
    /// Where it takes links.
    pub links: SocketAddr,
    /// What all nodes have alike.
    pub facts: ClusterFacts,
}

/// What all nodes of a cluster have alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterFacts {
    /// Name of the application.
    pub application: String,
    /// Hash of its structure.
    pub fingerprint: u64,
    /// Number of partitions.
    pub partitions: usize,
    /// Bytes of a lane, in a node and between two.
    pub lane_bytes: usize,
    /// Where checkpoints lie.
    pub state: String,
    /// Digest of the addresses of all sources and sinks.
    pub edges: u64,
}

/// A node of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSeats {
    /// Its name.
    pub node: String,
    /// Its first seat.
    pub first: usize,
    /// Its cores.
    pub cores: usize,
    /// Where it takes links.
    pub links: SocketAddr,
}

/// A generation that is to begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewGeneration {
    /// HEAD, which the lead has swapped.
    pub head: Head,
    /// What the application is, as its parts will say.
    pub identity: Identity,
    /// All nodes, the lead first.
    pub nodes: Vec<NodeSeats>,
    /// By seat: the partitions that it owns.
    pub shares: Vec<PartitionSet>,
}

/// From a node to the lead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToLead {
    /// The first message.
    Hello(NodeHello),
    /// All cores of the generation have their shares.
    Ready {
        /// Of HEAD.
        generation: u64,
    },
    /// A generation cannot begin here, or has failed.
    Failed {
        /// Of HEAD.
        generation: u64,
        /// Thing, cause and remedy.
        reason: String,
        /// It may go well at the next try.
        again: bool,
    },
    /// A part is stored.
    Part {
        /// Of HEAD.
        generation: u64,
        /// It.
        entry: PartEntry,
        /// Where sources of its core stood.
        sources: Vec<SourcePosition>,
    },
    /// A part cannot be stored.
    PartFailed {
        /// Of HEAD.
        generation: u64,
        /// Its epoch.
        epoch: Epoch,
        /// Why.
        reason: String,
    },
    /// The answer to [`ToNode::Count`].
    Counted {
        /// Of the question.
        round: u64,
        /// Frames sent and received by its cores, if all of them are quiet.
        frames: Option<(u64, u64)>,
    },
    /// All cores of the generation have ended.
    Ended {
        /// Of HEAD.
        generation: u64,
        /// Frames that they sent and received.
        frames: (u64, u64),
        /// By table: rows and bytes that they held.
        tables: Vec<(u64, u64)>,
    },
    /// What this node does.
    Figures(Box<NodeFigures>),
    /// This node is asked to end: the others go on without it.
    Leave,
}

/// From the lead to a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToNode {
    /// It does not fit: thing, cause and remedy.
    Refused(String),
    /// Begin a generation.
    Begin(Box<NewGeneration>),
    /// Something for all cores.
    Order(CoreOrder),
    /// Count frames.
    Count {
        /// Of the answer.
        round: u64,
    },
    /// What all nodes do.
    View(Box<ClusterView>),
    /// The application has ended.
    End,
}

/// Something for all cores of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoreOrder {
    /// A checkpoint begins.
    Begin(Epoch),
    /// It is committed.
    Commit(Epoch),
    /// It is aborted.
    Abort(Epoch),
    /// No further inlet will be opened.
    SourcesComplete,
    /// End all sources.
    StopSources,
    /// Deliver what waits, then end.
    Finish,
    /// End at once.
    Abandon,
}

impl CoreOrder {
    /// What cores do for an action of the coordinator.
    pub fn of(action: &Action) -> Option<Self> {
        match action {
            Action::Begin { epoch } => Some(Self::Begin(*epoch)),
            Action::Commit { epoch, .. } => Some(Self::Commit(*epoch)),
            Action::Abort { epoch, .. } => Some(Self::Abort(*epoch)),
            Action::Store(_) | Action::Swap { .. } => None,
        }
    }
}

/// Bytes of one message at most: the facts of an application with thousands of tables are less.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Writes one message.
///
/// # Errors
/// The connection takes nothing.
pub fn write_message(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(message).map_err(io::Error::other)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    // One write: two would wait for each other's acknowledgement.
    to.write_all(&[&length.to_le_bytes()[..], &text].concat())
}

/// Reads the next message.
///
/// # Errors
/// The connection has ended, or what came is no such message.
pub fn read_message<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    parse_message(&read_text(from, MESSAGE_BYTES_MAX)?)
}

/// Reads the text of the next message, of up to `bytes_max` bytes.
///
/// # Errors
/// The connection has ended, or what comes is longer.
pub fn read_text(from: &mut impl Read, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > bytes_max {
        let text = format!("a message of {length} bytes is none of this protocol");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut text = Vec::new();
    from.take(length as u64).read_to_end(&mut text)?;
    if text.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(text)
}

/// What the text of a message says.
///
/// # Errors
/// It is no such message.
pub fn parse_message<T: DeserializeOwned>(text: &[u8]) -> io::Result<T> {
    serde_json::from_slice(text)
        .map_err(|cause| io::Error::new(io::ErrorKind::InvalidData, cause.to_string()))
}
