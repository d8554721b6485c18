//! Where a source or sink is: parsed once from the text of a URL, valid ever after.
//!
//! Owns the values of addresses and nothing else: no file is opened and no name resolved here. What
//! an address means is its connector's, which [`registry`](super::registry) finds.
//!
//! ```text
//! SCHEME : REST ? OPTION=VALUE & OPTION=VALUE
//! ```
//!
//! `file://PATH` means `file:PATH`. IPv6 addresses stand in brackets: `tcp://[::1]:7000`. Nothing
//! is escaped, so a path cannot contain a `?`. Printing an address gives a text that parses to it,
//! but for a token, which is never shown.

mod error;
mod generator;
mod host;
mod parts;
mod transaction;

use std::fmt::{self, Debug, Display};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;

use super::sink::SinkConnector;
use super::source::SourceConnector;
use super::token::TokenAt;

pub use error::{Edge, Error};
pub use generator::{GeneratorAddress, RATE_DEFAULT, SEED_DEFAULT};
pub use host::{HostPort, first_that_works};
pub use parts::Parts;
pub use transaction::TransactionId;

/// Where a source takes its events from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceAddress {
    /// Listens for connections.
    Tcp {
        /// Where to listen; port 0 takes any free one.
        listen: HostPort,
        /// The source ends after this number of closed connections; `None`: it never ends.
        connections: Option<NonZeroU64>,
    },
    /// Reads a file to its end.
    File {
        /// The file.
        path: PathBuf,
    },
    /// Makes events up with a generator that the application registered.
    Generator(GeneratorAddress),
    /// Listens for clients of the connector protocol.
    Connector {
        /// Where to listen; port 0 takes any free one.
        listen: HostPort,
        /// What clients have to know.
        token: TokenAt,
        /// The source ends after this number of streams have ended; `None`: it never ends.
        streams: Option<NonZeroU64>,
    },
    /// Events come from the program that embeds the engine.
    Channel,
    /// Another connector reads it.
    Other(Other<dyn SourceConnector>),
}

/// Where a sink brings its events to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkAddress {
    /// Connects to a peer, again and again while it is absent.
    Tcp {
        /// The peer.
        connect: HostPort,
        /// Each output has its origin in front, by which repeats are known.
        sequence: bool,
    },
    /// Writes a file.
    File {
        /// The file.
        path: PathBuf,
        /// Appends to the file instead of truncating it.
        append: bool,
    },
    /// Brings what is committed to a client of the connector protocol.
    Connector {
        /// The client.
        connect: HostPort,
        /// What it has to know of us.
        token: TokenAt,
        /// Up to this transaction it may lack what it had: it has lost that for good.
        lost: Option<TransactionId>,
    },
    /// Standard output.
    Stdout,
    /// Counts and drops.
    Null,
    /// Events go to the program that embeds the engine.
    Channel,
    /// Another connector writes it.
    Other(Other<dyn SinkConnector>),
}

/// An address that only its connector knows.
pub struct Other<C: ?Sized>(pub Arc<C>);

impl SourceAddress {
    /// The address that this connector describes.
    pub fn other(connector: impl SourceConnector + 'static) -> Self {
        Self::Other(Other(Arc::new(connector)))
    }
}

impl SinkAddress {
    /// The address that this connector describes.
    pub fn other(connector: impl SinkConnector + 'static) -> Self {
        Self::Other(Other(Arc::new(connector)))
    }
}

impl<C: ?Sized> Clone for Other<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Debug + ?Sized> Debug for Other<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Two are equal if they print the same.
impl<C: Display + ?Sized> PartialEq for Other<C> {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_string() == other.0.to_string()
    }
}

impl<C: Display + ?Sized> Eq for Other<C> {}
