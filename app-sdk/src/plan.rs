//! A planned application: checked, numbered, ready for a [host](crate::host).

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use xxhash_rust::xxh3::xxh3_64;

use crate::draft::{Draft, DraftExchange, DraftTable, DraftTime, StepId, StepKind};
use crate::host::{
    ExchangeStage, FireStage, Inflow, SinkId, SourceId, SourceStage, TableId, TimeId,
};
use crate::table::TableRows;
use crate::time::{Duration, Lateness};

pub use crate::mistake::{Mistake, Mistakes};

/// A source: a named edge through which events enter.
pub struct PlannedSource {
    /// Its name, to which deployment gives an address.
    pub name: String,
    /// Name of its event type.
    pub event: &'static str,
    /// Its entry.
    pub stage: Box<dyn SourceStage>,
    /// The `event_time`s through which its events may come.
    pub times: Vec<TimeId>,
    /// What stands for it in the origins of its events: at first its [`SourceId`]. A host that
    /// knows a former program by name may give it the number that the source had there.
    pub origin: u16,
}

/// One `key_by` and what happens after it.
pub struct Exchange {
    /// How many exchanges an event has passed before this one, at most. What this exchange causes
    /// has a greater level.
    pub level: u8,
    /// Its stage.
    pub stage: Rc<dyn ExchangeStage>,
    /// The table that is looked up first, if any: worth prefetching.
    pub table: Option<TableId>,
    /// The table whose update is an end of the application: nothing leaves this exchange.
    pub end: Option<TableId>,
    /// Its events go on with their times: something after it uses them.
    pub time: bool,
    /// The number of its watermark, if something after it uses that: numbers count from 0.
    pub watermark: Option<u16>,
    /// What says what its watermark is; none without one.
    pub inflows: Vec<Inflow>,
    /// The sources whose events reach it.
    pub sources: Vec<SourceId>,
    /// The tables that its stage updates.
    pub tables: Vec<TableId>,
    /// All tables that its events reach, also past other exchanges.
    pub reached_tables: Vec<TableId>,
    /// All sinks and replies that its events reach, also past other exchanges.
    pub reached_sinks: Vec<SinkId>,
    /// For messages: `orders → key_by`.
    pub label: String,
}

/// An `event_time` of the application.
pub struct PlannedTime {
    /// For messages: `trades → event_time`.
    pub label: String,
    /// What was said of it.
    pub lateness: Lateness,
}

/// A table in whose rows something becomes due.
pub struct PlannedDue {
    /// The table.
    pub table: TableId,
    /// What becomes due.
    pub stage: Rc<dyn FireStage>,
    /// The greatest level of the exchanges after which it is updated: what is due belongs to it.
    pub level: u8,
    /// What says what its watermark is.
    pub inflows: Vec<Inflow>,
    /// Those of them that say what is due: it is, by the least of what these say. All, unless the
    /// results wait for one of several streams alone.
    pub due_by: Vec<Inflow>,
    /// What comes out of it has a time up to this much before it is due.
    pub wait: Duration,
    /// The source that stands for all whose events reach it.
    pub source: SourceId,
}

/// A table of the application.
#[derive(Clone)]
pub struct TablePlan {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: Rc<dyn TableRows>,
    /// What kind of windows it holds, if it is of those: `tumbling 1s`.
    pub windows: Option<String>,
}

/// A sink: a named edge through which events leave; or a reply.
pub struct PlannedSink {
    /// Its name, to which deployment gives an address; `None` for a reply.
    pub name: Option<String>,
    /// Its name in reports, which no other has: a sink's own; `reply`, `reply 2` for replies.
    label: String,
}

impl TablePlan {
    fn of(table: DraftTable) -> Self {
        let windows = table.timed.and_then(|timed| timed.windows);
        Self { name: table.name, rows: table.rows, windows }
    }
}

impl PlannedSink {
    /// Its name in reports.
    pub fn label(&self) -> &str {
        &self.label
    }
}

/// The sinks with their labels, replies numbered in the order of the description.
fn labelled(names: Vec<Option<String>>) -> Vec<PlannedSink> {
    let taken = names.iter().flatten().any(|name| name == REPLY);
    let mut replies = 0;
    let sink = |name: Option<String>| {
        replies += usize::from(name.is_none());
        let label = match (&name, replies) {
            (Some(name), _) => name.clone(),
            (None, 1) if !taken => REPLY.to_string(),
            (None, number) => format!("{REPLY} {number}"),
        };
        PlannedSink { name, label }
    };
    names.into_iter().map(sink).collect()
}

