//! Decides what runs where, when it stops, and what is reported about it. Cold code only.
//!
//! ```text
//!   deployment   config, cli
//!   before       check, bill, memory, descriptors, thread_limit, fitness: whether it can run
//!   start        process: edges, recovery; generation: seat, threads
//!   again        renewal: its cores go on with other nodes
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

mod edge_checks;
mod edges;

mod open_store;

mod takeover;

mod recovery;

mod seats;

mod threads;

mod letters;

mod connecting;

pub mod report;

mod profile;

mod event_times;

pub mod checkpoints;

mod watch;

mod witness;

mod skips;

mod rows_file;

mod inspect;

mod import;

pub mod rollback_requests;

pub mod admin;

mod process;

mod seat;

mod generation;
mod renewal;

pub mod cluster;

mod rollback;

mod log_lines;

mod shutdown;

mod supervise;

pub mod running;

pub mod entry;

pub mod tool;
