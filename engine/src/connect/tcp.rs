//! Plain TCP: a source that listens, and a sink that connects.
//!
//! ```text
//!   source   tcp://HOST:PORT   listens    ?connections=N
//!   sink     tcp://HOST:PORT   connects   ?sequence=true
//! ```
//!
//! **Source.** Accepts connections and hands them to the cores in turn; each connection stays on
//! its core. Port 0 takes any free port, which is printed at the start. The source ends after
//! `connections` of them were closed, else never. Replies go back over the connection that asked.
//!
//! **Sink.** One connection, of the core that owns the sink. With `sequence` each output has its
//! origin in front, by which the peer knows repeats.
//!
//! **Promise.** Source: at most once, since what was read is gone with the process. Sink: at most
//! once without checkpoints; at least once with them, and repeats keep their origins.
//!
//! **Memory.** Each open connection has a receive buffer (`--inlet-bytes`), and a send buffer
//! (`--outlet-bytes`) if the application replies. There are at most `--connections-max` of them.
//!
//! **On trouble.** Without a free place or descriptor connections wait in the kernel, which is
//! logged every 10 s. A peer that is absent, or gone, is tried again after pauses of 50 ms to 5 s;
//! its output waits, and sources are held back when the buffers are full.

mod port;
mod sink;
mod source;

pub use self::port::{TcpInlet, TcpOutlet};
use super::connector::Connector;

/// `tcp:`
pub static CONNECTOR: Connector = Connector {
    scheme: "tcp",
    open_options: &["connections", "sequence"],
    source: Some(source::FORM),
    sink: Some(sink::FORM),
};
