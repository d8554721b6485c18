//! Carries out what a plan can do at once, and takes it back.
//!
//! Owns all writing to a host. Promises: the state before is on the disk before the first change,
//! so [`revert`] restores it whatever happened in between; every value is read back; a second
//! `apply` never overwrites the recorded state of the first. Must never change what is not a step.
//!
//! ```text
//!   apply    lock ─ record all steps (write, sync, rename, sync) ─ step 1 ─ step 2 ─ …
//!   revert   lock ─ read the record ─ … ─ step 2 ─ step 1 ─ remove the record
//! ```
//!
//! The kernel forgets the changes when it starts anew, and so does this module: a record of
//! another start is void.

mod record;
mod step;

use std::io;

pub use record::Error;
pub use step::{Step, StepOutcome};

use crate::plan::TuningPlan;
use crate::root::Root;
use record::{UndoFolder, UndoRecord};

/// A point of the way at which the power may fail, reported to the watcher.
#[derive(Debug)]
pub enum Moment<'a> {
    /// The state before is about to be recorded.
    Recording,
    /// The state before is on the disk; nothing was changed yet.
    Recorded,
    /// A step is about to be taken.
    Before(&'a Step),
    /// It was taken, or refused.
    After(&'a Step, &'a StepOutcome),
    /// All is restored; the record is about to be removed.
    Removing,
}

/// Called at every moment. An error ends the work on the spot, as a crash would.
pub type Watcher<'a> = &'a mut dyn FnMut(Moment<'_>) -> io::Result<()>;

/// What `apply` would do: the steps of the plan that differ from the present state.
pub fn steps(root: &Root, plan: &TuningPlan) -> Vec<Step> {
    plan.now.iter().filter_map(|remedy| Step::new(root, remedy)).collect()
}

/// Takes the steps, and returns what became of each.
///
/// # Errors
/// Settings are applied already, the state cannot be recorded, or the watcher ended it. Steps that
/// the kernel refuses are outcomes.
pub fn apply(
    root: &Root,
    steps: Vec<Step>,
    watcher: Watcher<'_>,
) -> Result<Vec<(Step, StepOutcome)>, Error> {
    let store = UndoFolder::lock(root)?;
    if let Some(record) = store.read()?.filter(|record| record.is_of_this_start(root)) {
        return Err(Error::Applied { steps: record.steps.len() });
    }
    watcher(Moment::Recording)?;
    store.write(&UndoRecord::new(root, steps.clone()))?;
    watcher(Moment::Recorded)?;
    let mut outcomes = Vec::new();
    for step in steps {
        watcher(Moment::Before(&step))?;
        let outcome = step.take(root);
        watcher(Moment::After(&step, &outcome))?;
        outcomes.push((step, outcome));
    }
    Ok(outcomes)
}

/// Restores the recorded state, in reverse order; returns what became of each step, and an empty
/// list when there is nothing to restore. What cannot be restored stays recorded.
///
/// # Errors
/// The record cannot be read or removed, or the watcher ended it.
pub fn revert(root: &Root, watcher: Watcher<'_>) -> Result<Vec<(Step, StepOutcome)>, Error> {
    let store = UndoFolder::lock(root)?;
    let Some(mut record) = store.read()? else { return Ok(Vec::new()) };
    let mut outcomes = Vec::new();
    if record.is_of_this_start(root) {
        for step in record.steps.iter().rev() {
            watcher(Moment::Before(step))?;
            let outcome = step.restore(root);
            watcher(Moment::After(step, &outcome))?;
            outcomes.push((step.clone(), outcome));
        }
    }
    let failed = |step: &Step| outcomes.iter().any(|(of, what)| of == step && what.is_refused());
    record.steps.retain(failed);
    if record.steps.is_empty() {
        watcher(Moment::Removing)?;
        store.remove()?;
    } else {
        store.write(&record)?;
    }
    Ok(outcomes)
}
