//! The ways of a node to all others: to the agreement, to the node that leads, and to those that
//! follow. Connections of TCP, but in a simulator.
//!
//! Must never do: decide anything.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::agreement::{Agreement, Disagreement};
use super::encryption::Encryption;
use super::greeting::LinkListener;
use super::membership::{LeadSender, Obey, join};
use super::nodes::{Direct, NodeListener};
use super::wire::{ClusterFacts, NodeHello, ToNode};

/// The ways of a node to all others.
pub trait Ways: Send + Sync {
    /// Begins a session of the agreement.
    ///
    /// # Errors
    /// It cannot be used.
    fn agree(&self) -> Result<Arc<dyn Agreement>, Disagreement>;

    /// As [`LinkListener::open`].
    ///
    /// # Errors
    /// It cannot.
    fn listen_for_links(&self, at: SocketAddr, secret: u128) -> io::Result<LinkListener>;

    /// As [`NodeListener::open`].
    ///
    /// # Errors
    /// It cannot.
    fn listen_for_nodes(
        &self,
        at: SocketAddr,
        shown: (ClusterFacts, String),
        silence: Duration,
        direct: Direct,
    ) -> io::Result<NodeListener>;

    /// As [`join`].
    ///
    /// # Errors
    /// The lead does not listen there, or refuses.
    fn join(
        &self,
        lead: (&str, SocketAddr),
        hello: NodeHello,
        obeys: (Obey, Arc<AtomicU64>),
        silence: Duration,
    ) -> io::Result<(LeadSender, Receiver<ToNode>)>;
}

/// Opens a session of the agreement.
pub type OpenAgreement = Box<dyn Fn() -> Result<Arc<dyn Agreement>, Disagreement> + Send + Sync>;

/// Connections of TCP.
pub struct TcpWays {
    agree: OpenAgreement,
    encryption: Encryption,
}

impl TcpWays {
    /// To an agreement that is opened by `agree`, and to nodes with which one speaks by
    /// `encryption`.
    pub fn new(agree: OpenAgreement, encryption: Encryption) -> Self {
        Self { agree, encryption }
    }
}

impl Ways for TcpWays {
    fn agree(&self) -> Result<Arc<dyn Agreement>, Disagreement> {
        (self.agree)()
    }

    fn listen_for_links(&self, at: SocketAddr, secret: u128) -> io::Result<LinkListener> {
        LinkListener::open(at, secret, self.encryption.clone())
    }

    fn listen_for_nodes(
        &self,
        at: SocketAddr,
        shown: (ClusterFacts, String),
        silence: Duration,
        direct: Direct,
    ) -> io::Result<NodeListener> {
        NodeListener::open(at, shown, self.encryption.clone(), silence, direct)
    }

    fn join(
        &self,
        (lead, at): (&str, SocketAddr),
        hello: NodeHello,
        obeys: (Obey, Arc<AtomicU64>),
        silence: Duration,
    ) -> io::Result<(LeadSender, Receiver<ToNode>)> {
        join((lead, at, &self.encryption), hello, obeys, silence)
    }
}
