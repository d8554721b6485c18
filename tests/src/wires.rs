//! Wires: the connections of simulated links, as bytes in memory that come and go in pieces.
//!
//! ```text
//!   LinkSender ─ bytes ─► WireEnd ─► Way ─► WireEnd ─ bytes ─► LinkReceiver
//!                            └─ account: what was written, and what of that was read ─┘
//! ```
//!
//! Promises: what one end writes the other reads, all of it and in order, some time later, unless
//! the wire is broken; a wire holds few bytes, so that it is full again and again, and stands still
//! at times. Where ends are announced, as descriptors are, it is once for each change, and late.
//! What a link does wrong is found where it happens: see [`account`].

// In reading order; the blank lines keep it.
mod kind;
mod verdict;

mod records;

mod account;
mod tamper;

mod way;

mod end;
mod watch;

use std::mem::swap;
use std::sync::Arc;

use potoroo::turn::NewLink;
use potoroo_runtime::{Lanes, LinkedLanes};
use potoroo_sdk::random::Random;

use end::WireEnd;
pub use kind::{WireKind, WireSabotage};
pub use verdict::Verdict;
pub use watch::{WireReadiness, WireWatch};
use way::Way;

/// What a core gets of a link, and the handle of its end.
pub struct WiredCore {
    /// The core.
    pub core: usize,
    /// What its driver gets.
    pub link: NewLink,
    /// What is announced to it, and how the wire is broken.
    pub watch: WireWatch,
}

/// Links the cores in the place of the rings between them, if they are on different nodes: `node`
/// has that of each. What goes wrong is found in the `verdict`.
pub fn link_nodes(
    node: &[u64],
    lanes: &mut [Lanes],
    capacity_bytes: usize,
    random: &mut Random,
    (kind, verdict): (WireKind, &Verdict),
) -> Vec<WiredCore> {
    let mut wired = Vec::new();
    for left in 0..node.len() {
        for right in (left + 1..node.len()).filter(|right| node[*right] != node[left]) {
            let levels = lanes[left].outbound[right].levels();
            let words = lanes[left].outbound[right].word_levels().to_vec();
            let mut way = || Way::new(levels, &words, capacity_bytes, random);
            let (there, back) = (way(), way());
            if kind.sabotage.is_some_and(WireSabotage::is_left) {
                [&there, &back].iter().for_each(|way| way.lock().account.close());
            }
            for (core, seat, to, from) in
                [(left, right, &there, &back), (right, left, &back, &there)]
            {
                let LinkedLanes { outbound, inbound, receiver } =
                    LinkedLanes::with_words(levels, &words, capacity_bytes);
                (lanes[core].outbound[seat], lanes[core].inbound[seat]) = (outbound, inbound);
                let (watch, counts) = (WireWatch::new(seat, to, from), Arc::default());
                let (drawn, verdict) = (Random::new(random.u64()), verdict.clone());
                let port = Box::new(WireEnd::new((to, from), drawn, kind, &counts, verdict));
                let link = NewLink { seat, port, receiver, ahead_ns: 0, counts };
                wired.push(WiredCore { core, link, watch });
            }
        }
    }
    if kind.sabotage == Some(WireSabotage::SeatsSwapped) {
        swap_seats(&mut wired);
    }
    wired
}

/// The connections of one core with two links take each other's place.
fn swap_seats(wired: &mut [WiredCore]) {
    let mut pairs = (0..wired.len()).flat_map(|high| (0..high).map(move |low| (low, high)));
    let of_one = |(low, high): &(usize, usize)| wired[*low].core == wired[*high].core;
    let Some((low, high)) = pairs.find(of_one) else { return };
    let (before, from) = wired.split_at_mut(high);
    let (one, other) = (&mut before[low].link, &mut from[0].link);
    swap(&mut one.seat, &mut other.seat);
    swap(&mut one.receiver, &mut other.receiver);
}
