//! The tool `potoroo`: what operators ask beside applications.
//!
//! ```text
//!   potoroo checkpoint list     which checkpoints are there
//!   potoroo checkpoint show     what one of them is made of
//!   potoroo checkpoint verify   whether all of it is whole
//!   potoroo checkpoint export   a table of it, which the application's program shows
//!   potoroo checkpoint import   fills an empty table with what was exported
//!   potoroo checkpoint now      has a running application take one
//!   potoroo checkpoint restore  has a running application go back to one
//!   potoroo state get           what a running application has for a key
//!   potoroo cluster status      which nodes take part
//!   potoroo cluster map         what each of them owns
//!   potoroo cluster history     how that came
//!   potoroo cluster weight      gives one of them another share
//!   potoroo cluster rebalance   gives all of them shares by their load
//!   potoroo cluster ready       says whether a node takes part
//!   potoroo cluster leave       has one of them end while the others go on
//!   potoroo cluster gone        waits until the others go on without one that is dead
//!   potoroo cluster stop        has all of them end
//! ```
//!
//! Promises: it takes no lock and changes nothing in a folder of checkpoints, so it works while an
//! application runs; but `import`, whose program takes the lock.
//! Answers go to standard output, progress and mistakes to standard error.

// In reading order; the blank lines keep it.
mod answer;

mod age;

mod stored;

mod list;

mod show;

mod verify;

mod export;

mod import;

mod http;

mod ask;

mod cluster;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::config::NodeName;
use super::console;
use super::logging;
use super::signals;
use crate::checkpoint::Epoch;
use answer::{EXIT_HELP, PlaceArgs, ToolExit};
use cluster::{ClusterArgs, GivenWeight};

/// Runs the tool as the command line says. The whole of its `main`.
pub fn main() -> ExitCode {
    main_with(std::env::args_os())
}

/// As [`main`], with `arguments` (the first is the program's name) instead of the process's: for
/// programs that have the tool in them.
pub fn main_with(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let _ = signals::bear_file_limits();
    logging::init(true);
    let found = match &Arguments::parse_from(arguments).command {
        Command::Checkpoint { command } => match command {
            Checkpoint::List { state } => list::run(state),
            Checkpoint::Show { epoch, state } => show::run(*epoch, state),
            Checkpoint::Verify { epoch, no_progress, state } => {
                verify::run(*epoch, !no_progress, state)
            }
            Checkpoint::Export { table, epoch, for_import, program } => {
                export::run(table, *epoch, *for_import, program)
            }
            Checkpoint::Import { table, file, program } => import::run(table, file, program),
            Checkpoint::Now { admin } => ask::checkpoint(*admin),
            Checkpoint::Restore { epoch, admin } => ask::restore(*admin, *epoch),
        },
        Command::State { command: OfState::Get { table, key, admin } } => {
            ask::row(*admin, table, key)
        }
        Command::Cluster { command } => match command {
            OfCluster::Status { agreed, of } => cluster::status(of, *agreed),
            OfCluster::Ready { node, wait, of } => cluster::ready(of, node.clone(), *wait),
            OfCluster::History { of } => cluster::history(of),
            OfCluster::Map { of } => cluster::map(of),
            OfCluster::Weight { node, weight, of } => cluster::weight(of, node, *weight),
            OfCluster::Rebalance { of } => cluster::rebalance(of),
            OfCluster::Leave { node, of } => cluster::leave(of, node),
            OfCluster::Gone { node, of } => cluster::gone(of, node),
            OfCluster::Stop { of } => cluster::stop(of),
        },
    };
    found
        .unwrap_or_else(|error| {
            console::error(format_args!("error: {error}"));
            ToolExit::Nothing
        })
        .into()
}

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
    /// Processes that are one application
    #[command(after_help = EXIT_HELP, disable_help_subcommand = true)]
    Cluster {
        #[command(subcommand)]
        command: OfCluster,
    },
}

