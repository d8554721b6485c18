//! After a generation has let something out, no generation before it does; and no two processes do
//! in one.

use super::super::turns::ProcessId;

/// What let something out last.
#[derive(Default)]
pub struct Generations {
    last: Option<(u64, ProcessId)>,
}

impl Generations {
    /// The process with the edges of a generation let something out.
    pub fn acted(&mut self, process: ProcessId, generation: u64) -> Result<(), String> {
        match self.last {
            Some((last, by)) if generation < last => Err(format!(
                "process {process} lets something out in generation {generation}, after process \
                 {by} did in generation {last}"
            )),
            Some((last, by)) if generation == last && process != by => Err(format!(
                "processes {by} and {process} let something out in generation {generation}"
            )),
            _ => {
                self.last = Some((generation, process));
                Ok(())
            }
        }
    }
}
