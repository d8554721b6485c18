//! Benchmarks of Potoroo: every contender in the same run, alternated, as ratios.
//!
//! Owns: load, rounds, recording, reports, and the contenders that are not ours. Promises: a
//! figure is the median of what happened inside each round or pair of windows; a raw core-to-core
//! round trip stands beside it; every contender proves with a checksum that it did the work. Must
//! never: be imported by anything.

// In reading order; the blank lines keep it.
mod host;
mod interrupt;
mod place;
mod progress;

mod stamp;
mod stepping;

mod gaps;
mod recorder;

mod take;
mod track;

mod load;

mod results;

mod report;

mod rounds;

mod answer;
mod budget;
mod effort;
mod spread;

mod pingpong;

mod limits;

mod pairs;

mod hop;

mod engine;

mod link;

mod node;

mod cluster;

mod wire;

mod checkpoint;
mod storage;

mod connector;

mod scale;

mod time;

mod drive;
mod soak;

mod compare;

mod page;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser, Subcommand};

use crate::answer::answer;
use crate::effort::{Scale, WINDOWS_PER_ROUND};
use crate::place::Place;
use crate::report::Report;
use crate::results::ResultFolder;

/// Measures Potoroo against contenders in one run.
#[derive(Debug, Parser)]
#[command(version, subcommand_value_name = "NAME", subcommand_help_heading = "Names")]
struct Arguments {
    #[command(subcommand)]
    name: Name,
    /// Print one JSON object as the last line of stdout instead of a table.
    #[arg(long, global = true)]
    json: bool,
    /// Short slices and no table beyond a million keys: seconds instead of minutes.
    #[arg(long, global = true)]
    quick: bool,
    /// Milliseconds at normal priority: proves that everything runs, measures nothing.
    #[arg(long, global = true, hide = true, conflicts_with = "quick")]
    toy: bool,
    /// Number of rounds [default: 7, with --quick 5]; where windows are paired, five windows
    /// each [default: until there are enough pairs].
    #[arg(long, global = true, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// Folder that the record and the artefacts of the run go to
    /// [default: bench/results of the source tree; with --toy nothing is kept].
    #[arg(long, global = true, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Keep nothing of the run.
    #[arg(long, global = true, conflicts_with = "results")]
    no_results: bool,
}