/// What an only reply is called in reports.
pub(crate) const REPLY: &str = "reply";

/// Where a path through the application ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// In a sink or reply.
    Sink(SinkId),
    /// In a table whose update emits nothing.
    Table(TableId),
}

/// A way from a source to an end: what latency is reported for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// Where it begins.
    pub source: SourceId,
    /// Where it ends.
    pub end: End,
}

/// A planned application. It belongs to one thread: a host that uses several plans one for each.
pub struct Plan {
    /// The application's name.
    pub name: String,
    /// Its sources, by [`SourceId`].
    pub sources: Vec<PlannedSource>,
    /// Its exchanges, by [`ExchangeId`](crate::host::ExchangeId).
    pub exchanges: Vec<Exchange>,
    /// Its `event_time`s, by [`TimeId`].
    pub times: Vec<PlannedTime>,
    /// Its tables, by [`TableId`].
    pub tables: Vec<TablePlan>,
    /// Those in whose rows something becomes due, after those from which they are updated.
    pub dues: Vec<PlannedDue>,
    /// Its sinks, by [`SinkId`].
    pub sinks: Vec<PlannedSink>,
    /// All ways through it.
    pub paths: Vec<Path>,
    /// Hash of its structure: equal for plans of one application.
    pub fingerprint: u64,
    /// Names of its generators.
    pub generators: Vec<String>,
}

impl Plan {
    /// How many exchange levels it has.
    pub fn levels(&self) -> usize {
        self.exchanges.iter().map(|exchange| exchange.level as usize + 1).max().unwrap_or(0)
    }

    /// By the number of a watermark: the level of its exchange.
    pub fn watermark_levels(&self) -> Vec<usize> {
        let with = self.exchanges.iter().filter(|exchange| exchange.watermark.is_some());
        with.map(|exchange| usize::from(exchange.level)).collect()
    }

    /// The path's name in reports: `orders → rejections`.
    pub fn path_label(&self, path: Path) -> String {
        let source = &self.sources[path.source.0 as usize].name;
        match path.end {
            End::Sink(id) => format!("{source} → {}", self.sinks[id.0 as usize].label()),
            End::Table(id) => format!("{source} → {} (table)", self.tables[id.0 as usize].name),
        }
    }

    pub(crate) fn new(draft: Draft, generators: Vec<String>) -> Result<Self, Mistakes> {
        let mut list = draft.mistakes.clone();
        list.extend(unused(&draft));
        list.extend(draft.timers_unused());
        if draft.sources.is_empty() {
            list.push(Mistake::new("it has no source: add `app.source(name, codec)`".to_string()));
        }
        list.extend(too_deep(&draft));
        let paths = paths(&draft);
        list.extend(too_many(&draft, &paths));
        if !list.is_empty() {
            return Err(Mistakes::new(draft.name, list));
        }
        draft.consumers.iter().for_each(|(step, consumers)| consumers.join(!draft.batches(*step)));
        let fingerprint = fingerprint(&draft);
        let exchanges = exchange_facts(&draft);
        let dues = planned_dues(&draft);
        let reached = times_of_sources(&draft);
        let time =
            |of: &DraftTime| PlannedTime { label: draft.describe(of.step), lateness: of.lateness };
        let times = draft.times.iter().map(time).collect();
        let exchanges = planned_exchanges(draft.exchanges, exchanges);
        let sources = draft.sources.into_iter();
        Ok(Self {
            name: draft.name,
            sources: sources
                .zip(0..)
                .zip(reached)
                .map(|((source, origin), times)| PlannedSource {
                    name: source.name,
                    times,
                    event: source.event,
                    origin,
                    stage: source.stage.expect("a source is described with its stage"),
                })
                .collect(),
            exchanges,
            times,
            tables: draft.tables.into_iter().map(TablePlan::of).collect(),
            dues,
            sinks: labelled(draft.sinks.into_iter().map(|sink| sink.name).collect()),
            paths,
            fingerprint,
            generators,
        })
    }
}

/// Most `key_by`s that an event may pass: hosts have one bit for each level in a 64-bit word,
/// and use the others for levels of their own.
pub const LEVELS_MAX: usize = 60;

/// Events that pass more exchanges than any host has levels for.
fn too_deep(draft: &Draft) -> Option<Mistake> {
    let passed = draft.steps.iter().map(|step| usize::from(step.level)).max()?;
    (passed > LEVELS_MAX).then(|| {
        Mistake::new(format!(
            "an event passes more than {LEVELS_MAX} `key_by`s one after the other: \
             remove those that keep the key"
        ))
    })
}

