//! Stateful event processing at microsecond latency.
//!
//! The engine executes an [`Application`](prelude::Application) on cores: `flow` moves events and
//! `state` remembers, both hot; `control` decides and `connect` talks to the world, both cold.
//!
//! An application's `main` calls [`main`]; a program that embeds one calls [`run`].
#![deny(unsafe_code)]

pub mod connect;
pub mod control;
pub mod flow;
pub mod state;

pub use connect::address::{SinkAddress, SourceAddress};
pub use control::config::Config;
pub use control::entry::{main, main_with};
pub use control::error::Error;
pub use control::running::{ChannelSink, ChannelSource, Running, run};
pub use potoroo_sdk as sdk;
pub use potoroo_sdk::prelude;
