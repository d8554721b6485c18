//! `potoroo checkpoint import`.

use std::path::Path;
use std::process::Command;

use super::answer::{Error, ToolExit};
use super::export::Program;

/// Has `program`, the application, fill `table` from `file`. What it says is the answer.
pub fn run(table: &str, file: &Path, program: &Program) -> Result<ToolExit, Error> {
    let Program { program, state, arguments } = program;
    let mut import = std::ffi::OsString::from(format!("{table}="));
    import.push(file);
    let mut command = Command::new(program);
    command.args(arguments).arg("--state").arg(state).arg("--import").arg(import);
    let ended = command.status();
    let ended = ended.map_err(|source| Error::Program { program: program.into(), source })?;
    Ok(if ended.success() { ToolExit::Whole } else { ToolExit::Nothing })
}
