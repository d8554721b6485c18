//! Facts: what an application says of itself in what it stores, by name and shape.
//!
//! Parts and manifests hold numbers of tables, sources, sinks and exchanges. The lists here say
//! what these numbers meant, so that a program that changed can use them:
//! [`ProgramChanges`](super::ProgramChanges) finds out what is still there.

use potoroo_sdk::host::{ExchangeShape, SinkId, SourceId, TableId};
use potoroo_sdk::plan::{Exchange, Plan, PlannedSink, PlannedSource, TablePlan};
use potoroo_sdk::table::TableShape;
use serde::{Deserialize, Serialize};

use super::hex;

/// What an application is, as far as what it stored depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Its name.
    pub application: String,
    /// Hash of its structure, as of [`Plan::fingerprint`](potoroo_sdk::plan::Plan::fingerprint).
    /// What the numbers of an [unnamed](Self::is_unnamed) writer mean depends on it.
    #[serde(with = "hex")]
    pub fingerprint: u64,
    /// Number of partitions of the keys.
    pub partitions: u32,
    /// Its tables, by [`TableId`](potoroo_sdk::host::TableId).
    pub tables: Vec<TableFacts>,
    /// Its sources, by [`SourceId`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceFacts>,
    /// Its sinks, by [`SinkId`](potoroo_sdk::host::SinkId).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<SinkFacts>,
    /// Its exchanges, by [`ExchangeId`](potoroo_sdk::host::ExchangeId).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exchanges: Vec<ExchangeFacts>,
    /// Numbers below this one stand, or stood, for sources in origins: a new source gets another.
    /// 0 for a program that never changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub origins: u16,
    /// What was dropped, by name, and what it does not have again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<(ChangeOf, String)>,
}

/// What a [`Change`](super::Change) is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeOf {
    /// A table.
    Table,
    /// A source.
    Source,
    /// A named sink.
    Sink,
    /// An exchange, by its label.
    Exchange,
}

/// A source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFacts {
    /// Its name.
    pub name: String,
    /// The type of its events.
    pub event: TypeFacts,
    /// What stands for it in the origins of its events, if that is not its number. Receivers and
    /// frames under way know its events by it, so a source keeps it as long as it keeps its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<u16>,
}

/// An earlier version gave numbers below this one by the order of the sources.
const OLD_ORIGINS: u16 = 256;

fn is_zero(number: &u16) -> bool {
    *number == 0
}

/// A sink or reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkFacts {
    /// Its name in reports, which no other has.
    pub name: String,
    /// Outputs go back to where their cause came from.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reply: bool,
}

/// A `key_by`. It has no name: it is known by what leads to it and by what its events reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExchangeFacts {
    /// For messages: `orders → key_by`.
    pub label: String,
    /// Its level.
    pub level: u8,
    /// The type of its events.
    pub event: TypeFacts,
    /// The type of its keys.
    pub key: TypeFacts,
    /// Names of the sources whose events reach it, sorted.
    pub sources: Vec<String>,
    /// Names of the tables that its stage updates, sorted.
    pub tables: Vec<String>,
    /// Names of all tables that its events reach, also past other exchanges, sorted.
    pub reached_tables: Vec<String>,
    /// Names of all sinks that its events reach, also past other exchanges, sorted.
    pub reached_sinks: Vec<String>,
}

/// A table and what its rows are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableFacts {
    /// Its name.
    pub name: String,
    /// The type of its keys.
    pub key: TypeFacts,
    /// The type of its states.
    pub state: TypeFacts,
    /// What kind of windows it holds, if it is of those. The shape of its states has it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<String>,
    /// Former shapes of its states that the application can read. Not stored.
    #[serde(skip)]
    pub older: Older,
}

/// Shapes that can be read besides. All are equal: facts do not differ by what a reader can read.
#[derive(Clone, Debug, Default)]
pub struct Older(pub Vec<u64>);

impl PartialEq for Older {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Older {}

/// A type and the hash of its shape: of the names and types of all its fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypeFacts {
    /// Its name, for messages.
    pub name: String,
    /// Hash of its shape.
    #[serde(with = "hex")]
    pub shape: u64,
}

/// What was stored is of no use to the application that requests it: one line per difference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{object} cannot be used by application `{application}`:{}\n\
     start the program that wrote it, or give another --state",
    .differences.iter().map(|line| format!("\n  - {line}")).collect::<String>()
)]
pub struct IdentityMismatch {
    /// The manifest or part.
    pub object: String,
    /// Who requests it.
    pub application: String,
    /// What differs: its name, what was and what is.
    pub differences: Vec<String>,
}

impl TypeFacts {
    fn new(name: &str, shape: u64) -> Self {
        Self { name: name.to_owned(), shape }
    }
}

impl Identity {
    /// The facts of an application whose keys are spread over `partitions`.
    pub fn of(plan: &Plan, partitions: u32) -> Self {
        Self {
            application: plan.name.clone(),
            fingerprint: plan.fingerprint,
            partitions,
            tables: plan.tables.iter().map(TableFacts::of).collect(),
            sources: plan.sources.iter().map(SourceFacts::of).collect(),
            sinks: plan.sinks.iter().map(SinkFacts::of).collect(),
            exchanges: plan.exchanges.iter().map(|one| ExchangeFacts::of(plan, one)).collect(),
            origins: 0,
            dropped: Vec::new(),
        }
    }

    /// The greatest number that stands for a source in origins: 1 more has 9 bits.
    pub const ORIGIN_MAX: u16 = 510;

