//! The one way in which the process ends on purpose without unwinding.
//!
//! Owns the exit codes of failures from which no core can go on. Promises one line on standard
//! error that names what failed. It must never be used for anything that an operator's retry or a
//! typed error could mend.

use std::fmt;
use std::io::Write;

/// Why the process cannot go on. The number is its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fatal {
    /// A core has not finished a turn within the heartbeat limit.
    CoreStalled = 70,
}

impl Fatal {
    /// The exit code of the process.
    pub const fn exit_code(self) -> u8 {
        self as u8
    }
}

/// Prints `what` as one line to standard error and ends the process with the reason's code.
pub fn fatal(reason: Fatal, what: impl fmt::Display) -> ! {
    // The line may have no reader any more; the exit code names the reason even then.
    let _ = writeln!(std::io::stderr(), "potoroo: fatal: {what}");
    std::process::exit(i32::from(reason.exit_code()))
}
