//! `stdout:`, a sink that writes to standard output. A summary for people goes to standard error
//! then.
//!
//! **Promise.** Once per run; with checkpoints what left after the last one is repeated after a
//! crash. **Memory.** One pipe. **On trouble.** A closed standard output is refused at the start;
//! one without a reader holds the sources back.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use potoroo_sdk::host::SinkId;
use potoroo_tuning::stdout::closed;

use super::address::SinkAddress;
use super::connector::{Connector, Form};
use super::demand::Demand;
use super::file::OpenFile;
use super::opening::Opening;
use super::promise::{Promise, Survival};
use super::refusal::EdgeRefusal;
use super::sink::{OpenLetters, OpenSink, SinkConnector};
use super::starting::Starting;

/// `stdout:`
pub static CONNECTOR: Connector = Connector {
    scheme: "stdout",
    open_options: &[],
    source: None,
    sink: Some(Form {
        summary: "`stdout:`",
        help: || "  stdout:           standard output\n".to_owned(),
        parse: |parts| parts.nothing().map(|()| SinkAddress::Stdout),
        describe: Some(describe),
    }),
};

fn describe(address: &SinkAddress) -> Option<Arc<dyn SinkConnector>> {
    let SinkAddress::Stdout = address else { return None };
    Some(Arc::new(StdoutSink))
}

#[derive(Debug)]
struct StdoutSink;

impl fmt::Display for StdoutSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stdout:")
    }
}

impl SinkConnector for StdoutSink {
    fn survival(&self) -> Survival {
        Survival::new("what left after the last checkpoint is repeated", Survival::SAME)
    }

    fn promise(&self, checkpoints: bool) -> Promise {
        match checkpoints {
            true => Promise::REPEATED,
            false => Promise::new("once per run", "written before the end"),
        }
    }

    fn demand(&self) -> Demand {
        Demand { pipes: 1, ..Demand::default() }
    }

    fn is_standard_output(&self) -> bool {
        true
    }

    fn open(&self, _opening: &mut Opening<'_>) -> Result<Box<dyn OpenSink>, EdgeRefusal> {
        check_open()?;
        Ok(Box::new(Self))
    }

    fn open_letters(
        &self,
        _opening: &mut Opening<'_>,
    ) -> Result<Box<dyn OpenLetters>, EdgeRefusal> {
        check_open()?;
        Ok(Box::new(Self))
    }
}

fn check_open() -> Result<(), EdgeRefusal> {
    match closed() {
        true => {
            let reason = "standard output is closed: open it, or give file:";
            Err(EdgeRefusal::Reason(reason.to_owned()))
        }
        false => Ok(()),
    }
}

/// Standard output as a file that keeps what is in it.
fn file() -> Result<OpenFile, EdgeRefusal> {
    let file = io::stdout().as_fd().try_clone_to_owned();
    let file = file.map_err(EdgeRefusal::thread("a file's writer"))?;
    Ok(OpenFile { file: Arc::new(File::from(file)), anew: None })
}

impl OpenSink for StdoutSink {
    fn start(&mut self, sink: SinkId, starting: &mut Starting<'_>) -> Result<(), EdgeRefusal> {
        OpenSink::start(&mut file()?, sink, starting)
    }
}

impl OpenLetters for StdoutSink {
    fn start(
        &mut self,
        starting: &mut Starting<'_>,
        limit: Duration,
    ) -> Result<Option<Box<dyn Write + Send>>, EdgeRefusal> {
        OpenLetters::start(&mut file()?, starting, limit)
    }
}
