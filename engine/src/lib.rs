//! Stateful event processing at microsecond latency.
//!
//! The engine executes an [`Application`](prelude::Application) on cores: `flow` moves events and
//! `state` remembers, both hot; `control` decides and `connect` talks to the world, both cold.
#![deny(unsafe_code)]

pub mod flow;
pub mod state;
pub mod connect;
pub mod control;

pub use potoroo_sdk as sdk;
pub use potoroo_sdk::prelude;
