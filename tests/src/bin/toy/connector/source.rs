//! The source: lines from memory.

use std::fmt;
use std::io::Cursor;

use potoroo::SourceAddress;
use potoroo::connect::address::{Error, Parts};
use potoroo::connect::demand::Demand;
use potoroo::connect::opening::Opening;
use potoroo::connect::promise::Promise;
use potoroo::connect::refusal::EdgeRefusal;
use potoroo::connect::source::{OpenSource, SourceConnector};
use potoroo::connect::starting::Starting;
use potoroo::connect::upstream::Upstream;
use potoroo_sdk::host::SourceId;

pub(super) fn parse(parts: &mut Parts<'_>) -> Result<SourceAddress, Error> {
    let text = parts.rest().to_owned();
    let count = parts.number("count", "a number of lines")?.unwrap_or(1);
    Ok(SourceAddress::other(ToySource { text, count }))
}

#[derive(Debug)]
struct ToySource {
    text: String,
    count: usize,
}

impl fmt::Display for ToySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "toy:{}?count={}", self.text, self.count)
    }
}

impl SourceConnector for ToySource {
    fn promise(&self, _checkpoints: bool) -> Promise {
        Promise::new("at most once", "a toy sends nothing again")
    }

    fn demand(&self, _inlet_bytes: usize) -> Demand {
        Demand { pipes: 1, ..Demand::default() }
    }

    fn open(&self, _opening: &mut Opening<'_>) -> Result<Box<dyn OpenSource>, EdgeRefusal> {
        match self.text.is_empty() {
            true => Err(EdgeRefusal::Reason("it has no text; give one: toy:TEXT".to_owned())),
            false => Ok(Box::new(Lines(format!("{}\n", self.text).repeat(self.count)))),
        }
    }
}

struct Lines(String);

impl OpenSource for Lines {
    fn start(
        &mut self,
        source: SourceId,
        starting: &mut Starting<'_>,
    ) -> Result<Option<Box<dyn Upstream>>, EdgeRefusal> {
        starting.read(source, Cursor::new(self.0.clone()), None, None)?;
        Ok(None)
    }
}
