//! The connector protocol: a source whose clients send again what no checkpoint holds, and a sink
//! whose client gets committed output only.
//!
//! ```text
//!   source   potoroo://HOST:PORT  listens   ?token=TEXT|token-file=PATH &streams=N
//!   sink     potoroo://HOST:PORT  connects  ?token=TEXT|token-file=PATH &lost=TRANSACTION
//! ```
//!
//! **Source** ([`serve`], [`streams`]). Clients open named streams and send messages with ids. What
//! a committed checkpoint covers is acknowledged. The source ends after `streams` streams have. A
//! token is needed to listen elsewhere than on loopback.
//!
//! **Sink** ([`deliver`]). Needs `--state DIR`: output waits there, and is brought to the
//! client when its checkpoint is committed. With `lost` a client may lack what it had up to there.
//!
//! **Promise.** Exactly once at both ends with checkpoints. A source without them: at most once.
//!
//! **Memory.** Of each source [`CLIENTS_MAX`](serve::CLIENTS_MAX) clients with
//! [`CLIENT_BYTES`](serve::CLIENT_BYTES) each, and [`STREAMS_MAX`](streams::STREAMS_MAX) streams
//! with a pipe, a receive buffer and [`STREAM_BYTES`](streams::STREAM_BYTES). Of each sink a pipe.
//!
//! **On trouble.** A client of a source that breaks a rule is sent the reason and disconnected. If
//! the client of a sink is gone, the sink tries to connect again; when more than
//! `--sink-backlog-bytes` wait for it, or the disk is nearly full ([`hold`]), sources are held
//! back.

pub mod answers;
pub mod serve;
mod source;
pub mod streams;

pub mod deliver;
pub mod hold;
mod sink;
mod token;

use super::connector::Connector;

/// `potoroo:`
pub static CONNECTOR: Connector = Connector {
    scheme: "potoroo",
    open_options: &["token-file", "streams", "lost"],
    source: Some(source::FORM),
    sink: Some(sink::FORM),
};