/// What can be measured.
#[derive(Clone, Debug, Subcommand)]
enum Name {
    /// What the host can do: messages, clocks, system calls, memory, jitter.
    Limits,
    /// 64-byte frames between two cores: round trip and throughput of rings.
    Hop,
    /// Events over a connection to another node: round trip, and the CPU time of each.
    Link,
    /// Keyed count over 64-byte events: latency at two rates, throughput at three table sizes.
    Engine,
    /// Market Spread over loopback TCP: order to reply, and the stream of quotes.
    Wire,
    /// Keyed count with checkpoints and without: latency, throughput, slices of turns.
    Checkpoint,
    /// Keyed count between connectors with checkpoints, beside plain TCP: throughput, delay.
    Connector,
    /// Parts of checkpoints written to a folder and verified, beside plain files.
    Storage,
    /// Processes that are one application: a node is killed, joins, leaves, idles.
    Cluster(cluster::ClusterOptions),
    /// Make a page, plots and tables of runs that were kept.
    Report(page::PageOptions),
    /// Windows, timers and joins by event time, beside the same events without time.
    Time,
    /// Cost per event as keys, values, partitions, cores, connections, levels grow.
    Scale,
    /// Market Spread under a steady load for minutes to hours: what drifts meanwhile.
    Soak(soak::SoakOptions),
    /// Drives a TCP application at a fixed rate: latency of each answer from when it was due.
    Load(drive::DriveOptions),
    /// Compare two commits, programs or recorded runs: ratios with confidence intervals.
    ///
    /// Exit code: 0 no regression, 1 a regression, 2 it could not be compared.
    Compare(compare::CompareOptions),
    /// Name all benchmarks.
    List,
    /// The process whose instructions `engine` counts.
    #[command(hide = true)]
    Step {
        /// Turns until the first count.
        turns: usize,
        /// Further operators between source and table.
        operators: usize,
        /// Number of the process that counts.
        parent: u32,
    },
    /// The application of `cluster` in a process of its own.
    #[command(hide = true)]
    Node {
        /// Number of the process with which it ends.
        #[arg(long)]
        parent: u32,
        /// Flags of the application.
        #[arg(last = true)]
        flags: Vec<OsString>,
    },
    /// The tool `potoroo`.
    #[command(hide = true)]
    Tool {
        /// Its arguments.
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// The other process of `wire`.
    #[command(hide = true)]
    Serve {
        /// What it does with its connection.
        #[arg(value_enum)]
        kind: wire::Kind,
        /// The CPU that it polls on.
        #[arg(long)]
        cpu: usize,
        /// Whether it runs under SCHED_FIFO while it serves.
        #[arg(long)]
        fifo: bool,
    },
}

fn main() -> ExitCode {
    // Without it a limit of file sizes ends the process: no reason not to start.
    let _ = interrupt::bear_file_limits();
    run(&Arguments::parse()).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let scale = scale(arguments);
    match &arguments.name {
        Name::Limits => measure(arguments, "limits", scale, limits::bench),
        Name::Scale => measure(arguments, "scale", scale, scale::bench),
        Name::Time => measure(arguments, "time", scale, time::bench),
        Name::Soak(options) => {
            let scale = options.scale(scale);
            measure(arguments, "soak", scale, |report| soak::bench(report, options))
        }
        Name::Load(options) => {
            let scale = options.scale(scale);
            measure(arguments, "load", scale, |report| drive::bench(report, options))
        }
        Name::Hop => measure(arguments, "hop", scale, hop::bench),
        Name::Link => measure(arguments, "link", scale, link::bench),
        Name::Engine => measure(arguments, "engine", scale, |report| {
            engine::bench(report)?;
            // Comes last: on a busy host single steps take longer than all that is timed.
            engine::instructions::bench(report)
        }),
        Name::Step { turns, operators, parent } => {
            engine::instructions::step(*turns, *operators, *parent)?;
            Ok(ExitCode::SUCCESS)
        }
        Name::Wire => measure(arguments, "wire", scale, wire::bench),
        Name::Checkpoint => measure(arguments, "checkpoint", scale, checkpoint::bench),
        Name::Connector => measure(arguments, "connector", scale, connector::bench),
        Name::Storage => measure(arguments, "storage", scale, storage::bench),
        Name::Serve { kind, cpu, fifo } => {
            wire::serve(*kind, *cpu, *fifo)?;
            Ok(ExitCode::SUCCESS)
        }
        Name::Cluster(options) => {
            measure(arguments, "cluster", scale, |report| cluster::bench(report, *options))
        }
        Name::Node { parent, flags } => node::run(*parent, flags),
        Name::Tool { arguments } => Ok(node::run_tool(arguments)),
        Name::Report(request) => {
            page::report(request, arguments.results.as_deref())?;
            Ok(ExitCode::SUCCESS)
        }
        Name::Compare(request) => {
            let toy = arguments.toy.then_some("--toy");
            let scale: Vec<_> = arguments.quick.then_some("--quick").or(toy).into_iter().collect();
            Ok(compare::compare(request, &scale, arguments.json))
        }
        Name::List => {
            list()?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn measure(
    arguments: &Arguments,
    name: &'static str,
    scale: Scale,
    bench: impl FnOnce(&mut Report) -> Result<()>,
) -> Result<ExitCode> {
    interrupt::listen()?;
    if !arguments.toy && host::profile() != host::PROFILE_TO_MEASURE {
        eprintln!(
            "built with the profile `{}`: for figures to compare, run \
             `cargo run --profile {} --package potoroo-bench -- {name}`",
            host::profile(),
            host::PROFILE_TO_MEASURE
        );
    }
    // Calibrates the clock before anything is measured.
    stamp::wall(stamp::now());
    let place = if arguments.toy { Place::toy() } else { Place::choose()? };
    let store = store(arguments, name)?;
    let mut report = Report::new(name, place, scale);
    report.keep_in(store);
    let outcome = bench(&mut report);
    report.end(outcome);
    let kept = report.keep();
    if !arguments.json {
        answer(report.table().trim_end())?;
    }
    if arguments.json || kept.is_err() {
        answer(report.json())?;
    }
    kept.context("the run is not kept, or not whole; its record is the last line of stdout")?;
    Ok(report.exit_code())
}

/// Where the run is kept. Whether it can be is known before anything is measured.
///
/// # Errors
/// The folder that was asked for cannot be written. If the default folder cannot be written, a
/// warning says so and the run is not stored.
fn store(arguments: &Arguments, bench: &str) -> Result<Option<ResultFolder>> {
    if let Some(folder) = &arguments.results {
        return ResultFolder::open(folder, bench).map(Some);
    }
    if arguments.no_results || arguments.toy {
        return Ok(None);
    }
    let store = ResultFolder::open(&results::default_folder(), bench);
    Ok(store.inspect_err(|error| eprintln!("nothing is kept of this run: {error:#}")).ok())
}

fn scale(arguments: &Arguments) -> Scale {
    let scale = match (arguments.toy, arguments.quick) {
        (true, _) => Scale::toy(),
        (_, true) => Scale::quick(),
        _ => Scale::full(),
    };
    let Some(rounds) = arguments.rounds.map(usize::from) else { return scale };
    Scale { rounds, windows_max: Some(rounds * WINDOWS_PER_ROUND), ..scale }
}

fn list() -> Result<()> {
    let command = Arguments::command();
    let benchmarks = command.get_subcommands().filter(|command| !command.is_hide_set());
    for benchmark in benchmarks.filter(|command| !TOOLS.contains(&command.get_name())) {
        let about = benchmark.get_about().unwrap_or_default();
        answer(format_args!("{:8} {about}", benchmark.get_name()))?;
    }
    answer(format_args!("\ncontenders of engine: {}", engine::contenders()))
}

/// What measures nothing.
const TOOLS: [&str; 3] = ["list", "report", "compare"];
