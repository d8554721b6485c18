//! Stateful event processing at microsecond latency, on the pinned cores of one machine.
//!
//! The engine executes an [`Application`](prelude::Application), which says what to compute and
//! never where. Each core owns some partitions of the keys; events travel to the owner of their
//! key over rings, and what is full pushes back to the sources. State lives in memory and
//! outlives the process in checkpoints, where a folder for them is given.
//!
//! ```text
//!   system     clocks and threads           cold
//!   flow       moves events                 hot
//!   turn       turns a core with its ports  hot
//!   state      finds rows, tracks changes   hot
//!   checkpoint what survives the process   cold
//!   control    decides, reports, stops      cold
//!   connect    sources and sinks by URL     cold
//!   cluster    several processes            cold
//! ```
//!
//! An application's `main` calls [`main`](fn@main), a program that embeds one calls [`run`]. Most
//! applications need nothing else but the [`prelude`].
//!
//! Promises: nothing on the event path allocates once every key is known, locks, logs, or reads a
//! clock, but for what an application's own handlers and codecs do. Must never contain: types of
//! the runtime's executor or kernel queues; `unsafe`, but for the processor hints in `state` and,
//! in `control`, a look at standard output before the runtime of Rust has it and the report of a
//! panic.
#![deny(unsafe_code)]

// Lowest first, as are the arrows: a module imports only from those above it.
pub mod scarce;

pub mod disk;

pub mod system;

pub mod state;

pub mod checkpoint;

pub mod flow;

pub mod turn;

pub mod connect;

pub mod cluster;

pub mod control;

pub use connect::address::{SinkAddress, SourceAddress};
pub use connect::{Connector, Form, register};
pub use control::config::Config;
pub use control::entry::{main, main_with};
pub use control::error::Error;
pub use control::running::{ChannelSink, ChannelSource, Running, run};
pub use potoroo_sdk as sdk;
pub use potoroo_sdk::prelude;
