//! Operators that keep rows of their own, in a description.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Draft, DraftOperator, DraftStep, DraftTimed, StepId, StepKind};
use crate::host::{FireStage, SourceId, TableId};

impl Draft {
    /// Makes a table the one of an operator.
    pub(crate) fn operator(&mut self, id: TableId, verb: &'static str, rule: String) {
        self.tables[usize::from(id.0)].operator = Some(DraftOperator { verb, rule });
    }

    /// Two streams meet in the table of an operator: the updates by them, and what comes out.
    pub(crate) fn meet(&mut self, id: TableId, streams: [StepId; 2]) -> ([StepId; 2], StepId) {
        let name = self.tables[usize::from(id.0)].name.clone();
        streams.iter().for_each(|stream| self.check_time(*stream, &name));
        let kind = StepKind::Update { table: id, emits: true };
        let updates = streams.map(|stream| self.step(kind, &[stream]));
        (updates, self.step(StepKind::Join(id), &updates))
    }

    /// The sources whose events reach `step`.
    pub(crate) fn sources_of(&self, step: StepId) -> Vec<SourceId> {
        let steps = self.steps.iter().enumerate();
        let reaching = |(index, of): (usize, &DraftStep)| match of.kind {
            StepKind::Source(id) => self.reach(StepId(index))[step.0].then_some(id),
            _ => None,
        };
        steps.filter_map(reaching).collect()
    }

    /// What is due in the table of an operator comes out of `step`, by the watermark of the update
    /// `due_by`, or of all.
    pub(crate) fn operator_is_due(
        &mut self,
        id: TableId,
        stage: Rc<dyn FireStage>,
        step: StepId,
        due_by: Option<StepId>,
    ) {
        let timed = DraftTimed { step: Some(step), due_by, ..DraftTimed::new(stage) };
        self.tables[usize::from(id.0)].timed = Some(timed);
    }

    /// An operator takes a stream of another application: a mistake.
    pub(crate) fn meet_foreign(&mut self, parent: StepId, verb: &str) {
        let before = self.describe(parent);
        self.mistake(format!(
            "`{before}` and a stream of another application meet in a `{verb}`: describe both in \
             one"
        ));
    }

    /// Notes that an interval cannot be used.
    pub(crate) fn wrong_interval(&mut self, name: &str) {
        self.mistake(format!(
            "the interval of `{name}` holds no moment, or one beyond 36 years: give the lower \
             bound of `Interval::new` first"
        ));
    }
}
