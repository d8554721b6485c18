//! The links of a generation: one connection for each pair of cores of two nodes.
//!
//! Simple, and enough for few cores. Where nodes have many, a core is to have one link to each
//! node, whose cores pass frames on to their siblings.

use std::io;

use super::super::generation::DialledLink;
use super::super::seats::Seats;
use crate::cluster::greeting::{Greeting, LINK_SILENCE, LinkListener, break_when_cut_off};
use crate::cluster::wire::{NewGeneration, NodeSeats};

/// Connects the cores on `seats`, by core, with those of all other nodes: a node dials those after
/// it. Waits for those before it for as long as the generation is wanted: what hinders one, it
/// tells the lead, which then wants another generation.
///
/// # Errors
/// One cannot be made: with which node, and why.
pub(super) fn connect(
    new: &NewGeneration,
    seats: &Seats,
    (listener, secret, is_wanted): (&LinkListener, u128, &dyn Fn() -> bool),
) -> Result<Vec<Vec<DialledLink>>, (String, io::Error)> {
    let connect = |core: usize, node: &NodeSeats, seat: usize| {
        let (own, other) = ((seats.first + core) as u32, seat as u32);
        let greeting = |from, to| Greeting { secret, generation: new.head.generation, from, to };
        match seat < seats.first {
            true => listener.take(greeting(other, own), &node.node, is_wanted),
            false => greeting(own, other).dial(node.links, &node.node, listener.encryption()),
        }
    };
    let others = || new.nodes.iter().filter(|node| node.first != seats.first);
    let of_core = |core: usize| {
        let of_node = |node| seats_of(node).map(move |seat| (node, seat));
        let link = |(node, seat): (&NodeSeats, usize)| {
            let channel = connect(core, node, seat).and_then(|channel| {
                break_when_cut_off(channel.tcp(), LINK_SILENCE).map(|()| channel)
            });
            let channel = channel.map_err(|error| (node.node.clone(), error))?;
            Ok(DialledLink { seat, channel })
        };
        others().flat_map(of_node).map(link).collect()
    };
    (0..seats.own).map(of_core).collect()
}

fn seats_of(node: &NodeSeats) -> std::ops::Range<usize> {
    node.first..node.first + node.cores
}
