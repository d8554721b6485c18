//! The description of an application while it is being written: a graph of steps.
//!
//! Steps only ever refer to earlier steps, so a loop cannot be described at all.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::consumers::Join;
use crate::host::{
    ExchangeId, ExchangeStage, FireStage, SinkId, SourceId, SourceStage, TableId, TimeId,
};
use crate::mistake::Mistake;
use crate::table::{TableRef, TableRows};
use crate::time::{Duration, Lateness};

mod operators;
mod timed;
mod windows;

/// A step's index in [`Draft::steps`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepId(pub(crate) usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepKind {
    Source(SourceId),
    Map,
    Filter,
    FlatMap,
    /// One of the two streams of a `split`.
    Split(u8),
    /// One of the streams of a `route`.
    Route(u8),
    EventTime(TimeId),
    /// One of the two streams of a `split_late`.
    SplitLate(u8),
    Merge,
    Unkeyed,
    KeyBy(ExchangeId),
    Update {
        table: TableId,
        emits: bool,
    },
    /// What is due in a table.
    OnTimer(TableId),
    /// What comes too late for windows.
    LateFor,
    /// What comes out of a table that two streams meet in.
    Join(TableId),
    Sink(SinkId),
}

pub(crate) struct DraftStep {
    pub(crate) kind: StepKind,
    pub(crate) parents: Vec<StepId>,
    pub(crate) consumed: bool,
    /// How many exchanges an event has passed at most when it comes out of this step.
    pub(crate) level: u8,
}

pub(crate) struct DraftSource {
    pub(crate) name: String,
    pub(crate) stage: Option<Box<dyn SourceStage>>,
    pub(crate) event: &'static str,
}

pub(crate) struct DraftExchange {
    pub(crate) step: StepId,
    pub(crate) name: Option<String>,
    pub(crate) stage: Option<Rc<dyn ExchangeStage>>,
}

pub(crate) struct DraftTime {
    pub(crate) step: StepId,
    pub(crate) lateness: Lateness,
}

pub(crate) struct DraftTable {
    pub(crate) name: String,
    pub(crate) rows: Rc<dyn TableRows>,
    pub(crate) timed: Option<DraftTimed>,
    /// What keeps its rows here; `None` for a table that the application updates.
    pub(crate) operator: Option<DraftOperator>,
}

/// An operator that keeps rows of its own.
pub(crate) struct DraftOperator {
    /// Its name: `first`.
    pub(crate) verb: &'static str,
    /// What it was given besides streams: rows are of use as long as that is the same.
    pub(crate) rule: String,
}

/// What makes a table a timed one.
pub(crate) struct DraftTimed {
    pub(crate) stage: Rc<dyn FireStage>,
    /// What takes what is due, if anything does.
    pub(crate) step: Option<StepId>,
    /// Something has to take it.
    pub(crate) has_timers: bool,
    /// The update by whose watermark it is due; by those of all for `None`.
    pub(crate) due_by: Option<StepId>,
    /// What comes out of it has a time up to this much before it is due.
    pub(crate) wait: Duration,
    /// What belongs to the identity of windows, if it is of those.
    pub(crate) windows: Option<String>,
}

impl DraftTimed {
    pub(crate) fn new(stage: Rc<dyn FireStage>) -> Self {
        let (due_by, wait, windows) = (None, Duration::ZERO, None);
        Self { stage, step: None, has_timers: false, due_by, wait, windows }
    }
}

pub(crate) struct DraftSink {
    /// `None` for a reply.
    pub(crate) name: Option<String>,
}

/// See the module.
pub struct Draft {
    pub(crate) name: String,
    pub(crate) steps: Vec<DraftStep>,
    pub(crate) sources: Vec<DraftSource>,
    pub(crate) exchanges: Vec<DraftExchange>,
    pub(crate) times: Vec<DraftTime>,
    pub(crate) tables: Vec<DraftTable>,
    pub(crate) sinks: Vec<DraftSink>,
    pub(crate) mistakes: Vec<Mistake>,
    /// The consumers of all streams, with the steps that they come out of.
    pub(crate) consumers: Vec<(StepId, Rc<dyn Join>)>,
}

/// What is known of the time of the events of a step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum StepTime {
    None,
    Known,
    /// This merge is the first of events with a time and events without.
    Mixed(StepId),
}

/// Where two ways through an application can meet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum MeetingPoint {
    Table(TableId),
    /// All replies to one input leave on one connection.
    Replies,
    Step(usize),
}

