//! The tool `potoroo`: what operators ask beside applications.
//!
//! ```text
//!   potoroo checkpoint list     which checkpoints are there
//!   potoroo checkpoint show     what one of them is made of
//!   potoroo checkpoint verify   whether all of it is whole
//!   potoroo checkpoint export   a table of it, which the application's program shows
//!   potoroo checkpoint now      has a running application take one
//!   potoroo state get           what a running application has for a key
//! ```
//!
//! Promises: it takes no lock and changes nothing in a folder, so it works while an application
//! runs.
//! Answers go to standard output, progress and mistakes to standard error.

mod age;
mod ask;
mod export;
mod http;
mod list;
mod show;
mod stored;
mod verify;

use std::ffi::OsString;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::config::place;
use super::console;
use super::signals;
use crate::checkpoint::store::{self, Place};

/// Runs the tool as the command line says. The whole of its `main`.
pub fn main() -> ExitCode {
    let _ = signals::bear_file_limits();
    let found = match &Arguments::parse().command {
        Command::Checkpoint { command } => match command {
            Checkpoint::List { state } => list::run(state),
            Checkpoint::Show { epoch, state } => show::run(*epoch, state),
            Checkpoint::Verify { epoch, no_progress, state } => {
                verify::run(*epoch, !no_progress, state)
            }
            Checkpoint::Export { table, epoch, program, state, arguments } => {
                export::run(table, *epoch, export::Program { program, state, arguments })
            }
            Checkpoint::Now { admin } => ask::checkpoint(*admin),
        },
        Command::State { command: OfState::Get { table, key, admin } } => {
            ask::row(*admin, table, key)
        }
    };
    found
        .unwrap_or_else(|error| {
            console::error(format_args!("error: {error}"));
            Exit::Nothing
        })
        .into()
}

/// How the tool ends. The discriminant is its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Exit {
    /// What was asked for is there and, as far as it was looked at, whole.
    Whole = 0,
    /// The storage cannot be read, what was asked for is not in it, or standard output takes no
    /// answer.
    Nothing = 1,
    /// Something is damaged or missing.
    Damaged = 3,
}

const EXIT_HELP: &str = "Exit codes:
   0  what was asked for is there and, as far as it was looked at, whole
   1  the storage cannot be read, what was asked for is not in it, or the answer cannot be written
   2  the command line is wrong
   3  something is damaged or missing";

/// Looks after what applications of Potoroo leave on disks. Changes nothing.
#[derive(Debug, Parser)]
#[command(name = "potoroo", version, after_help = EXIT_HELP, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checkpoints of an application, running or not
    #[command(after_help = EXIT_HELP, disable_help_subcommand = true)]
    Checkpoint {
        #[command(subcommand)]
        command: Checkpoint,
    },
    /// State of an application that runs
    #[command(after_help = EXIT_HELP, disable_help_subcommand = true)]
    State {
        #[command(subcommand)]
        command: OfState,
    },
}

#[derive(Debug, Subcommand)]
enum OfState {
    /// Take a checkpoint and show what a table has for a key in it, as JSON
    #[command(after_help = EXIT_HELP)]
    Get {
        /// The table
        table: String,
        /// The key as `checkpoint export` shows it; strings also without their quotation marks
        key: String,
        /// Where the application has its admin port
        #[arg(long, value_name = "ADDR:PORT")]
        admin: SocketAddr,
    },
}

#[derive(Debug, Subcommand)]
enum Checkpoint {
    /// List those that are kept, newest first
    #[command(after_help = EXIT_HELP)]
    List {
        #[command(flatten)]
        state: State,
    },
    /// Show what one is made of
    #[command(after_help = EXIT_HELP)]
    Show {
        /// Its epoch [default: the last one]
        epoch: Option<u64>,
        #[command(flatten)]
        state: State,
    },
    /// Read them wholly and check every byte
    #[command(after_help = EXIT_HELP)]
    Verify {
        /// Epoch of the one to verify [default: all that are kept]
        epoch: Option<u64>,
        /// Show no progress on standard error
        #[arg(long)]
        no_progress: bool,
        #[command(flatten)]
        state: State,
    },
    /// Show a table of one as lines of JSON
    #[command(after_help = EXIT_HELP)]
    Export {
        /// The table
        table: String,
        /// Its epoch [default: the last one]
        epoch: Option<u64>,
        /// The application's program: only it knows what is in its tables
        #[arg(long, value_name = "FILE")]
        program: PathBuf,
        /// Folder or s3://BUCKET/PREFIX that the application was given with the same flag
        #[arg(long, value_name = "DIR|URL")]
        state: OsString,
        /// Flags of the program's own, that it needs to describe the same application
        #[arg(last = true, value_name = "ARGUMENT")]
        arguments: Vec<OsString>,
    },
    /// Have a running application take one, and wait until it is safe
    #[command(after_help = EXIT_HELP)]
    Now {
        /// Where the application has its admin port
        #[arg(long, value_name = "ADDR:PORT")]
        admin: SocketAddr,
    },
}

/// Where checkpoints lie, and how to answer.
#[derive(Debug, Args)]
struct State {
    /// Folder or s3://BUCKET/PREFIX that the application was given with the same flag
    #[arg(long, value_name = "DIR|URL", value_parser = place())]
    state: Place,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("there is no checkpoint in {0} yet")]
    Empty(String),
    #[error("there is no checkpoint of epoch {epoch} in {place}: `potoroo checkpoint list` tells")]
    Epoch { epoch: u64, place: String },
    #[error(
        "{0}: the application deletes checkpoints faster than they can be read: verify while it \
         takes fewer (--checkpoint-ms), or let it keep more (--checkpoints-kept)"
    )]
    Overtaken(String),
    #[error(
        "{} cannot be started: {source}; give the path of the application's program, which begins \
         with ./ if it lies in this folder", program.display()
    )]
    Program { program: PathBuf, source: std::io::Error },
    #[error(
        "no application answers at {admin}: {source}; start it with --admin {admin}, or say where \
         its port is"
    )]
    Silent { admin: SocketAddr, source: std::io::Error },
    #[error("the application at {admin} says: {reason}")]
    Says { admin: SocketAddr, reason: String },
    #[error("standard output cannot be written: {0}; send it elsewhere")]
    Output(#[from] std::io::Error),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

fn answer(text: impl Display, exit: Exit) -> Result<Exit, Error> {
    console::answer(text)?;
    Ok(exit)
}

/// `object` as it is printed: fields in the order of their names.
fn to_json(object: &impl Serialize) -> Value {
    serde_json::to_value(object).expect("strings and numbers always serialize")
}
