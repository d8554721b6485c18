//! Hands a core's parts of checkpoints to the keeper, and looks at rows for them within a budget.
//!
//! Cold: only while a checkpoint is under way. It reads the clock because the budget is time.

use std::sync::Arc;

use potoroo_runtime::{Clock, Nanos, SharedLatency};
use potoroo_sdk::host::SinkId;

use super::sinks::{Passed, SinkLink};
use crate::connect::mail::{Teller, Told};
use crate::flow::{Core, PartStep};

/// How much longer than a slice a busy core is left to its events: they keep nine tenths of it.
const REST_PER_SLICE: u64 = 9;

/// Rows between two looks at the clock: a microsecond or two.
const ROWS_PER_LOOK: u32 = 16;

/// A core's connection to the keeper.
pub struct Handout {
    core: usize,
    keeper: Teller,
    /// What the keeper had no room for.
    pending: Option<PartStep>,
    clock: Clock,
    budget_ns: u64,
    /// A busy core does not look at rows before.
    rest_until: Nanos,
    /// How long slices take, operating-system gaps included. One writer.
    slices: Arc<SharedLatency>,
}

impl Handout {
    /// The connection of `core`, which spends up to `budget_ns` nanoseconds of a turn on rows.
    pub fn new(core: usize, keeper: Teller, budget_ns: u64, slices: Arc<SharedLatency>) -> Self {
        Self {
            core,
            keeper,
            pending: None,
            clock: Clock::new(),
            budget_ns,
            rest_until: Nanos(0),
            slices,
        }
    }

    /// Whether a checkpoint is under way, or its last step is not handed out.
    #[inline]
    pub(super) fn is_needed(&self, core: &Core) -> bool {
        core.checkpointing() || self.pending.is_some()
    }

    /// Hands out what is ready and looks at some rows. Returns whether anything was done.
    #[cold]
    pub(super) fn carry(&mut self, core: &mut Core, busy: bool) -> bool {
        let begun = self.clock.now();
        let mut done = self.hand_out(core);
        if self.pending.is_none() && !(busy && begun < self.rest_until) {
            while core.sweep(ROWS_PER_LOOK) && self.clock.now() - begun < self.budget_ns {
                done = true;
            }
            done |= self.hand_out(core);
        }
        if done {
            let now = self.clock.now();
            let took = now - begun;
            self.rest_until = Nanos(now.0 + took * REST_PER_SLICE);
            self.slices.record(took);
        }
        done
    }

    fn hand_out(&mut self, core: &mut Core) -> bool {
        let mut done = false;
        while let Some(step) = self.pending.take().or_else(|| core.take_part()) {
            match self.keeper.try_part(self.core, step) {
                Ok(()) => done = true,
                Err(step) => {
                    self.pending = Some(step);
                    return done;
                }
            }
        }
        done
    }

    /// Passes on that everything before `epoch` has left through a sink. Returns whether it could.
    ///
    /// # Errors
    /// The sink is lost.
    #[cold]
    pub(super) fn pass_mark(
        &mut self,
        sink: SinkId,
        link: &mut SinkLink,
        epoch: u32,
    ) -> Result<bool, String> {
        let passed = link.pass_mark(epoch)?;
        if passed == Passed::Here {
            self.keeper.tell(Told::Marked { sink, epoch, prepared: None });
        }
        Ok(passed != Passed::NotYet)
    }
}
