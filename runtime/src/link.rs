//! Link: lanes to another process, over one connection in both directions.
//!
//! ```text
//!          ┌──────── Outbound ────────┐
//!   core ──┼─► rings ─► LinkSender ───┼─► bytes ─► LinkReceiver ─► rings ─ Inbound ─► core
//!          └──────────────▲───────────┘                │
//!                         └────────── credit ──────────┘
//! ```
//!
//! To a core a link looks like lanes to a sibling: frames are appended to an [`Outbound`] and
//! drained from an [`Inbound`], at the same levels, and a frame of one level never waits for one
//! of another. In between stand two state machines over bytes, which do no input or output
//! themselves.
//!
//! Promises: frames arrive whole, in the order of their level, each once; a marker arrives between
//! the frames between which it was set, at all levels; what was sent has room at the other end, so
//! a receiver always reads its connection: [`Credit`](wire) says how much a sender may send. Bytes
//! of a peer are checked before use; what is wrong with them is a [`LinkFault`]. Must never do:
//! wait, allocate after it was made, or know what is in a frame.

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
use crate::ring::{markers, ring, words};

/// The lanes of one link on one core, and the machines between them and the connection.
pub struct LinkedLanes {
    /// Where this core appends frames for the peer; its [`link`](Outbound::link) makes bytes of
    /// what is appended.
    pub outbound: Outbound,
    /// Where it finds frames of the peer.
    pub inbound: Inbound,
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
        Self::with_words(levels, &[], capacity_bytes)
    }

    /// As [`new`](Self::new), with a word beside the lane of each of `word_levels`.
    ///
    /// # Panics
    /// As [`new`](Self::new), or a word is for a level that there is not.
    // cold: when a peer comes
    pub fn with_words(levels: usize, word_levels: &[usize], capacity_bytes: usize) -> Self {
        assert!(word_levels.iter().all(|level| *level < levels), "a word stands beside a lane");
        assert!((1..=256).contains(&levels), "a level is one byte");
        let rings = || (0..levels).map(|_| ring(capacity_bytes)).unzip();
        let ((outgoing, to_send), (staged, incoming)): ((Vec<_>, Vec<_>), (_, _)) =
            (rings(), rings());
        let (marked, received) = markers(levels);
        let (writer, reader) = words(word_levels.len());
        let window = capacity_bytes as u64 / 2;
        let sender = Box::new(LinkSender::new(to_send, word_levels, window));
        Self {
            outbound: Outbound::over_link(outgoing, sender, word_levels),
            inbound: Inbound::new(incoming, received, reader, word_levels),
            receiver: LinkReceiver::new(staged, marked, (writer, word_levels), window),
        }
    }
}

#[cfg(test)]
mod tests;
