//! The tool `potoroo`, as an operator uses it.

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

/// Runs the tool in this process.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let arguments = [OsString::from("potoroo")].into_iter().chain(arguments.iter().cloned());
    potoroo::control::tool::main_with(arguments)
}

/// What the tool answers in a process of its own.
///
/// # Errors
/// It answers with an error.
pub fn ask(arguments: &[&str]) -> Result<String> {
    let program = env::current_exe().context("the path of this program is unknown")?;
    let mut command = Command::new(program);
    command.arg("tool").arg("--").args(arguments).stdin(Stdio::null());
    let output = command.output().context("the tool cannot be started")?;
    if output.status.success() {
        return String::from_utf8(output.stdout).context("the tool's answer is no text");
    }
    let said = String::from_utf8_lossy(&output.stderr);
    bail!("potoroo {}: {}", arguments.join(" "), said.trim_end())
}
