//! Decides: what runs where, when it stops and what is told about it. Cold code only.

pub mod admin;
pub mod bill;
pub mod check;
mod checkpoints;
pub mod cli;
pub mod config;
mod connecting;
mod console;
mod edges;
pub mod entry;
pub mod error;
pub mod exit;
mod fitness;
mod inspect;
mod launch;
pub mod logging;
mod profile;
mod reactor;
mod recovery;
pub mod report;
pub mod running;
mod supervise;
mod threads;
pub mod tool;
mod watch;