/// With more consumers of one stream nothing is looked at: the time for it is quadratic.
const CONSUMERS_MAX: usize = 16;

/// Sources are numbered in one byte of the frame.
const SOURCES_MAX: usize = 255;

impl Draft {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_string(),
            steps: Vec::new(),
            sources: Vec::new(),
            exchanges: Vec::new(),
            times: Vec::new(),
            tables: Vec::new(),
            sinks: Vec::new(),
            mistakes: Vec::new(),
            consumers: Vec::new(),
        }
    }

    fn mistake(&mut self, text: String) {
        self.mistakes.push(Mistake::new(text));
    }

    pub(crate) fn step(&mut self, kind: StepKind, parents: &[StepId]) -> StepId {
        // A timer takes nothing of what an update emits.
        let consumes = !matches!(kind, StepKind::OnTimer(_));
        for parent in parents {
            self.steps[parent.0].consumed |= consumes;
        }
        let passed = parents.iter().map(|parent| self.steps[parent.0].level).max().unwrap_or(0);
        let level = passed.saturating_add(u8::from(matches!(kind, StepKind::KeyBy(_))));
        self.steps.push(DraftStep { kind, parents: parents.to_vec(), consumed: false, level });
        StepId(self.steps.len() - 1)
    }

    pub(crate) fn source(&mut self, name: &str, event: &'static str) -> StepId {
        let id = SourceId(self.sources.len().min(SOURCES_MAX) as u8);
        if self.sources.len() == SOURCES_MAX {
            self.mistake(format!("source `{name}` is one too many: {SOURCES_MAX} are possible"));
        }
        if self.sources.iter().any(|source| source.name == name) {
            self.mistake(format!(
                "two sources are named `{name}`: name them differently, \
                 or use the stream of the first one twice"
            ));
        }
        self.check_name("source", name);
        self.sources.push(DraftSource { name: name.to_string(), stage: None, event });
        self.step(StepKind::Source(id), &[])
    }

    /// Gives the source described last its stage.
    pub(crate) fn source_stage(&mut self, stage: Box<dyn SourceStage>) {
        self.sources.last_mut().expect("a source was described").stage = Some(stage);
    }

    /// Events get their time.
    pub(crate) fn event_time(&mut self, parent: StepId, lateness: Lateness) -> (StepId, TimeId) {
        let id = TimeId(self.times.len() as u16);
        let step = self.step(StepKind::EventTime(id), &[parent]);
        let label = self.describe(step);
        if self.steps[step.0].level > 0 {
            let before = self.describe(parent);
            self.mistake(format!(
                "`{before}` gets its time after a `key_by`: say it before the first one"
            ));
        }
        if self.times.iter().any(|time| self.reach(time.step)[step.0]) {
            self.mistake(format!("`{label}` has two times: keep one"));
        }
        if !lateness.is_sound() {
            self.mistake(format!(
                "`{label}` needs durations of at most 36 years in `within(…)` and `jump_max(…)`, \
                 and from 1 ns to 36 years in `idle_after(…)`, `runs_on_after(…)` and \
                 `ahead_max(…)`"
            ));
        }
        self.times.push(DraftTime { step, lateness });
        (step, id)
    }

    /// Notes when the events of `step` have no time, which `what` needs.
    pub(crate) fn check_time(&mut self, step: StepId, what: &str) {
        let text = match self.time_of(step) {
            StepTime::Known => return,
            StepTime::None => format!(
                "`{what}` needs the time of `{}`: say `.event_time(|event| …, within(…))` before \
                 the first `key_by`",
                self.describe(step)
            ),
            StepTime::Mixed(merge) => {
                let [first, second] = self.steps[merge.0].parents[..] else {
                    unreachable!("only a merge has two parents");
                };
                let first_has = matches!(self.time_of(first), StepTime::Known);
                format!(
                    "`{}` is merged with `{}`, and only the {} has a time, which `{what}` needs: \
                     say `.event_time(|event| …, within(…))` for both",
                    self.describe(first),
                    self.describe(second),
                    if first_has { "first" } else { "second" }
                )
            }
        };
        self.mistake(text);
    }

    /// What is known of the time of the events of `step`.
    fn time_of(&self, step: StepId) -> StepTime {
        let mut times = Vec::with_capacity(step.0 + 1);
        for (index, step) in self.steps[..=step.0].iter().enumerate() {
            let mut parents = step.parents.iter().map(|parent| times[parent.0]);
            times.push(match (step.kind, parents.next(), parents.next()) {
                (StepKind::EventTime(_) | StepKind::OnTimer(_) | StepKind::Join(_), ..) => {
                    StepTime::Known
                }
                (_, None, _) => StepTime::None,
                (_, Some(one), None) => one,
                (_, Some(one), Some(other)) if one == other => one,
                (_, Some(mixed @ StepTime::Mixed(_)), _) => mixed,
                (_, _, Some(mixed @ StepTime::Mixed(_))) => mixed,
                _ => StepTime::Mixed(StepId(index)),
            });
        }
        times[step.0]
    }

    pub(crate) fn exchange(&mut self, parent: StepId) -> (StepId, ExchangeId) {
        let id = ExchangeId(self.exchanges.len() as u16);
        let step = self.step(StepKind::KeyBy(id), &[parent]);
        self.exchanges.push(DraftExchange { step, name: None, stage: None });
        (step, id)
    }

    /// Names the exchange after which the events of `step`, which have a key, are.
    pub(crate) fn name_exchange(&mut self, mut step: StepId, name: &str) {
        let id = loop {
            match self.steps[step.0].kind {
                StepKind::KeyBy(id) => break usize::from(id.0),
                _ => step = self.steps[step.0].parents[0],
            }
        };
        self.check_name("key_by", name);
        if let Some(before) = &self.exchanges[id].name {
            let text = format!("a key_by is named `{before}` and `{name}`: give it one name");
            self.mistake(text);
        }
        if self.exchanges.iter().any(|exchange| exchange.name.as_deref() == Some(name)) {
            self.mistake(format!("two key_by are named `{name}`: name them differently"));
        }
        self.exchanges[id].name = Some(name.to_string());
    }

    pub(crate) fn exchange_stage(&mut self, id: ExchangeId, stage: Rc<dyn ExchangeStage>) {
        self.exchanges[id.0 as usize].stage = Some(stage);
    }

    pub(crate) fn table(&mut self, name: &str, rows: Rc<dyn TableRows>) -> TableId {
        if self.tables.iter().any(|table| table.name == name) {
            self.mistake(format!(
                "two tables are named `{name}`: name them differently, or pass the first table \
                 to both updates"
            ));
        }
        self.check_name("table", name);
        let name = name.to_string();
        self.tables.push(DraftTable { name, rows, timed: None, operator: None });
        TableId((self.tables.len() - 1) as u16)
    }

    /// Notes when `table` was made by another application.
    pub(crate) fn check_table<K, S>(&mut self, table: &TableRef<K, S>, parent: StepId) {
        let rows = Rc::as_ptr(&table.rows).cast::<()>();
        let known = self.tables.get(table.id.0 as usize);
        if known.is_none_or(|known| Rc::as_ptr(&known.rows).cast::<()>() != rows) {
            let before = self.describe(parent);
            self.mistake(format!(
                "`{before}` updates a table of another application: make one here with \
                 `app.table(name)`"
            ));
        }
    }

    /// A merge of `parent` with a stream of another application: a mistake.
    pub(crate) fn merge_foreign(&mut self, parent: StepId) -> StepId {
        let before = self.describe(parent);
        self.mistake(format!(
            "`{before}` is merged with a stream of another application: describe both in one"
        ));
        self.step(StepKind::Merge, &[parent])
    }

    pub(crate) fn sink(&mut self, name: Option<&str>, parent: StepId) -> SinkId {
        if let Some(name) = name {
            if self.sinks.iter().any(|sink| sink.name.as_deref() == Some(name)) {
                self.mistake(format!(
                    "two streams end in the sink `{name}`: merge the streams before the sink, \
                     or name the sinks differently"
                ));
            }
            self.check_name("sink", name);
        }
        if name.is_none() {
            self.check_reply(parent);
        }
        let id = SinkId(self.sinks.len() as u16);
        self.sinks.push(DraftSink { name: name.map(ToString::to_string) });
        self.step(StepKind::Sink(id), &[parent]);
        id
    }

    /// Names are used on command lines, in file names and as metric labels.
    fn check_name(&mut self, what: &str, name: &str) {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
        if name.is_empty() || !name.chars().all(fits) {
            self.mistake(format!(
                "the {what} name `{name}` cannot be used on a command line: \
                 use letters, digits, `-`, `_` and `.`"
            ));
        }
    }

    /// The steps that `step` feeds, directly or not, itself included.
    pub(crate) fn reach(&self, step: StepId) -> Vec<bool> {
        let mut reached = alloc::vec![false; self.steps.len()];
        reached[step.0] = true;
        for (index, next) in self.steps.iter().enumerate() {
            reached[index] |= next.parents.iter().any(|parent| reached[parent.0]);
        }
        reached
    }

    /// The steps that `step` feeds within its own stage, itself included: not past an exchange.
    pub(crate) fn reach_in_stage(&self, step: StepId) -> Vec<bool> {
        let mut reached = alloc::vec![false; self.steps.len()];
        reached[step.0] = true;
        for (index, next) in self.steps.iter().enumerate() {
            let inside = !matches!(next.kind, StepKind::KeyBy(_));
            reached[index] |= inside && next.parents.iter().any(|parent| reached[parent.0]);
        }
        reached
    }

    /// Whether the results are the same when the consumers of the stream of `step`, and theirs,
    /// take a whole batch before the next: no two ways from it lead to one table, one merge, or
    /// the connection that waits for replies.
    pub(crate) fn batches(&self, step: StepId) -> bool {
        let mut updated = BTreeSet::new();
        let reached = self.reach(step);
        let points = (0..self.steps.len()).filter(|step| reached[*step]);
        let points = points.map(|step| self.meeting_point(step));
        let mut tables = points.filter(|point| matches!(point, MeetingPoint::Table(_)));
        let inside = self.reach_in_stage(step);
        tables.all(|table| updated.insert(table))
            && (0..self.steps.len()).filter(|step| inside[*step]).all(|step| self.ways_part(step))
    }

    /// Whether the ways through the consumers of `step` never meet.
    fn ways_part(&self, step: usize) -> bool {
        let parents = self.steps.iter().enumerate().flat_map(|(consumer, next)| {
            next.parents.iter().map(move |parent| (parent.0, consumer))
        });
        let consumers: Vec<usize> =
            parents.filter(|(parent, _)| *parent == step).map(|(_, consumer)| consumer).collect();
        if consumers.len() > CONSUMERS_MAX {
            return false;
        }
        let mut taken = BTreeSet::new();
        consumers.len() < 2
            || consumers.into_iter().all(|consumer| {
                let reached = self.reach(StepId(consumer));
                let steps = (0..self.steps.len()).filter(|step| reached[*step]);
                let points: BTreeSet<MeetingPoint> =
                    steps.map(|step| self.meeting_point(step)).collect();
                points.into_iter().all(|point| taken.insert(point))
            })
    }

    /// Where a way through `step` can meet another.
    fn meeting_point(&self, step: usize) -> MeetingPoint {
        match self.steps[step].kind {
            StepKind::Update { table, .. } => MeetingPoint::Table(table),
            StepKind::Sink(id) if self.sinks[id.0 as usize].name.is_none() => MeetingPoint::Replies,
            _ => MeetingPoint::Step(step),
        }
    }

    /// The path from the source to a step, for messages: `orders → key_by → update`.
    pub(crate) fn describe(&self, step: StepId) -> String {
        let this = &self.steps[step.0];
        let word = match this.kind {
            StepKind::Source(id) => return self.sources[id.0 as usize].name.clone(),
            StepKind::Map => "map".to_string(),
            StepKind::Filter => "filter".to_string(),
            StepKind::FlatMap => "flat_map".to_string(),
            StepKind::Split(branch) => format!("split[{branch}]"),
            StepKind::Route(branch) => format!("route[{branch}]"),
            StepKind::EventTime(_) => "event_time".to_string(),
            StepKind::SplitLate(branch) => format!("split_late[{branch}]"),
            StepKind::Merge => "merge".to_string(),
            StepKind::Unkeyed | StepKind::Join(_) => return self.describe(this.parents[0]),
            StepKind::KeyBy(id) => match &self.exchanges[usize::from(id.0)].name {
                Some(name) => format!("key_by `{name}`"),
                None => "key_by".to_string(),
            },
            StepKind::LateFor => "late".to_string(),
            StepKind::Update { table, .. } => {
                let known = self.tables.get(table.0 as usize);
                let verb = known.map_or("update of", DraftTable::verb);
                format!("{verb} `{}`", known.map_or("?", |table| &table.name))
            }
            StepKind::OnTimer(table) => {
                let table = &self.tables[usize::from(table.0)];
                let word = if table.is_windows() { "closed" } else { "on_timer" };
                let text = format!("{word} of `{}`", table.name);
                if this.parents.is_empty() {
                    return text;
                }
                text
            }
            StepKind::Sink(id) => match &self.sinks[id.0 as usize].name {
                Some(name) => format!("sink `{name}`"),
                None => "reply".to_string(),
            },
        };
        format!("{} → {word}", self.describe(this.parents[0]))
    }
}
