//! Windows in a description: what is said of them, and what takes them.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Draft, DraftTable, DraftTimed, StepId};
use crate::host::{FireStage, TableId};

impl DraftTimed {
    /// Of windows with this identity.
    pub(crate) fn of_windows(stage: Rc<dyn FireStage>, identity: String) -> Self {
        Self { has_timers: true, windows: Some(identity), ..Self::new(stage) }
    }
}

impl DraftTable {
    pub(super) fn is_windows(&self) -> bool {
        self.timed.as_ref().is_some_and(|timed| timed.windows.is_some())
    }

    /// What is done with it, in messages.
    pub(super) fn verb(&self) -> &'static str {
        match &self.operator {
            Some(operator) => operator.verb,
            None if self.is_windows() => "window",
            None => "update of",
        }
    }
}

impl Draft {
    /// Notes what cannot be meant by windows.
    pub(crate) fn wrong_windows(&mut self, text: String) {
        self.mistake(text);
    }

    /// What takes the windows that close.
    pub(crate) fn closed(&mut self, id: TableId) -> StepId {
        let name = self.tables[usize::from(id.0)].name.clone();
        let updates: Vec<StepId> = self.updates(id).collect();
        if updates.is_empty() {
            self.mistake(format!(
                "`{name}` is closed before anything adds to it: describe what adds to it first"
            ));
        }
        if self.timed(id).step.is_some() {
            self.mistake(format!(
                "`{name}` is closed twice: give the second use windows of its own, or use the \
                 stream of the first one twice"
            ));
        }
        self.taken(id, &updates)
    }

    /// All windows: their names, and what belongs to their identity.
    pub(crate) fn windows(&self) -> impl Iterator<Item = (&String, &String)> {
        self.tables.iter().filter_map(|table| {
            let identity = table.timed.as_ref()?.windows.as_ref()?;
            Some((&table.name, identity))
        })
    }
}
