//! Decides what runs where, when it stops, and what is reported about it. Cold code only.
//!
//! ```text
//!   deployment   config, cli
//!   before       check, bill, memory, descriptors, thread_limit, fitness: whether it can run
//!   start        launch: edges, recovery, threads
//!   run          supervise, shutdown, checkpoints
//!   publish      watch, profile, report, admin
//!   program      entry, running, tool
//! ```

// In reading order; the blank lines keep it.
pub mod exit;

pub mod error;

pub mod config;

pub mod cli;

mod console;

pub mod logging;

mod signals;

mod stop_request;

mod panics;

pub mod bill;

pub mod check;

mod memory;

mod descriptors;

mod thread_limit;

mod fitness;

mod edges;

mod takeover;

mod recovery;

mod threads;

mod letters;

mod connecting;

pub mod report;

mod profile;

pub mod checkpoints;

mod watch;

mod witness;

mod skips;

mod rows_file;

mod inspect;

mod import;

pub mod admin;

mod shutdown;

mod supervise;

mod launch;

pub mod running;

pub mod entry;

pub mod tool;
