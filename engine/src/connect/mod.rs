//! The world outside: where sources take bytes from and where sinks bring them to.
//!
//! Cold: established connections belong to the cores, which [`turn`](crate::turn) serves. Each
//! connector has a folder; the files beside them are shared by several connectors.

pub mod address;
pub mod lines;
mod listening;
pub mod mail;
pub mod null;
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
