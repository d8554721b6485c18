//! Runs one reactor per core.
//!
//! Owns the threads: each is a pinned executor with the turn loop as its one task, which never
//! gives way; where the kernel refuses what an executor needs, each is a pinned plain thread with
//! the same loop. Promises that every waker exists before any reactor is built, that a reactor
//! stays on the thread that built it, that one failed core ends all, and that a core which stops
//! turning ends the process. It must never look into a reactor, and the executor's own parking,
//! channels and sockets are never used: they cost tens of microseconds.
//!
//! ```text
//! executor ─ turn, turn, turn, … until the end
//!            └ nothing to do: spin, then park in the core's poller
//! ```

// In reading order; the blank lines keep it.
mod reactor;

mod config;

mod error;

mod checks;
mod housekeeping;
mod priority;

mod ground;
mod threads;

mod scheduling;
mod signals;

mod watchdog;

mod port;

mod reactor_core;

mod running;

mod launch;

pub use config::{HostConfig, Idle};
pub use error::Error;
pub use ground::Ground;
pub use housekeeping::Housekeeping;
pub use launch::start;
pub use reactor::{Reactor, Turn};
pub use running::RunningCores;

#[cfg(test)]
mod tests;
