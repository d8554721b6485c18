//! Renumbering: the present numbers of tables, sources, sinks and exchanges that a checkpoint knows
//! by the numbers of the program that wrote it.

use potoroo_sdk::host::{ExchangeId, SinkId, SourceId, TableId};
use potoroo_sdk::plan::Plan;

use super::facts::Identity;

/// By stored number: the present one, if the program has it still.
#[derive(Clone, Debug)]
pub struct Renumbering {
    tables: Vec<Option<TableId>>,
    sources: Vec<Option<SourceId>>,
    sinks: Vec<Option<SinkId>>,
    exchanges: Vec<StoredExchange>,
    output_level: usize,
}

#[derive(Clone, Copy, Debug)]
struct StoredExchange {
    level: u8,
    now: Option<ExchangeId>,
}

impl Renumbering {
    /// From `stored` to `now`, with the `exchanges` that are the same. If what was stored is not
    /// `numbered`, only the numbers of its tables are known.
    pub(super) fn between(
        stored: &Identity,
        now: &Identity,
        exchanges: &[Option<usize>],
        numbered: bool,
    ) -> Self {
        let of = |found: Option<usize>| found.filter(|_| numbered);
        let table = |name: &str| now.tables.iter().position(|table| table.name == name);
        let source = |name: &str| now.sources.iter().position(|source| source.name == name);
        let sink = |name: &str, reply: bool| {
            now.sinks.iter().position(|sink| sink.name == name && sink.reply == reply)
        };
        let tables = stored.tables.iter().map(|was| table(&was.name));
        let sources = stored.sources.iter().map(|was| of(source(&was.name)));
        let sinks = stored.sinks.iter().map(|was| of(sink(&was.name, was.reply)));
        let exchanges = stored.exchanges.iter().zip(exchanges).map(|(was, is)| StoredExchange {
            level: was.level,
            now: of(*is).map(|at| ExchangeId(at as u16)),
        });
        Self {
            tables: tables.map(|at| at.map(|at| TableId(at as u16))).collect(),
            sources: sources.map(|at| at.map(|at| SourceId(at as u8))).collect(),
            sinks: sinks.map(|at| at.map(|at| SinkId(at as u16))).collect(),
            exchanges: exchanges.collect(),
            output_level: stored.output_level(),
        }
    }

    /// Of the program itself: every number stays.
    pub fn same(plan: &Plan) -> Self {
        let exchanges = plan.exchanges.iter().enumerate().map(|(at, exchange)| StoredExchange {
            level: exchange.level,
            now: Some(ExchangeId(at as u16)),
        });
        Self {
            tables: (0..plan.tables.len()).map(|at| Some(TableId(at as u16))).collect(),
            sources: (0..plan.sources.len()).map(|at| Some(SourceId(at as u8))).collect(),
            sinks: (0..plan.sinks.len()).map(|at| Some(SinkId(at as u16))).collect(),
            exchanges: exchanges.collect(),
            output_level: plan.levels(),
        }
    }

    /// The present number of a stored table. The outer `None` is for a number that none had.
    pub fn table(&self, stored: TableId) -> Option<Option<TableId>> {
        self.tables.get(usize::from(stored.0)).copied()
    }

    /// The present number of a stored source.
    pub fn source(&self, stored: SourceId) -> Option<SourceId> {
        self.sources.get(usize::from(stored.0)).copied().flatten()
    }

    /// The present number of a stored sink or reply. The outer `None` is for a number that none
    /// had.
    pub fn sink(&self, stored: SinkId) -> Option<Option<SinkId>> {
        self.sinks.get(usize::from(stored.0)).copied()
    }

    /// The present number of a stored exchange.
    pub fn exchange(&self, stored: ExchangeId) -> Option<ExchangeId> {
        self.exchanges.get(usize::from(stored.0)).and_then(|exchange| exchange.now)
    }

    /// The level that a stored exchange had.
    pub fn level(&self, stored: ExchangeId) -> Option<usize> {
        self.exchanges.get(usize::from(stored.0)).map(|exchange| usize::from(exchange.level))
    }

    /// The level that outputs had.
    pub fn output_level(&self) -> usize {
        self.output_level
    }
}
