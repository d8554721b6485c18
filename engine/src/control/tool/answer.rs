//! What the tool answers, why it cannot, and how it ends.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::checkpoint::Epoch;
use crate::checkpoint::store::{self, Location};
use crate::cluster::agreement::Disagreement;
use crate::control::config::place;
use crate::control::console;

/// How the tool ends. The discriminant is its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ToolExit {
    /// What was asked for is there and, as far as it was looked at, whole.
    Whole = 0,
    /// The storage cannot be read, what was asked for is not in it, or standard output takes no
    /// answer.
    Nothing = 1,
    /// Something is damaged or missing.
    Damaged = 3,
}

/// What each exit code means, for help.
pub const EXIT_HELP: &str = "Exit codes:
   0  what was asked for is there and, as far as it was looked at, whole
   1  the storage cannot be read, what was asked for is not in it, or the answer cannot be written
   2  the command line is wrong
   3  something is damaged or missing";

/// Where checkpoints lie, and how to answer.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// Folder or s3://BUCKET/PREFIX that the application was given with the same flag
    #[arg(long, value_name = "DIR|URL", value_parser = place())]
    pub state: Location,
    /// Answer with one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("there is no checkpoint in {0} yet")]
    Empty(String),
    #[error("there is no checkpoint of epoch {epoch} in {place}: see `potoroo checkpoint list`")]
    Epoch { epoch: Epoch, place: String },
    #[error(
        "{0}: the application deletes checkpoints faster than they can be read: verify while it \
         takes fewer (--checkpoint-ms), or let it retain more (--checkpoints-kept)"
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
    #[error("the application at {admin} answers: {reason}")]
    Says { admin: SocketAddr, reason: String },
    #[error("no nodes have ever agreed in {0}: give what they were started with")]
    NoCluster(String),
    #[error("no node leads the cluster in {0}: start one")]
    NoLead(String),
    #[error(
        "node `{node}` takes no part in the cluster in {place}: {reason} (--wait waits for it)"
    )]
    NotReady { place: String, node: String, reason: &'static str },
    #[error("the cluster in {place} refuses: {reason}")]
    WishRefused { place: String, reason: String },
    #[error(transparent)]
    Agreement(#[from] Disagreement),
    #[error("standard output cannot be written: {0}; send it elsewhere")]
    Output(#[from] std::io::Error),
}

impl From<ToolExit> for ExitCode {
    fn from(exit: ToolExit) -> Self {
        Self::from(exit as u8)
    }
}

/// Writes an answer to standard output.
pub fn answer(text: impl Display, exit: ToolExit) -> Result<ToolExit, Error> {
    console::answer(text)?;
    Ok(exit)
}

/// `object` as it is printed: fields in the order of their names.
pub fn to_json(object: &impl Serialize) -> Value {
    serde_json::to_value(object).expect("strings and numbers always serialize")
}
