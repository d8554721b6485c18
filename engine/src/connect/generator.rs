//! `gen:`, a source whose events a generator of the application makes, on the core that uses them.
//!
//! ```text
//!   source   gen:NAME   ?rate=N|max &seed=N &count=N
//! ```
//!
//! `rate` is events per second, open loop; the same `seed` makes the same events; the source ends
//! after `count` events.
//!
//! **Promise.** Every event of a run; with checkpoints exactly once, since the generator goes on
//! from the position that the last one holds. Replies are counted and dropped.
//!
//! **Memory.** What the generator itself takes: there is no buffer.
//!
//! **On trouble.** An unknown generator is refused at the start. Events that are due while the
//! core is held back are generated late, and those that are never generated are counted as overdue.

use std::fmt;
use std::sync::Arc;

use potoroo_sdk::host::SourceId;

use super::address::{Error, GeneratorAddress, Parts, RATE_DEFAULT, SEED_DEFAULT, SourceAddress};
use super::connector::{Connector, Form};
use super::demand::Demand;
use super::opening::Opening;
use super::promise::{Promise, Replayable};
use super::refusal::EdgeRefusal;
use super::source::{OpenSource, SourceConnector};
use super::starting::Starting;
use super::upstream::Upstream;
use crate::checkpoint::PositionUnit;

/// `gen:`
pub static CONNECTOR: Connector = Connector {
    scheme: "gen",
    open_options: &["rate", "seed", "count"],
    source: Some(Form {
        summary: "`gen:NAME` (generates events)",
        help,
        parse,
        describe: Some(describe),
    }),
    sink: None,
};

fn help() -> String {
    format!(
        "  gen:NAME          generates events; ?rate=N|max events/s [default: {RATE_DEFAULT}]
                    &seed=N [default: {SEED_DEFAULT}] &count=N events [default: no limit]
"
    )
}

fn parse(parts: &mut Parts<'_>) -> Result<SourceAddress, Error> {
    if parts.rest().is_empty() {
        return Err(parts.malformed("it names no generator", "`gen:NAME`"));
    }
    let default = GeneratorAddress::new(parts.rest());
    let rate = match parts.take("rate") {
        None => default.rate,
        Some("max") => None,
        Some(value) => Some(parts.value("rate", value, "events per second from 1, or `max`")?),
    };
    let seed = parts.number("seed", "a number")?.unwrap_or(default.seed);
    let count = parts.number("count", "a number of events")?;
    Ok(SourceAddress::Generator(GeneratorAddress { rate, seed, count, ..default }))
}

fn describe(address: &SourceAddress) -> Option<Arc<dyn SourceConnector>> {
    let SourceAddress::Generator(generator) = address else { return None };
    Some(Arc::new(GeneratorSource(generator.clone())))
}

#[derive(Debug)]
struct GeneratorSource(GeneratorAddress);

impl fmt::Display for GeneratorSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl SourceConnector for GeneratorSource {
    fn promise(&self, checkpoints: bool) -> Promise {
        match checkpoints {
            true => Promise::READ_AGAIN,
            false => Promise::new("every event of a run", "the seed makes the same events"),
        }
    }

    fn reply_promise(&self) -> Promise {
        Promise::new("none", "generated events have no connection: replies are counted and dropped")
    }

    fn replay(&self) -> Replayable {
        Replayable::Events
    }

    fn is_read_by_one(&self) -> bool {
        true
    }

    fn demand(&self, _inlet_bytes: usize) -> Demand {
        Demand::default()
    }

    fn open(&self, opening: &mut Opening<'_>) -> Result<Box<dyn OpenSource>, EdgeRefusal> {
        let mut sources = opening.plan.sources.iter();
        let source = sources.find(|source| source.name == opening.name).expect("it is of the plan");
        let made = source.stage.generator(&self.0.name, self.0.seed);
        made.map_err(EdgeRefusal::Generator)?;
        Ok(Box::new(OpenGenerator(self.0.clone())))
    }
}

struct OpenGenerator(GeneratorAddress);

impl OpenSource for OpenGenerator {
    fn unit(&self) -> Option<PositionUnit> {
        Some(PositionUnit::Events)
    }

    fn generator(&self) -> Option<&GeneratorAddress> {
        Some(&self.0)
    }

    fn start(
        &mut self,
        _source: SourceId,
        _starting: &mut Starting<'_>,
    ) -> Result<Option<Box<dyn Upstream>>, EdgeRefusal> {
        Ok(None)
    }
}
