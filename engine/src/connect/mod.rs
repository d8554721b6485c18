//! The world outside: where sources take bytes from and where sinks bring them to.
//!
//! Cold, but for the driver, which moves buffers between sockets and a core once per turn. Each
//! connector has a folder; the files beside them are shared by several connectors.

pub mod address;
pub mod driver;
pub mod lines;
mod listening;
pub mod mail;
pub mod patience;
pub mod permits;
pub mod pipe;
pub mod spool;
pub mod token;
pub mod visible;
mod waiting;

pub mod file;
pub mod potoroo;
pub mod tcp;
