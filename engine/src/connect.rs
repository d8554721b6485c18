//! The world outside: where sources take bytes from and where sinks bring them to.
//!
//! Cold, but for ports: established connections belong to the cores, which [`turn`](crate::turn)
//! serves. Each connector has a folder or file of its own and one line in [`registry`]; what a
//! connector is, and what several of them share, stands beside them.
//!
//! ```text
//!   text ─► address ─► source | sink ─ opening ─► opened ─ starting ─► threads, pipes, ports
//!             ▲            ▲
//!             └─ registry ─┘   tcp  potoroo  file  generator  stdout  null  channel
//! ```

// In reading order; the blank lines keep it.
pub mod address;
pub mod connector;
pub mod registry;
pub mod sink;
pub mod source;

pub mod demand;
pub mod promise;

pub mod claims;
pub mod opening;
pub mod refusal;
pub mod remedy;

pub mod attach;
pub mod edge_lease;
pub mod resume;
pub mod starting;
pub mod stopping;
pub mod threads;
pub mod upstream;
pub mod visible;

pub mod channel;
pub mod file;
pub mod generator;
pub mod null;
pub mod potoroo;
pub mod stdout;
pub mod tcp;

pub mod lines;
pub mod token;

pub mod mail;
pub mod pipe;
pub mod pump;

pub mod gather;
pub mod gathered;
pub mod spools;

mod listening;
pub mod patience;
pub mod permits;
mod waiting;

pub use connector::{Connector, Form};
pub use registry::register;
