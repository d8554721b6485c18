//! Link: lanes to another process, over one connection in both directions.
//!
//! ```text
//!   core ─ Outbound ─► rings ─ LinkSender ─► bytes ─► LinkReceiver ─► rings ─ Inbound ─► core
//!                                 ▲                   │
//!                                 └───── credit ──────┘
//! ```
//!
//! To a core a link looks like lanes to a sibling: frames are appended to an [`Outbound`] and
//! drained from an [`Inbound`], at the same levels, and a frame of one level never waits for one
//! of another. In between stand two state machines over bytes, which do no input or output
//! themselves.
//!
//! Promises: frames arrive whole, in the order of their level, each once; what was sent has room
//! at the other end, so a receiver always reads its connection: [`Credit`](wire) says how much a
//! sender may send. Bytes of a peer are checked before use; what is wrong with them is a
//! [`LinkFault`]. Must never do: wait, allocate after it was made, or know what is in a frame.

// In reading order; the blank lines keep it.
mod fault;

mod wire;

mod receiver;

mod sender;

pub use fault::LinkFault;
pub use receiver::LinkReceiver;
pub use sender::LinkSender;
pub use wire::RECORDS_MAX;

use crate::lanes::{Inbound, Outbound};
use crate::ring::{markers, ring};

/// The lanes of one link on one core, and the two machines between them and the connection.
pub struct LinkedLanes {
    /// Where this core appends frames for the peer.
    pub outbound: Outbound,
    /// Where it finds frames of the peer.
    pub inbound: Inbound,
    /// Makes bytes of what is appended.
    pub sender: LinkSender,
    /// Takes the peer's bytes.
    pub receiver: LinkReceiver,
}

impl LinkedLanes {
    /// A link with `levels` lanes of `capacity_bytes` in each direction: all memory is allocated
    /// and touched here. Both ends must have the same numbers.
    ///
    /// # Panics
    /// There is no level or more than 256, or as [`ring`] for the capacity.
    // cold: when a peer comes
    pub fn new(levels: usize, capacity_bytes: usize) -> Self {
        assert!((1..=256).contains(&levels), "a level is one byte");
        let rings = || (0..levels).map(|_| ring(capacity_bytes)).unzip();
        let ((outgoing, to_send), (staged, incoming)): ((Vec<_>, Vec<_>), (_, _)) =
            (rings(), rings());
        let (sent, _) = markers(levels);
        let (_, received) = markers(levels);
        let window = capacity_bytes as u64 / 2;
        Self {
            outbound: Outbound::new(outgoing, sent),
            inbound: Inbound::new(incoming, received),
            sender: LinkSender::new(to_send, window),
            receiver: LinkReceiver::new(staged, window),
        }
    }
}

#[cfg(test)]
mod tests;
