//! `null:`, a sink that counts and drops.
//!
//! **Promise.** None. **Memory.** The outlet that each sink has. **On trouble.** There is none.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use potoroo_sdk::host::SinkId;

use super::address::SinkAddress;
use super::connector::{Connector, Form};
use super::demand::Demand;
use super::opening::Opening;
use super::promise::{Promise, Survival};
use super::refusal::EdgeRefusal;
use super::sink::{OpenLetters, OpenSink, SinkConnector};
use super::starting::Starting;
use crate::turn::{Command, OutletPort, PortLost};

/// `null:`
pub static CONNECTOR: Connector = Connector {
    scheme: "null",
    open_options: &[],
    source: None,
    sink: Some(Form {
        summary: "`null:` (counts and drops)",
        help: || "  null:             counts and drops\n".to_owned(),
        parse: |parts| parts.nothing().map(|()| SinkAddress::Null),
        describe: Some(describe),
    }),
};

fn describe(address: &SinkAddress) -> Option<Arc<dyn SinkConnector>> {
    let SinkAddress::Null = address else { return None };
    Some(Arc::new(NullSink))
}

#[derive(Debug)]
struct NullSink;

impl fmt::Display for NullSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null:")
    }
}

impl SinkConnector for NullSink {
    fn survival(&self) -> Survival {
        Survival::new("nothing is lost: it is dropped anyway", Survival::SAME)
    }

    fn promise(&self, _checkpoints: bool) -> Promise {
        Promise::new("none", "counted and dropped")
    }

    fn demand(&self) -> Demand {
        Demand::default()
    }

    fn open(&self, _opening: &mut Opening<'_>) -> Result<Box<dyn OpenSink>, EdgeRefusal> {
        Ok(Box::new(Self))
    }

    fn open_letters(
        &self,
        _opening: &mut Opening<'_>,
    ) -> Result<Box<dyn OpenLetters>, EdgeRefusal> {
        Ok(Box::new(Self))
    }
}

impl OpenSink for NullSink {
    fn start(&mut self, sink: SinkId, starting: &mut Starting<'_>) -> Result<(), EdgeRefusal> {
        starting.send(Command::Sink { sink, port: Box::new(NullOutlet) });
        Ok(())
    }
}

/// Takes everything.
pub struct NullOutlet;

impl OutletPort for NullOutlet {
    fn put(&mut self, bytes: &[u8]) -> Result<usize, PortLost> {
        Ok(bytes.len())
    }
}

impl OpenLetters for NullSink {
    fn start(
        &mut self,
        _starting: &mut Starting<'_>,
        _limit: Duration,
    ) -> Result<Option<Box<dyn Write + Send>>, EdgeRefusal> {
        Ok(None)
    }
}
