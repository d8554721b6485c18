//! What the tests of the engine are made of: applications drawn from a seed, a simulator that runs
//! the engine's cores on one thread, and an oracle that judges what came out.
//!
//! ```text
//!   seed ─► topology ─┬─► Reference ─────────► expected ┐
//!       └─► workload ─┤                                 ├─► oracle ─► fine, or what is wrong
//!                     └─► simulator, or threads ─► seen ┘
//! ```
//!
//! Promises: everything follows from the seed; a failure names it and says how to repeat it.
//! Must never do: be imported by another crate, or look at a clock.
#![forbid(unsafe_code)]

pub mod seeds;

pub mod frames;
pub mod items;
pub mod workload;

pub mod topology;
pub mod wires;

pub mod oracle;
pub mod rows;
pub mod runs;
pub mod simulator;
pub mod threads;
pub mod timed;
pub mod trial;

pub mod clusters;

pub mod alone;
pub mod checkpoints;
pub mod disk;
pub mod forgery;
pub mod memory;