/// Exchanges, tables and paths are numbered in 16 bits, and hosts need a number for none.
const NUMBERED_MAX: usize = u16::MAX as usize - 1;

/// More parts than there are numbers. (Each sink ends a path.)
fn too_many(draft: &Draft, paths: &[Path]) -> impl Iterator<Item = Mistake> {
    let counts = [
        (draft.exchanges.len(), "`key_by`s"),
        (draft.times.len(), "`event_time`s"),
        (draft.tables.len(), "tables"),
        (paths.len(), "ways from a source to a sink or table"),
    ];
    counts.into_iter().filter(|(count, _)| *count > NUMBERED_MAX).map(|(count, what)| {
        Mistake::new(format!(
            "it has {count} {what}, and at most {NUMBERED_MAX} can be numbered: \
             make several applications of it"
        ))
    })
}

/// Streams whose events go nowhere.
fn unused(draft: &Draft) -> Vec<Mistake> {
    let steps = draft.steps.iter().enumerate().filter(|(_, step)| !step.consumed);
    steps
        .filter_map(|(index, step)| {
            let what = draft.describe(StepId(index));
            let remedy = match step.kind {
                StepKind::Sink(_) | StepKind::Update { emits: false, .. } => return None,
                StepKind::Update { .. } => {
                    "add `.sink(name, codec)`, or let the handler return `()`"
                }
                StepKind::KeyBy(_) => "add `.update(&table, …)` or a sink, or remove the `key_by`",
                StepKind::Split(_) | StepKind::Route(_) | StepKind::SplitLate(_) => {
                    "add a sink or another operator, or say `filter` to drop events"
                }
                _ => "add a sink or another operator, or remove it",
            };
            Some(Mistake::new(format!("the events of `{what}` go nowhere: {remedy}")))
        })
        .collect()
}

fn planned_exchanges(exchanges: Vec<DraftExchange>, facts: Vec<ExchangeFacts>) -> Vec<Exchange> {
    let planned = |(exchange, facts): (DraftExchange, ExchangeFacts)| Exchange {
        level: facts.level,
        stage: exchange.stage.expect("key_by sets the stage"),
        table: facts.table,
        end: facts.end,
        time: facts.time,
        watermark: facts.watermark,
        inflows: facts.inflows,
        sources: facts.sources,
        tables: facts.tables,
        reached_tables: facts.reached_tables,
        reached_sinks: facts.reached_sinks,
        label: facts.label,
    };
    exchanges.into_iter().zip(facts).map(planned).collect()
}

struct ExchangeFacts {
    level: u8,
    table: Option<TableId>,
    end: Option<TableId>,
    time: bool,
    watermark: Option<u16>,
    inflows: Vec<Inflow>,
    sources: Vec<SourceId>,
    tables: Vec<TableId>,
    reached_tables: Vec<TableId>,
    reached_sinks: Vec<SinkId>,
    label: String,
}

fn exchange_facts(draft: &Draft) -> Vec<ExchangeFacts> {
    let reached = reached_by_sources(draft);
    let mut watermarks = 0..;
    let facts = |exchange: &DraftExchange| {
        let inside = draft.reach_in_stage(exchange.step);
        let steps = draft.steps.iter().zip(&inside).filter(|(_, inside)| **inside);
        let inside: Vec<StepKind> = steps.map(|(step, _)| step.kind).collect();
        let table = inside.iter().find_map(updated);
        let past = draft.reach(exchange.step);
        let steps = draft.steps.iter().zip(&past).filter(|(_, past)| **past);
        let past: Vec<StepKind> = steps.map(|(step, _)| step.kind).collect();
        let sink = |kind: &StepKind| match kind {
            StepKind::Sink(id) => Some(*id),
            _ => None,
        };
        let (reaching, step) = (reached.iter(), exchange.step.0);
        let timed = past.iter().filter_map(updated).any(|table| draft.is_timed(table));
        let watermark = if timed { watermarks.next() } else { None };
        let parents = &draft.steps[exchange.step.0].parents;
        ExchangeFacts {
            level: draft.steps[exchange.step.0].level - 1,
            table,
            time: timed || past.iter().any(|kind| matches!(kind, StepKind::SplitLate(_))),
            watermark,
            inflows: if timed { draft.inflows(parents) } else { Vec::new() },
            sources: reaching.filter(|(_, reached)| reached[step]).map(|(id, _)| *id).collect(),
            tables: once(inside.iter().filter_map(updated)),
            reached_tables: once(past.iter().filter_map(updated)),
            reached_sinks: once(past.iter().filter_map(sink)),
            end: inside.iter().find_map(|kind| match kind {
                StepKind::Update { table, emits: false } => Some(*table),
                _ => None,
            }),
            label: draft.describe(exchange.step),
        }
    };
    draft.exchanges.iter().map(facts).collect()
}

