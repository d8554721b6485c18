//! Commands: what a person asks, and how it is answered.

mod change;
pub mod console;
mod doctor;
mod jitter;
mod progress;
mod topology;
mod unit;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use potoroo_tuning::{Cpus, Root};

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
    /// Spin on cores and tell how long, and probably why, they were held up.
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

/// Which host, and which of its CPUs.
#[derive(Args, Debug)]
pub struct Place {
    /// CPUs of the application, such as `2-5,8` [default: all that this process may use].
    #[arg(long, value_name = "LIST")]
    cores: Option<Cpus>,
    #[command(flatten)]
    host: Where,
}

/// Which host.
#[derive(Args, Debug)]
pub struct Where {
    /// Use a recorded host below this directory instead of this one.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

impl Where {
    fn root(&self) -> Result<Root> {
        let Some(folder) = &self.root else { return Ok(Root::host()) };
        let metadata = std::fs::metadata(folder);
        let metadata = metadata.with_context(|| format!("--root {}", folder.display()))?;
        ensure!(metadata.is_dir(), "--root {}: is no directory", folder.display());
        Ok(Root::recorded(folder))
    }
}

impl Place {
    fn root(&self) -> Result<Root> {
        self.host.root()
    }

    fn cores(&self) -> Result<Option<&Cpus>> {
        some_cores(self.cores.as_ref())?;
        Ok(self.cores.as_ref())
    }
}

/// An empty list is a mistake, for instance an empty variable of a script.
fn some_cores(cores: Option<&Cpus>) -> Result<()> {
    let some = cores.is_none_or(|cores| !cores.is_empty());
    ensure!(some, "--cores names no CPU: give a list such as 2-5,8");
    Ok(())
}

/// How the process ends.
#[derive(Clone, Copy, Debug)]
pub enum Exit {
    /// Nothing to better; or done.
    Fit = 0,
    /// Something costs latency.
    Advice = 1,
    /// The host is no place for latencies.
    Unfit = 2,
    /// The question could not be answered.
    Refused = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Does what was asked for.
///
/// # Errors
/// It cannot be done; the message says what is in the way.
pub fn run(arguments: Arguments) -> Result<Exit> {
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
