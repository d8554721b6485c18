//! What a core has: a clock, lanes to its siblings, latencies, sockets, and the loop that runs it.
//!
//! The crate owns *where* work happens. It moves bytes and time and never learns what the bytes
//! mean: its user brings a [`Reactor`], which is called once per turn.
//!
//! It promises that nothing on the path of a turn allocates, locks, logs or enters the kernel
//! unless the turn asked for it; that everything shared between cores has exactly one writer;
//! and that a core which stops turning is noticed.
//!
//! It must never contain a type of the data that flows, or anything from the crates above.
#![deny(unsafe_code)]

// In reading order; the blank lines keep it.
pub mod clock;

pub mod ring;

pub mod lanes;

pub mod link;

pub mod latency;

pub mod gaps;

pub mod socket;

pub mod poller;

pub mod fatal;

pub mod host;

pub use clock::{Clock, Nanos};
pub use fatal::{Fatal, fatal};
pub use gaps::{GAP_NS, Gap, GapCounts, SharedGaps};
pub use host::{Ground, HostConfig, Housekeeping, Idle, Reactor, RunningCores, Turn, start};
pub use lanes::{
    Inbound, InboundLane, LaneId, LaneLimits, Lanes, Outbound, mesh, mesh_bytes, mesh_with_words,
};
pub use latency::{LatencyArray, SharedLatency};
pub use link::{LinkFault, LinkReceiver, LinkSender, LinkedLanes};
pub use poller::{Poller, PollerKind, Ready, Waker};
pub use ring::{Consumer, Position, Producer, ring};
pub use socket::{Connection, Listener, ReadOutcome, WriteOutcome};
