//! The command line of the host doctor.
//!
//! Owns arguments, exit codes and what people read. Promises that only `apply` and `revert` change
//! anything. Must never panic because of an argument or a host.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use clap::error::ErrorKind;
use signal_hook::consts::SIGXFSZ;
use signal_hook::flag::register;

use cli::{Arguments, DoctorExit};

fn main() -> ExitCode {
    // A write beyond the limit of file sizes fails then, as one to a full disk does.
    let _ = register(SIGXFSZ, Arc::default());
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let asked = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion].contains(&error.kind());
            // A reader that closes the pipe has read enough.
            let _ = error.print();
            return if asked { ExitCode::SUCCESS } else { DoctorExit::Refused.into() };
        }
    };
    match cli::run(arguments) {
        Ok(exit) => exit.into(),
        Err(error) => {
            cli::console::note(format_args!("error: {error:#}"));
            DoctorExit::Refused.into()
        }
    }
}
