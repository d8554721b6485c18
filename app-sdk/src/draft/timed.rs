//! Timed tables in a description: what is due in them, and what has to be said of time.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;

use super::{Draft, DraftTimed, StepId, StepKind};
use crate::host::{Inflow, TableId};
use crate::mistake::Mistake;
use crate::table::TableRows;

impl Draft {
    /// Makes a table a timed one, which has `rows` from now on.
    pub(crate) fn time_table(&mut self, id: TableId, rows: Rc<dyn TableRows>, timed: DraftTimed) {
        let updated = self.updates(id).next().is_some();
        let table = &mut self.tables[usize::from(id.0)];
        let text = match (&table.timed, updated) {
            (Some(_), _) => Some("is made a timed table twice: make it once, and clone it"),
            (None, true) => {
                Some("gets timers, or expires, after its first update: say it where it is made")
            }
            (None, false) => None,
        };
        let text = text.map(|text| format!("`{}` {text}", table.name));
        (table.rows, table.timed) = (rows, Some(timed));
        text.into_iter().for_each(|text| self.mistake(text));
    }

    /// What makes a timed table one.
    pub(crate) fn timed(&mut self, id: TableId) -> &mut DraftTimed {
        let table = &mut self.tables[usize::from(id.0)];
        table.timed.as_mut().expect("a timed table was made one")
    }

    /// Notes that a duration cannot be used.
    pub(crate) fn wrong_duration(&mut self, id: TableId, what: &str) {
        let table = &self.tables[usize::from(id.0)].name;
        let text = format!("`{what}` of `{table}` needs a duration from 1 ns to 36 years");
        self.mistake(text);
    }

    /// Notes what speaks against an update of a timed table by the stream of `parent`.
    pub(crate) fn check_timed(&mut self, id: TableId, parent: StepId) {
        let Some(table) = self.tables.get(usize::from(id.0)) else { return };
        let (name, is_windows) = (table.name.clone(), table.is_windows());
        if table.timed.as_ref().is_some_and(|timed| timed.step.is_some()) {
            let text = match is_windows {
                true => "gets events after it is `closed`: describe everything that adds to it",
                false => "is updated after what takes its timers: describe the updates",
            };
            self.mistake(format!("`{name}` {text} first"));
        }
        self.check_time(parent, &name);
    }

    /// What takes the timers of a table.
    pub(crate) fn on_timer(&mut self, id: TableId) -> StepId {
        let name = self.tables[usize::from(id.0)].name.clone();
        let updates: Vec<StepId> = self.updates(id).collect();
        if updates.is_empty() {
            self.mistake(format!(
                "the timers of `{name}` are taken before anything sets them: describe the updates \
                 first"
            ));
        }
        if self.timed(id).step.is_some() {
            self.mistake(format!(
                "the timers of `{name}` are taken twice: take them once, and use that stream twice"
            ));
        }
        self.taken(id, &updates)
    }

    /// The step that takes what is due in a table, after these updates.
    pub(super) fn taken(&mut self, id: TableId, updates: &[StepId]) -> StepId {
        let step = self.step(StepKind::OnTimer(id), updates);
        self.timed(id).step = Some(step);
        step
    }

    /// Whether something becomes due in the rows of a table.
    pub(crate) fn is_timed(&self, id: TableId) -> bool {
        self.tables[usize::from(id.0)].timed.is_some()
    }

    /// Timers that nothing takes.
    pub(crate) fn timers_unused(&self) -> impl Iterator<Item = Mistake> {
        let tables = (0..).zip(&self.tables).filter(|(id, table)| {
            let unused = |timed: &DraftTimed| timed.has_timers && timed.step.is_none();
            table.timed.as_ref().is_some_and(unused) && self.updates(TableId(*id)).next().is_some()
        });
        tables.map(|(_, table)| {
            let name = &table.name;
            Mistake::new(match table.is_windows() {
                true => format!("nothing takes the windows of `{name}`: add `.closed(…)` to them"),
                false => format!(
                    "nothing takes the timers of `{name}`: add `.on_timer(…)` to the table, or \
                     leave `.timers()` out"
                ),
            })
        })
    }

    /// The updates of a table so far.
    pub(crate) fn updates(&self, id: TableId) -> impl Iterator<Item = StepId> {
        let is_update = move |kind| matches!(kind, StepKind::Update { table, .. } if table == id);
        let steps = self.steps.iter().enumerate();
        steps.filter(move |(_, step)| is_update(step.kind)).map(|(index, _)| StepId(index))
    }

    /// From where the events of a stream with a key come into its stage.
    pub(crate) fn inflow(&self, step: StepId) -> Inflow {
        let inflows = self.inflows(&[step]);
        *inflows.first().expect("a stream with a key has passed an exchange")
    }

    /// From where the events of `steps`, and what is said of their times, come without passing
    /// another exchange on the way.
    pub(crate) fn inflows(&self, steps: &[StepId]) -> Vec<Inflow> {
        let mut reaching: Vec<bool> = alloc::vec![false; self.steps.len()];
        steps.iter().for_each(|step| reaching[step.0] = true);
        let mut inflows = BTreeSet::new();
        for index in (0..self.steps.len()).rev() {
            if !reaching[index] {
                continue;
            }
            let step = &self.steps[index];
            match step.kind {
                StepKind::EventTime(id) => _ = inflows.insert(Inflow::Time(id)),
                StepKind::KeyBy(id) => _ = inflows.insert(Inflow::Exchange(id)),
                StepKind::OnTimer(id) | StepKind::Join(id) => _ = inflows.insert(Inflow::Due(id)),
                _ => step.parents.iter().for_each(|parent| reaching[parent.0] = true),
            }
        }
        inflows.into_iter().collect()
    }

    /// Whether what comes out of `step` may have been due instead of being caused by an event.
    pub(crate) fn is_due(&self, step: StepId) -> bool {
        let step = &self.steps[step.0];
        matches!(step.kind, StepKind::OnTimer(_))
            || step.parents.iter().any(|parent| self.is_due(*parent))
    }

    /// Notes when replies cannot find their way.
    pub(crate) fn check_reply(&mut self, parent: StepId) {
        if self.is_due(parent) {
            let before = self.describe(parent);
            self.mistake(format!(
                "`{before} → reply`: what was due was asked for by no connection: end in a sink"
            ));
        }
    }
}
