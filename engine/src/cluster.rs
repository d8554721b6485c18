//! Cluster: several processes that are one application.
//!
//! ```text
//!   agreement    who lives and who leads
//!   lease        how long a node may act without it
//!   record       what people see of it, and wish
//!   shares       which partitions the cores of each node own
//!   rebalance    the weights with which all nodes would be equally busy
//!   view         what all nodes do, for people
//!   wire         what a node and the lead tell each other
//!   refusal      a peer that is not what it has to be
//!   timed        a connection that is greeted
//!   tls_files    files of certificates and keys, as they are given
//!   tls          encrypted connections, with certificates: the feature `tls`
//!   channel      one of both, while it is greeted and afterwards
//!   encryption   whether nodes encrypt, and who they are then
//!   knocking     connections of a port whose peers are not known yet
//!   nodes        the lead's end of that: a port for all nodes
//!   membership   a node's end of that
//!   greeting     how a connection becomes a link between two cores
//!   ways         all of that for a node, over TCP
//! ```
//!
//! The node that leads has the edges, begins generations and commits checkpoints. All nodes have
//! cores, whose *seats* are their numbers among the cores of all nodes; one partition map spans
//! them. Owns no thread of a core. Must never do: be in the way of an event.

// In reading order; the blank lines keep it.
pub mod agreement;

pub mod lease;

pub mod record;

pub mod shares;

pub mod rebalance;

pub mod view;

pub mod wire;

pub mod refusal;

pub mod timed;

pub mod tls_files;

#[cfg(feature = "tls")]
pub mod tls;

pub mod channel;

pub mod encryption;

pub mod knocking;

pub mod greeting;

pub mod nodes;

pub mod membership;

pub mod ways;
