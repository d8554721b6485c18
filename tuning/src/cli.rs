//! Commands: what a person asks, and how it is answered.

// In reading order; the blank lines keep it.
mod exit;
mod place;

pub mod console;
mod progress;

mod doctor;

mod topology;

mod jitter;

mod change;

mod unit;

use anyhow::Result;
use clap::{Parser, Subcommand};

pub use exit::DoctorExit;

/// Tells whether this host suits an application that counts in microseconds, and tunes it.
#[derive(Debug, Parser)]
#[command(version, name = "potoroo-tuning", after_help = EXITS)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXITS: &str = "\
Exit codes:
  0  fit: nothing to better, or what was asked for is done
  1  advice: something costs latency
  2  unfit: latencies on this host mean nothing yet
  3  refused: the command line, a file or the system is in the way";

#[derive(Debug, Subcommand)]
enum Command {
    /// Judge the host: what is, what should be, what it costs, how to change and to undo it.
    Doctor(doctor::Doctor),
    /// Spin on cores and report how long, and probably why, they were interrupted.
    Jitter(jitter::Jitter),
    /// Show which CPUs share what, how far they are from each other, and which to choose.
    Topology(topology::Map),
    /// Print what would tune the host: commands, kernel command line, sysctl, systemd, tuned.
    Plan(change::Print),
    /// Change what needs no restart; the state before is recorded first.
    Apply(change::Apply),
    /// Restore the state before `apply`, also after a crash in the middle of it.
    Revert(change::Revert),
    /// Print a hardened systemd service for an application.
    Unit(unit::Service),
}

/// Does what was asked for.
///
/// # Errors
/// It cannot be done; the message says what is in the way.
pub fn run(arguments: Arguments) -> Result<DoctorExit> {
    match arguments.command {
        Command::Doctor(doctor) => doctor.run(),
        Command::Jitter(jitter) => jitter.run(),
        Command::Topology(map) => map.run(),
        Command::Plan(plan) => plan.run(),
        Command::Apply(apply) => apply.run(),
        Command::Revert(revert) => revert.run(),
        Command::Unit(unit) => unit.run(),
    }
}
