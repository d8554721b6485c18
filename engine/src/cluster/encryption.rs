//! Whether nodes encrypt what they send each other, and what they show each other then.
//!
//! ```text
//!   dialler ── TLS 1.3, its certificate ──► listener
//!           ◄── its certificate; then one byte: both are accepted ──
//! ```
//!
//! Promises: either both nodes encrypt, or they send nothing but why not; a dialler talks with the
//! node that it means; a listener knows by [`check_peer`](super::channel::Channel::check_peer)
//! whether its peer is the node that it says it is. A handshake ends before the deadline of its
//! connection, on the thread that greets.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};

use super::channel::Channel;
use super::refusal::{is_refusal, refusal};
use super::timed::TimedStream;
#[cfg(feature = "tls")]
use super::tls::NodeTls;
use super::tls_files::TlsFiles;
use crate::connect::lines::LineLimiter;

/// Whether nodes encrypt what they send each other.
#[derive(Clone, Debug, Default)]
pub enum Encryption {
    /// They do not.
    #[default]
    InTheClear,
    /// They do.
    #[cfg(feature = "tls")]
    Tls(NodeTls),
}

/// A connection that was accepted.
pub enum Accepted {
    /// Both nodes encrypt, or none does.
    Alike(Channel),
    /// This node encrypts, and the peer does not: it may learn [why](NOT_ENCRYPTED) it is refused,
    /// and nothing else.
    InTheClear(Channel),
}

/// Why a peer in the clear is refused.
pub const NOT_ENCRYPTED: &str = "it does not encrypt what nodes send each other, and the nodes \
                                 that run do: give all nodes --tls-cert, --tls-key and --tls-ca";

/// Why an encrypted peer is refused.
const ENCRYPTED: &str = "it encrypts what nodes send each other, and this node does not: give all \
                         nodes --tls-cert, --tls-key and --tls-ca, or none of them";

impl Encryption {
    /// Reads the files of `node`. Files that are replaced later are read at the next start.
    ///
    /// # Errors
    /// One cannot be used: which, why and the remedy.
    #[cfg(feature = "tls")]
    pub fn load(files: &TlsFiles, node: &str) -> Result<Self, String> {
        NodeTls::load(files, node).map(Self::Tls)
    }

    /// As it is in a build with TLS.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(feature = "tls"))]
    pub fn load(_: &TlsFiles, _: &str) -> Result<Self, String> {
        Err("this program was built without TLS: build it with the feature `tls` of the package \
             `potoroo` (in your Cargo.toml: `potoroo = { …, features = [\"tls\"] }`; for examples: \
             `cargo build --features tls`)"
            .to_owned())
    }

    /// Whether the own certificate is valid now: other nodes refuse it otherwise.
    ///
    /// # Errors
    /// It has expired: which, and the remedy.
    pub fn check_own(&self) -> Result<(), String> {
        match self {
            Self::InTheClear => Ok(()),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.check_own(),
        }
    }

    /// What to do about an own certificate that is about to expire; nothing if it is not so.
    pub fn expiry(&self) -> Option<String> {
        match self {
            Self::InTheClear => None,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.expiry(),
        }
    }

    /// Connects with `node` at `address`.
    ///
    /// # Errors
    /// It is not reached, or ([refused](is_refusal)) it is another node or encrypts otherwise.
    pub fn dial(&self, address: SocketAddr, node: &str) -> io::Result<Channel> {
        let stream = TimedStream::connect(address)?;
        match self {
            Self::InTheClear => {
                let _ = node;
                Ok(Channel::Clear(stream))
            }
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.dial(stream, node).map(|stream| Channel::Tls(Box::new(stream))),
        }
    }

    /// Accepts a connection, whose peer may be a stranger.
    ///
    /// # Errors
    /// The peer ends it, or ([refused](is_refusal), and logged) it is none of the nodes.
    pub fn accept(&self, stream: TcpStream) -> io::Result<Accepted> {
        let mut stream = TimedStream::new(stream)?;
        let peer = stream.stream().peer_addr()?;
        let is_tls = is_handshake(stream.look()?);
        let accepted = match self {
            Self::InTheClear if is_tls => Err(refuse_tls(stream)),
            Self::InTheClear => Ok(Accepted::Alike(Channel::Clear(stream))),
            #[cfg(feature = "tls")]
            Self::Tls(tls) if is_tls => {
                tls.accept(stream).map(|stream| Accepted::Alike(Channel::Tls(Box::new(stream))))
            }
            #[cfg(feature = "tls")]
            Self::Tls(_) => Ok(Accepted::InTheClear(Channel::Clear(stream))),
        };
        match &accepted {
            Err(error) if is_refusal(error) => warn(peer, &error.to_string()),
            Ok(Accepted::InTheClear(_)) => warn(peer, NOT_ENCRYPTED),
            _ => {}
        }
        accepted
    }
}

/// Whether a connection begins with a handshake of TLS, whose version is 3.1 or later. Read as the
/// length of a message, these bytes are more than a first message may have.
fn is_handshake(first: [u8; 3]) -> bool {
    first[..2] == [22, 3] && first[2] != 0
}

/// A fatal alert: this version of TLS is not spoken.
const NO_TLS_ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 70];

/// Answers a handshake in its own words: that there is none here.
fn refuse_tls(mut stream: TimedStream) -> io::Error {
    let _ = stream.write_all(&NO_TLS_ALERT);
    stream.part();
    refusal(ENCRYPTED.to_owned())
}

/// Logs why a peer is refused.
fn warn(peer: SocketAddr, reason: &str) {
    static LINES: LineLimiter = LineLimiter::new();
    if let Some(left_out) = LINES.admit() {
        tracing::warn!("a peer at {peer} is refused: {reason}{left_out}");
    }
}
