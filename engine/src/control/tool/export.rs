//! `potoroo checkpoint export`.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Args;

use super::answer::{Error, ToolExit};
use crate::checkpoint::Epoch;
use crate::control::console;
use crate::control::rows_file::{END, HEAD};

/// The program of an application, and what it is given.
#[derive(Debug, Args)]
pub struct Program {
    /// The application's program: only it knows what is in its tables
    #[arg(long, value_name = "FILE")]
    pub program: PathBuf,
    /// Folder or s3://BUCKET/PREFIX that the application is given with the same flag
    #[arg(long, value_name = "DIR|URL")]
    pub state: OsString,
    /// Flags of the program's own, that it needs to describe the same application
    #[arg(last = true, value_name = "ARGUMENT")]
    pub arguments: Vec<OsString>,
}

/// Has `program`, the application, write `table` to standard output.
pub fn run(
    table: &str,
    epoch: Option<Epoch>,
    for_import: bool,
    program: &Program,
) -> Result<ToolExit, Error> {
    let Program { program, state, arguments } = program;
    let mut command = Command::new(program);
    command.args(arguments).arg("--state").arg(state).args(["--export", table]);
    if for_import {
        command.arg("--for-import");
    }
    if let Some(epoch) = epoch {
        command.args(["--restore", &epoch.to_string()]);
    }
    let to = console::long_answer()?;
    let started = command.stdout(Stdio::piped()).spawn();
    let mut started =
        started.map_err(|source| Error::Program { program: program.into(), source })?;
    let out = started.stdout.take().expect("it was asked for");
    let written = pass_rows(BufReader::new(out), to);
    if written.is_err() {
        // Its further output has no reader. It may have ended.
        let _ = started.kill();
    }
    let ended = started.wait()?;
    written?;
    if ended.success() {
        return Ok(ToolExit::Whole);
    }
    // Its reason stands on standard error already.
    let program = program.display();
    console::error(format_args!("error: {program}: {ended}: this is not the whole table"));
    Ok(ToolExit::Nothing)
}

/// Passes rows on; what else a program writes to its standard output goes to standard error.
fn pass_rows(mut from: impl BufRead, mut out: impl Write) -> io::Result<()> {
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        let begins = |begin: &&[u8]| {
            line.windows(begin.len()).position(|part| part == *begin).unwrap_or(line.len())
        };
        let row = [ROW, HEAD, END].iter().map(begins).min().unwrap_or(0);
        if row > 0 {
            console::error(String::from_utf8_lossy(&line[..row]).trim_end());
        }
        out.write_all(&line[row..])?;
        line.clear();
    }
    out.flush()
}

/// How each row begins.
const ROW: &[u8] = b"{\"key\":";
