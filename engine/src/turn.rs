//! Turns a core, hot: the whole order of a turn is [`Driver::turn`].
//!
//! ```text
//!              ┌──────────────────────── one turn ────────────────────────┐
//!  Mailbox ──► │  1 one command is obeyed                                 │
//!  Readiness ► │  2 announced ports become active                         │
//!  InletPort ► │  3 active inlets are filled, links are read              │ ◄── LinkPort
//!              │  4 a checkpoint's step that must come before the events  │
//!  lanes ────► │  5 the turn of the core                                  │ ──► lanes, wake
//!              │  6 links                                                 │ ──► LinkPort
//!              │  7 outlets of sinks, with their markers                  │ ──► OutletPort
//!              │  8 outlets of replies                                    │ ──► OutletPort
//!              │  9 ended inlets are closed, connections wait for replies │ ──► Notice
//!              │ 10 dead letters                                          │ ──► Notice
//!              │ 11 parts of the checkpoint, within its budget of time    │ ──► PartPort
//!              │ 12 the end, if everything is delivered or abandoned      │
//!              └──────────────────────────────────────────────────────────┘
//! ```
//!
//! A node whose lease has ended stops after the first step: nothing comes in, nothing goes out.
//!
//! Everything is bounded: one command, one buffer per inlet and outlet, [`Handout`]'s budget. What
//! is downstream of the core comes after it, so an output leaves in the turn that made it; and what
//! a checkpoint requires before the events comes right before them, so that its delay is measured.
//!
//! ```text
//!   ports      what the driver knows of the world outside: one trait per direction
//!   mail       commands for a core, and its notices
//!   lease      until when a core may let anything in or out
//!   inlets     the open inlets and their ports
//!   sinks      the sinks and their ports
//!   links      the links to cores of other nodes and their ports
//!   link_counts  what went over them
//!   driver     the turn
//!   replies    the way back to connections
//!   commands   what is done for a command                       cold
//!   closing    the end of inlets and connections                cold
//!   handout    parts of checkpoints, within a budget of time    cold
//!   reactor    a core with its driver, as the runtime turns it
//! ```
//!
//! Promises: nothing here waits, logs, or knows a connector; a port is called per buffer or turn.
//! Must never do: open anything. Ports come with commands, made by threads that may wait.

// In reading order; the blank lines keep it.
mod lease;
mod mail;
mod ports;

mod link_counts;

mod inlets;
mod links;
mod replies;
mod sinks;

mod commands;

mod closing;
mod handout;

mod driver;

mod reactor;

pub use driver::{Driver, Turned};
pub use handout::{Handout, PartPort, SPARES_MAX, StorageShared};
pub use lease::NodeLease;
pub use link_counts::{LinkCounts, LinkTotals};
pub use mail::{
    CheckpointCommand, Command, InletKind, Mail, Mailbox, NewInlet, NewLink, Notice, Renew,
    Renewed, mailbox,
};
pub use ports::{Fill, InletPort, LinkPort, OutletPort, Passed, PortLost, Readiness, Watching};
pub use reactor::{CoreReactor, CoreSeat};
