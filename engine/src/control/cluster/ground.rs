//! Ground: by what the cores of a generation are begun. What leads and what follows is the same on
//! each: threads that are pinned, or what a simulator has for them.

use std::io;

use super::super::error::Error;
use super::super::generation::{Generation, LinksOfCores, Seating};
use super::super::process::Process;
use super::super::recovery::Recovery;
use super::super::seats::Seats;
use super::links;
use crate::cluster::greeting::LinkListener;
use crate::cluster::wire::NewGeneration;
use crate::connect::attach::Attach;
use crate::turn::Mailbox;

/// What the cores of this process, and what belongs to them, are begun by.
pub(in crate::control) trait NodeGround {
    /// A generation that has begun.
    type Begun;

    /// Connects the cores on `seats` with those of all other nodes, by the listener for their links
    /// and what nodes show each other, while the generation is wanted.
    ///
    /// # Errors
    /// One link cannot be made: with which node, and why.
    fn connect(
        &self,
        new: &NewGeneration,
        seats: &Seats,
        with: (&LinkListener, u128, &dyn Fn() -> bool),
    ) -> Result<LinksOfCores, (String, io::Error)>;

    /// As [`Generation::begin`].
    ///
    /// # Errors
    /// As of that.
    fn begin(
        &self,
        process: &Process,
        recovery: Option<Recovery>,
        seating: Seating,
    ) -> Result<(Self::Begun, Attach), Error>;

    /// The cores of `begun`.
    fn cores(begun: &Self::Begun) -> Vec<Mailbox>;

    /// Ends `begun` at once.
    ///
    /// # Errors
    /// A core has panicked.
    fn end(begun: Self::Begun) -> Result<(), Error>;
}

/// Threads that are pinned to CPUs.
pub(in crate::control) struct PinnedCores;

impl NodeGround for PinnedCores {
    type Begun = Generation;

    fn connect(
        &self,
        new: &NewGeneration,
        seats: &Seats,
        with: (&LinkListener, u128, &dyn Fn() -> bool),
    ) -> Result<LinksOfCores, (String, io::Error)> {
        links::connect(new, seats, with)
    }

    fn begin(
        &self,
        process: &Process,
        recovery: Option<Recovery>,
        seating: Seating,
    ) -> Result<(Generation, Attach), Error> {
        Generation::begin(process, recovery, seating)
    }

    fn cores(begun: &Generation) -> Vec<Mailbox> {
        begun.cores.clone()
    }

    fn end(begun: Generation) -> Result<(), Error> {
        begun.abandon();
        begun.join(true).map(drop)
    }
}
