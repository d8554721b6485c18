//! `potoroo checkpoint export`.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use super::{Error, Exit};

/// Has `program`, the application, write `table` to standard output.
pub fn run(table: &str, epoch: Option<u64>, program: &Path, state: &OsStr) -> Result<Exit, Error> {
    let mut command = Command::new(program);
    command.arg("--state").arg(state).args(["--export", table]);
    if let Some(epoch) = epoch {
        command.args(["--restore", &epoch.to_string()]);
    }
    let ended = command.status();
    let ended = ended.map_err(|source| Error::Program { program: program.into(), source })?;
    // What it has to say stands on standard error already.
    Ok(if ended.success() { Exit::Whole } else { Exit::Nothing })
}