/// Tables in whose rows something becomes due, in the order of the description: one that is updated
/// from another comes after it.
fn planned_dues(draft: &Draft) -> Vec<PlannedDue> {
    let reached = reached_by_sources(draft);
    let due = |(id, table): (u16, &DraftTable)| {
        let (id, timed) = (TableId(id), table.timed.as_ref()?);
        let updates: Vec<StepId> = draft.updates(id).collect();
        let last = updates.last()?;
        let level = updates.iter().map(|update| draft.steps[update.0].level).max()?;
        let source = reached.iter().find(|(_, reached)| updates.iter().any(|it| reached[it.0]))?;
        let due = PlannedDue {
            table: id,
            stage: timed.stage.clone(),
            level: level - 1,
            inflows: draft.inflows(&updates),
            due_by: match timed.due_by {
                Some(update) => draft.inflows(&[update]),
                None => draft.inflows(&updates),
            },
            wait: timed.wait,
            source: source.0,
        };
        Some((timed.step.unwrap_or(*last), due))
    };
    let mut dues: Vec<(StepId, PlannedDue)> = (0..).zip(&draft.tables).filter_map(due).collect();
    dues.sort_by_key(|(step, _)| *step);
    dues.into_iter().map(|(_, due)| due).collect()
}

fn updated(kind: &StepKind) -> Option<TableId> {
    match kind {
        StepKind::Update { table, .. } => Some(*table),
        _ => None,
    }
}

/// In order, each once.
fn once<T: Ord>(ids: impl Iterator<Item = T>) -> Vec<T> {
    ids.collect::<BTreeSet<T>>().into_iter().collect()
}

/// The steps that the events of each source reach.
fn reached_by_sources(draft: &Draft) -> Vec<(SourceId, Vec<bool>)> {
    let sources = draft.steps.iter().enumerate().filter_map(|(index, step)| match step.kind {
        StepKind::Source(id) => Some((id, draft.reach(StepId(index)))),
        _ => None,
    });
    sources.collect()
}

/// By source: the `event_time`s through which its events may come.
fn times_of_sources(draft: &Draft) -> Vec<Vec<TimeId>> {
    let of = |(_, reached): (SourceId, Vec<bool>)| {
        let reached = |(id, time): (u16, &DraftTime)| reached[time.step.0].then_some(TimeId(id));
        (0..).zip(&draft.times).filter_map(reached).collect()
    };
    // Sources are numbered in the order of their steps.
    reached_by_sources(draft).into_iter().map(of).collect()
}

fn paths(draft: &Draft) -> Vec<Path> {
    let mut paths = Vec::new();
    for (index, step) in draft.steps.iter().enumerate() {
        let StepKind::Source(source) = step.kind else { continue };
        let reached = draft.reach(StepId(index));
        for (step, _) in draft.steps.iter().zip(&reached).filter(|(_, reached)| **reached) {
            let end = match step.kind {
                StepKind::Sink(id) => End::Sink(id),
                StepKind::Update { table, emits: false } => End::Table(table),
                _ => continue,
            };
            paths.push(Path { source, end });
        }
    }
    paths.sort_unstable();
    paths.dedup();
    paths
}

fn fingerprint(draft: &Draft) -> u64 {
    let mut text = draft.name.clone();
    for (index, step) in draft.steps.iter().enumerate() {
        text.push_str(&format!("\n{} {:?}", draft.describe(StepId(index)), step.kind));
    }
    for (name, identity) in draft.windows() {
        text.push_str(&format!("\n{name} {identity}"));
    }
    for operator in draft.tables.iter().filter_map(|table| table.operator.as_ref()) {
        text.push_str(&format!("\n{} {}", operator.verb, operator.rule));
    }
    for source in &draft.sources {
        text.push_str(&format!(
            "\n{} {:x}",
            source.event,
            source.stage.as_ref().map_or(0, |stage| stage.schema())
        ));
    }
    xxh3_64(text.as_bytes())
}