    /// What stands for a source in the origins of its events.
    pub fn origin(&self, source: usize) -> u16 {
        let given = self.sources.get(source).and_then(|source| source.origin);
        given.unwrap_or(source as u16)
    }

    /// Has the sources of `stored` keep what stands for them in origins, and gives new ones numbers
    /// that none had: ids that a receiver has seen must not come again. If all numbers were given,
    /// or if it is `unknown` which ones the sources had, they may. `newest` is the writer of the
    /// newest checkpoint, if an older one was gone back to: numbers were given since.
    pub(super) fn keep_origins(&mut self, stored: &Self, unknown: bool, newest: Option<&Self>) {
        // An earlier version gave them by number, up to 255.
        let of_stored = if unknown { OLD_ORIGINS } else { stored.origins_given() };
        let mut next = newest.map_or(0, Self::origins_given).max(of_stored);
        let mut origins = Vec::<Option<u16>>::new();
        for source in &self.sources {
            origins.push(stored.origin_of(&source.name).filter(|_| !unknown));
        }
        for (at, source) in self.sources.iter().enumerate() {
            let was = newest.and_then(|newest| newest.origin_of(&source.name));
            let was = was.filter(|was| !origins.contains(&Some(*was)));
            origins[at] = origins[at].or(was);
        }
        for at in 0..origins.len() {
            if origins[at].is_none() {
                let free = |number: &u16| !origins.contains(&Some(*number));
                let new = (next..=Self::ORIGIN_MAX).chain(0..next).find(free);
                next = next.max(new.map_or(0, |new| new + 1));
                origins[at] = new;
            }
        }
        for ((source, origin), number) in self.sources.iter_mut().zip(origins).zip(0..) {
            source.origin = origin.filter(|origin| *origin != number);
        }
        self.origins = next;
    }

    fn origin_of(&self, source: &str) -> Option<u16> {
        let at = self.sources.iter().position(|was| was.name == source);
        at.map(|at| self.origin(at))
    }

    /// Numbers below this one stand, or stood, for sources in origins.
    fn origins_given(&self) -> u16 {
        let of_sources = (0..self.sources.len()).map(|at| self.origin(at) + 1).max();
        // Without names, an earlier version gave them.
        self.origins.max(of_sources.unwrap_or(OLD_ORIGINS))
    }

    /// Whether an earlier version wrote it, which knew tables by name only. (An application has a
    /// source.)
    pub fn is_unnamed(&self) -> bool {
        self.sources.is_empty()
    }

    /// The level of outputs, after those of all exchanges.
    pub(super) fn output_level(&self) -> usize {
        self.exchanges.iter().map(|exchange| usize::from(exchange.level) + 1).max().unwrap_or(0)
    }
}

impl TableFacts {
    fn of(table: &TablePlan) -> Self {
        let TableShape { key, key_shape, state, state_shape } = table.rows.shape();
        Self {
            name: table.name.clone(),
            key: TypeFacts::new(key, key_shape),
            state: TypeFacts::new(state, state_shape),
            windows: table.windows.clone(),
            older: Older(table.rows.older_shapes()),
        }
    }
}

impl SourceFacts {
    fn of(source: &PlannedSource) -> Self {
        let event = TypeFacts::new(source.event, source.stage.schema());
        Self { name: source.name.clone(), event, origin: None }
    }
}

impl SinkFacts {
    fn of(sink: &PlannedSink) -> Self {
        Self { name: sink.label().to_owned(), reply: sink.name.is_none() }
    }
}

impl ExchangeFacts {
    fn of(plan: &Plan, exchange: &Exchange) -> Self {
        let ExchangeShape { event, event_shape, key, key_shape } = exchange.stage.shape();
        let source = |id: &SourceId| plan.sources[usize::from(id.0)].name.clone();
        let table = |id: &TableId| plan.tables[usize::from(id.0)].name.clone();
        let sink = |id: &SinkId| plan.sinks[usize::from(id.0)].name.clone();
        let mut sources: Vec<String> = exchange.sources.iter().map(source).collect();
        let mut tables: Vec<String> = exchange.tables.iter().map(table).collect();
        let mut reached_tables: Vec<String> = exchange.reached_tables.iter().map(table).collect();
        // Replies have no name, and go to connections that end with the process.
        let mut reached_sinks: Vec<String> =
            exchange.reached_sinks.iter().filter_map(sink).collect();
        [&mut sources, &mut tables, &mut reached_tables, &mut reached_sinks]
            .into_iter()
            .for_each(|names| names.sort_unstable());
        Self {
            label: exchange.label.clone(),
            level: exchange.level,
            event: TypeFacts::new(event, event_shape),
            key: TypeFacts::new(key, key_shape),
            sources,
            tables,
            reached_tables,
            reached_sinks,
        }
    }
}

impl std::fmt::Display for TypeFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` (shape {:016x})", self.name, self.shape)
    }
}

#[cfg(test)]
pub(super) fn example() -> Identity {
    let of = |name: &str, shape| TypeFacts { name: name.into(), shape };
    let table = |name: &str, state: TypeFacts| TableFacts {
        name: name.into(),
        key: of("Symbol", 0x1111),
        state,
        windows: None,
        older: Older::default(),
    };
    Identity {
        application: "market-spread".into(),
        fingerprint: 0xfeed_0000_0000_beef,
        partitions: 1024,
        tables: vec![table("markets", of("Market", 0x2222)), table("counts", of("u64", 0x3333))],
        ..Identity::default()
    }
}
