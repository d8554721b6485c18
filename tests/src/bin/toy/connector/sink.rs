//! The sink: a file in capital letters.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use potoroo::SinkAddress;
use potoroo::connect::address::{Error, Parts};
use potoroo::connect::demand::Demand;
use potoroo::connect::opening::Opening;
use potoroo::connect::promise::Promise;
use potoroo::connect::refusal::EdgeRefusal;
use potoroo::connect::sink::{OpenSink, SinkConnector};
use potoroo::connect::starting::Starting;
use potoroo_sdk::host::SinkId;

pub(super) fn parse(parts: &mut Parts<'_>) -> Result<SinkAddress, Error> {
    Ok(SinkAddress::other(ToySink { path: parts.path()? }))
}

#[derive(Debug)]
struct ToySink {
    path: PathBuf,
}

impl fmt::Display for ToySink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "toy:{}", self.path.display())
    }
}

impl SinkConnector for ToySink {
    fn promise(&self, _checkpoints: bool) -> Promise {
        Promise::new("once per run", "in capital letters")
    }

    fn demand(&self) -> Demand {
        Demand { pipes: 1, ..Demand::default() }
    }

    fn open(&self, _opening: &mut Opening<'_>) -> Result<Box<dyn OpenSink>, EdgeRefusal> {
        let file = OpenOptions::new().create(true).append(true).open(&self.path);
        let file = file.map_err(|error| format!("{error}; give another path"))?;
        Ok(Box::new(Capitals(file)))
    }
}

struct Capitals(File);

impl OpenSink for Capitals {
    fn start(&mut self, sink: SinkId, starting: &mut Starting<'_>) -> Result<(), EdgeRefusal> {
        let emptied = self.0.set_len(0);
        emptied.map_err(|error| format!("{error}; give another path"))?;
        let file = self.0.try_clone();
        let file = file.map_err(|error| format!("{error}; raise `ulimit -n`"))?;
        starting.write(sink, Self(file), || Ok(()))
    }
}

impl Write for Capitals {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(&bytes.to_ascii_uppercase()).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
