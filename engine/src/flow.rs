//! Moves events, hot. The life of an event, in the order of the modules:
//!
//! ```text
//!   envelope     the frame that it travels in
//!   ingress      bytes of a connection become events
//!   route        the hash of its key finds its owner, over a lane or in place
//!   admission    what came from another node is looked at before that
//!   shard        the owner runs its handlers on the key's state
//!   watermarks   up to when nothing on time comes any more, and what is due by that
//!   egress       encoded results wait for a sink, or for the connection that asked
//!   replay       what comes back from a checkpoint
//!   checkpoints  the snapshot of a core, and what is handed out for it while events flow on
//!   turn         one pass of a core over all of it
//!   ports        what the driver of a core calls between turns
//!   renewal      a core takes the place of another when nodes come or go          cold
//! ```
//!
//! Nothing here does I/O or reads a clock. [`Core`] takes bytes and time and gives bytes; the
//! engine drives it with sockets and rings, the simulator with a seed.

// In reading order; the blank lines keep it.
mod connection;
mod envelope;

mod counts;
mod gauges;
mod time_gauges;

mod shared_counts;

mod letters;
mod own_watermarks;
mod positions;
mod skip;
mod stamps;

mod generated;
mod ingress;

mod local;
mod look_ahead;
mod tables;

mod least;
mod silence;

mod own_times;
mod promise;

mod exchange_times;
mod stamp_limits;
mod watermarks;

mod left_out;

mod egress;
mod ends;
mod outputs;

mod batch_size;
mod partitions;

mod holder;

mod blocking;
mod exchange_routes;
mod parcels;
mod route;
mod unsent;

mod shard;

mod generators;
mod inlets;

mod replay;

mod firing;
mod passing;
mod stamping;

mod cost;
mod part;

mod channel_log;
mod open_part;

mod checkpoints;

mod turn;

mod admission;
mod checkpoint_ports;
mod ports;
mod renewal;

pub use admission::FrameFault;
pub use batch_size::batch_max;
pub use connection::ConnectionId;
pub(crate) use connection::replayed_origin;
pub use cost::PartCost;
pub use counts::{Counts, LateCounts, SinkCounts, SourceCounts};
pub use egress::Outlet;
pub use envelope::{FrameEdge, Header, split_stored};
pub use gauges::{BlockedBy, Gauges, Stage};
pub use letters::DeadLetter;
pub use own_watermarks::OwnWatermarks;
pub use part::{PartEnd, PartStep};
pub use partitions::PartitionMap;
pub use positions::{Ending, ReadPosition, Start};
pub use renewal::CoreEdges;
pub use replay::RestoreError;
pub use shared_counts::SharedCounts;
pub use skip::{Fate, Skips};
pub use time_gauges::{TimeGauges, TimeHolder};
pub use turn::{Core, CoreConfig};