#[derive(Debug, Subcommand)]
enum OfCluster {
    /// Show which nodes take part, what each of them does, and what holds it back
    #[command(after_help = EXIT_HELP)]
    Status {
        /// Show what the nodes have agreed upon, and do not ask the one that leads
        #[arg(long)]
        agreed: bool,
        #[command(flatten)]
        of: ClusterArgs,
    },
    /// Say whether a node takes part: for probes, and for a rolling restart
    #[command(after_help = EXIT_HELP)]
    Ready {
        /// Its name [default: that of this host, as for nodes]
        node: Option<NodeName>,
        /// Wait until it does
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        of: ClusterArgs,
    },
    /// Show when which nodes came, left or were lost, and how long nothing was processed
    #[command(after_help = EXIT_HELP)]
    History {
        #[command(flatten)]
        of: ClusterArgs,
    },
    /// Show which partitions each core of each node owns
    #[command(after_help = EXIT_HELP)]
    Map {
        #[command(flatten)]
        of: ClusterArgs,
    },
    /// Give a node another share of the partitions, and wait until it has it; the share stays with
    /// its name
    #[command(after_help = EXIT_HELP)]
    Weight {
        /// Its name
        node: String,
        /// Share against those of the other nodes, such as 2 or 1.5, with 0 for none; or `default`
        /// for that of its --weight
        weight: GivenWeight,
        #[command(flatten)]
        of: ClusterArgs,
    },
    /// Give all nodes the weights with which their cores would be equally busy, by their load of
    /// the last 10 seconds, and wait until they have them
    #[command(after_help = EXIT_HELP)]
    Rebalance {
        #[command(flatten)]
        of: ClusterArgs,
    },
    /// Confirm that the process of a node is dead, and wait until the others go on without it
    #[command(after_help = EXIT_HELP)]
    Gone {
        /// Its name
        node: String,
        #[command(flatten)]
        of: ClusterArgs,
    },
    /// Have a node end while the others go on, and wait until it has
    #[command(after_help = EXIT_HELP)]
    Leave {
        /// Its name
        node: String,
        #[command(flatten)]
        of: ClusterArgs,
    },
    /// Have all nodes end after everything is processed and committed, and wait until they have
    #[command(after_help = EXIT_HELP)]
    Stop {
        #[command(flatten)]
        of: ClusterArgs,
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
    /// List those that are retained, newest first
    #[command(after_help = EXIT_HELP)]
    List {
        #[command(flatten)]
        state: PlaceArgs,
    },
    /// Show what one is made of
    #[command(after_help = EXIT_HELP)]
    Show {
        /// Its epoch [default: the last one]
        epoch: Option<Epoch>,
        #[command(flatten)]
        state: PlaceArgs,
    },
    /// Read them wholly and check every byte
    #[command(after_help = EXIT_HELP)]
    Verify {
        /// Epoch of the one to verify [default: all that are retained]
        epoch: Option<Epoch>,
        /// Show no progress on standard error
        #[arg(long)]
        no_progress: bool,
        #[command(flatten)]
        state: PlaceArgs,
    },
    /// Show a table of one as lines of JSON
    #[command(after_help = EXIT_HELP)]
    Export {
        /// The table
        table: String,
        /// Its epoch [default: the last one]
        epoch: Option<Epoch>,
        /// Write what `checkpoint import` reads
        #[arg(long)]
        for_import: bool,
        #[command(flatten)]
        program: export::Program,
    },
    /// Fill an empty table with an exported one, as the next checkpoint of a stopped application or
    /// the first one
    #[command(after_help = EXIT_HELP)]
    Import {
        /// The table
        table: String,
        /// What `checkpoint export --for-import` has written
        file: PathBuf,
        #[command(flatten)]
        program: export::Program,
    },
    /// Have a running application go back to one that is retained, and wait until it goes on from
    /// there; output that was committed after it is output again
    #[command(after_help = EXIT_HELP)]
    Restore {
        /// Its epoch
        epoch: Epoch,
        /// Where the application has its admin port
        #[arg(long, value_name = "ADDR:PORT")]
        admin: SocketAddr,
    },
    /// Have a running application take one, and wait until it is committed
    #[command(after_help = EXIT_HELP)]
    Now {
        /// Where the application has its admin port
        #[arg(long, value_name = "ADDR:PORT")]
        admin: SocketAddr,
    },
}
