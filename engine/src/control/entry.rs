//! The command line that every application gets.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use potoroo_runtime::host;
use potoroo_sdk::Application;
use potoroo_sdk::plan::Plan;

use super::check::{check, guarantees};
use super::cli::CommandLine;
use super::config::{Config, SummaryFormat, cpus_allowed, placement};
use super::console;
use super::descriptors;
use super::error::Error;
use super::exit::Exit;
use super::fitness;
use super::import::{self, Imported};
use super::inspect;
use super::logging;
use super::panics;
use super::process::complete;
use super::running::start;
use super::signals;
use super::stop_request::StopRequest;
use crate::connect::registry::without_tokens;

/// Runs `application` as the command line says, to its end. The whole of an application's `main`.
///
/// ```no_run
/// # use potoroo::prelude::*;
/// # fn application() -> Application { Application::new("nothing") }
/// fn main() -> std::process::ExitCode {
///     potoroo::main(application)
/// }
/// ```
pub fn main(application: fn() -> Application) -> ExitCode {
    main_with(std::env::args_os(), application)
}

/// As [`main`], with `arguments` (the first is the program's name) instead of the process's: for
/// applications that have flags of their own and take them out first.
pub fn main_with(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    application: fn() -> Application,
) -> ExitCode {
    // Without it a limit of file sizes ends the process: no reason not to start.
    let _ = signals::bear_file_limits();
    panics::end_process();
    let arguments = match CommandLine::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return not_parsed(&error),
    };
    match execute(arguments, application) {
        Ok(exit) => exit.into(),
        Err(error) => {
            console::error(format_args!("error: {error}"));
            exit_of(&error).into()
        }
    }
}

/// How the process ends for `error`.
fn exit_of(error: &Error) -> Exit {
    match error {
        Error::Host(host::Error::CorePanicked { .. }) => Exit::Panicked,
        Error::Stopped => Exit::Undelivered,
        Error::Ended => Exit::Done,
        Error::LeftBehind { .. } => Exit::LeftBehind,
        _ => Exit::Refused,
    }
}

/// Prints what was asked for, or what is wrong with the command line, but no token that is in it.
fn not_parsed(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    let shown = without_tokens(&text);
    // Help repeats nothing of the command line.
    if error.use_stderr() && shown != text {
        console::error(shown.trim_end());
    } else {
        // If the output was closed, help is not needed.
        let _ = error.print();
    }
    ExitCode::from(error.exit_code() as u8)
}

fn execute(arguments: CommandLine, application: fn() -> Application) -> Result<Exit, Error> {
    let plan = application().plan()?;
    if arguments.version {
        let version = env!("CARGO_PKG_VERSION");
        return Ok(answer(format_args!("{} on potoroo {version}", plan.name), Exit::Done));
    }
    let (export, for_import) = (arguments.export.clone(), arguments.for_import);
    let import = arguments.import.clone();
    let mut config = arguments.config()?;
    logging::init(config.quiet);
    if let Some(table) = export {
        let written = match console::long_answer() {
            Ok(out) => inspect::export(&plan, &config, &table, for_import, out)?,
            Err(closed) => Err(closed),
        };
        return Ok(answered(written, Exit::Done));
    }
    if let Some(import) = import {
        return import_table([plan, application().plan()?], &config, &import);
    }
    let output = output_is_data(&config);
    // Lines of output would be glued to it.
    config.progress &= !(output && io::stdout().is_terminal());
    let config = complete(&plan, config)?;
    if config.check {
        let (text, allowed) = check(&plan, &config)?;
        let exit = answer(text.trim_end(), Exit::Done);
        return allowed.map(|()| exit);
    }
    let guarantees = guarantees(&plan, &config);
    let fitness = fitness::lines(&config);
    let placement = placement(&config.cores, &cpus_allowed());
    let report = config.report;
    descriptors::raise_limit();
    let request = StopRequest::default();
    signals::catch(&request)?;
    let running = start(std::sync::Arc::new(application), &plan, config, request)?;
    // Not before the edges are open: nothing is promised by what cannot run.
    guarantees.iter().chain([&placement]).chain(&fitness).for_each(console::note);
    for (name, address) in running.all_listening() {
        console::note(format_args!("source `{name}` listens on {address}"));
    }
    if let Some(address) = running.admin() {
        console::note(format_args!("admin port listens on {address}"));
    }
    let summary = running.wait()?;
    let exit = if summary.snapshot.failures == 0 { Exit::Done } else { Exit::Undelivered };
    Ok(match report {
        SummaryFormat::Text if output => {
            console::note(summary.text());
            exit
        }
        SummaryFormat::Text => answer(summary.text(), exit),
        // What the sink wrote need not end in a line feed.
        SummaryFormat::Json if output => answer(format_args!("\n{}", summary.json()), exit),
        SummaryFormat::Json => answer(summary.json(), exit),
    })
}

/// Imports what `TABLE=FILE` names.
fn import_table(plans: [Plan; 2], config: &Config, import: &str) -> Result<Exit, Error> {
    let (table, file) = import.split_once('=').ok_or_else(|| Error::Import {
        table: import.to_owned(),
        reason: "no file is named: give --import TABLE=FILE".to_owned(),
    })?;
    let Imported { rows, epoch } = import::import(plans, config, table, Path::new(file))?;
    let text = match epoch {
        Some(epoch) => format!("{rows} rows are in table `{table}` of checkpoint {epoch}"),
        None => {
            format!("{rows} rows fit into table `{table}`, which is empty: nothing was changed")
        }
    };
    Ok(answer(text, Exit::Done))
}

/// Whether a sink or the dead letters write to standard output: a summary for people would spoil
/// what they write.
fn output_is_data(config: &Config) -> bool {
    let mut sinks = config.sinks.values().chain(&config.dead_letters);
    sinks.any(|sink| sink.connector().is_standard_output())
}

/// Writes `text` to standard output. Returns `exit`, or that not even the text could be delivered.
fn answer(text: impl Display, exit: Exit) -> Exit {
    answered(console::answer(text), exit)
}

fn answered(written: io::Result<()>, exit: Exit) -> Exit {
    match written {
        Ok(()) => exit,
        Err(error) => {
            console::error(format_args!(
                "error: standard output cannot be written: {error}; send it elsewhere"
            ));
            Exit::Undelivered
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code 1 says that nothing was processed, and service managers do not start again after it.
    #[test]
    fn a_panic_has_a_code_of_its_own() {
        let panicked = host::Error::CorePanicked { core: 0, message: "bug".to_owned() };
        assert_eq!(exit_of(&Error::Host(panicked)), Exit::Panicked);
        assert_eq!(exit_of(&Error::Host(host::Error::NoCpu)), Exit::Refused);
        assert_eq!(exit_of(&Error::Stopped), Exit::Undelivered);
    }
}
