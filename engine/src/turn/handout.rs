//! Hands a core's parts of checkpoints to the storage thread, and looks at rows for them within a
//! budget.
//!
//! Cold: only while a checkpoint is under way. It reads a clock because the budget is time, and it
//! never wakes or waits for a thread: a system call would cost more than a slice may.

use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError};

use potoroo_runtime::gaps::STEP_GAP_NS;
use potoroo_runtime::{Nanos, SharedLatency};
use potoroo_sdk::host::SinkId;

use crate::checkpoint::Epoch;
use crate::flow::{Core, PartCost, PartStep};

/// How much longer than a slice a busy core is left to its events: they keep nine tenths of it.
const REST_PER_SLICE: u64 = 9;

/// Most nanoseconds of a slice of a core that has nothing else to do: it looks for events so often,
/// since its turns cost a fraction of that.
const IDLE_SLICE_NS: u64 = 500;

/// Rows between two looks at the clock: some hundred nanoseconds.
const ROWS_PER_LOOK: u32 = 8;

/// Nanoseconds that a stored byte takes at most: lists of small strings in an unoptimised build.
const BYTE_NS: u64 = 50;

/// A step that gave more bytes copied a long row, which is one atom: all of it counts as ours,
/// however long it took.
const STEP_BYTES_MAX: usize = 64 * 1024;

/// Empty buffers that a core keeps for the next checkpoint; it may have taken back as many, and as
/// many may wait for it: 72 MiB each, if so much of its state ever changed faster than it could be
/// stored.
pub const SPARES_MAX: usize = 1024;

/// With fewer empty buffers than this, up to [`BACK_PER_SLICE`] are taken back: a lock, which a
/// slice does without otherwise.
const SPARES_MIN: usize = 16;

/// Buffers that are taken back in one slice: a fraction of a microsecond.
const BACK_PER_SLICE: usize = 64;

/// Takes the parts of checkpoints that a core hands out. Never waits.
pub trait PartPort: Send {
    /// Takes the next step of the part of `core`.
    ///
    /// # Errors
    /// There is no room now; the step comes back.
    fn try_part(&mut self, core: usize, step: PartStep) -> Result<(), PartStep>;

    /// Everything before `epoch` has left through `sink`.
    fn marked(&mut self, sink: SinkId, epoch: Epoch);
}

/// What a core and the storage thread share beside the [`PartPort`].
#[derive(Default)]
pub struct StorageShared {
    /// How long slices take. Written by the core only.
    pub slices: SharedLatency,
    /// The same without gaps.
    pub slices_own: SharedLatency,
    /// Buffers of what is stored, for the core to use again.
    returned: Mutex<Vec<Vec<u8>>>, // cold: only while a checkpoint is under way
}

impl StorageShared {
    /// Gives a buffer back; one too many is freed here, not by the core.
    pub fn return_buffer(&self, piece: Vec<u8>) {
        let mut returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
        if returned.len() < SPARES_MAX {
            returned.push(piece);
        }
    }
}

/// How a core hands out its parts.
pub struct Handout {
    core: usize,
    parts: Box<dyn PartPort>,
    /// The step for which there was no room.
    pending: Option<PartStep>,
    /// Reads the clock.
    clock: Box<dyn Fn() -> Nanos + Send>,
    budget_ns: u64,
    /// A busy core does not look at rows before.
    rest_until: Nanos,
    shared: Arc<StorageShared>,
    /// Taken back at once, for the core one by one.
    returned: Vec<Vec<u8>>,
    /// The time that the present turn has spent so far.
    slice: Slice,
    /// The time that the turn before spent after its events: events of the present one waited.
    before: Slice,
    /// Of the part that is being handed out.
    cost: PartCost,
}

/// Time that a turn spent on a checkpoint.
#[derive(Clone, Copy, Default)]
struct Slice {
    ns: u64,
    gaps_ns: u64,
}

impl Slice {
    /// A further step of `ns` nanoseconds gave `bytes`.
    fn step(&mut self, ns: u64, bytes: usize) {
        self.ns += ns;
        if bytes <= STEP_BYTES_MAX && ns > STEP_GAP_NS + BYTE_NS * bytes as u64 {
            self.gaps_ns += ns;
        }
    }

    fn own_ns(&self) -> u64 {
        self.ns - self.gaps_ns
    }
}

impl Handout {
    /// Hands the parts of `core` to `parts`, and spends up to `budget_ns` nanoseconds of a turn on
    /// rows, by what `clock` reads.
    // cold: at start
    pub fn new(
        core: usize,
        parts: Box<dyn PartPort>,
        budget_ns: u64,
        shared: Arc<StorageShared>,
        clock: Box<dyn Fn() -> Nanos + Send>,
    ) -> Self {
        Self {
            core,
            parts,
            pending: None,
            clock,
            budget_ns,
            rest_until: Nanos(0),
            shared,
            returned: Vec::with_capacity(SPARES_MAX),
            slice: Slice::default(),
            before: Slice::default(),
            cost: PartCost::default(),
        }
    }

    /// Whether a checkpoint is under way, or its last step is not handed out, or not accounted for.
    #[inline]
    pub(super) fn is_needed(&self, core: &Core) -> bool {
        core.checkpointing() || self.pending.is_some() || self.before.ns > 0
    }

    /// Before a turn: what has to be done before events are.
    #[cold]
    pub(super) fn attend(&mut self, core: &mut Core, wake: impl FnMut(usize)) {
        let begun = (self.clock)();
        core.attend_checkpoint(wake);
        // All of it counts as ours: the clock was not read meanwhile.
        self.slice.ns += (self.clock)() - begun;
    }

    /// After a turn that did `work`: hands out what is ready and looks at some rows. Returns
    /// whether anything was done.
    #[cold]
    pub(super) fn carry(&mut self, core: &mut Core, work: usize) -> bool {
        self.count_delayed(work);
        let begun = (self.clock)();
        let (attended_ns, busy) = (self.slice.ns, work > 0);
        let mut done = self.hand_out(core);
        if self.pending.is_none() && !(busy && begun < self.rest_until) {
            let budget_ns = if busy { self.budget_ns } else { self.budget_ns.min(IDLE_SLICE_NS) };
            done |= self.hand_out_rows(core, begun, budget_ns.saturating_sub(attended_ns));
            done |= self.hand_out(core);
        }
        let now = (self.clock)();
        let looked_ns = self.slice.ns - attended_ns;
        self.slice.step((now - begun).saturating_sub(looked_ns), 0);
        let slice = take(&mut self.slice);
        if done || attended_ns > 0 {
            self.rest_until = Nanos(now.0 + slice.ns * REST_PER_SLICE);
            self.record(slice);
            self.before = Slice { ns: slice.ns - attended_ns, ..slice };
        }
        done
    }

    /// The events of a turn waited for what was done before them.
    fn count_delayed(&mut self, events: usize) {
        let before = take(&mut self.before);
        let ns = before.ns + self.slice.ns;
        if events == 0 || ns == 0 {
            return;
        }
        let cost = &mut self.cost;
        cost.events_delayed += events as u64;
        cost.delay_ns_max = cost.delay_ns_max.max(ns);
        cost.delay_own_ns_max = cost.delay_own_ns_max.max(ns - before.gaps_ns);
    }

    fn record(&mut self, slice: Slice) {
        self.shared.slices.record(slice.ns);
        self.shared.slices_own.record(slice.own_ns());
        let cost = &mut self.cost;
        cost.slice_ns_max = cost.slice_ns_max.max(slice.ns);
        cost.slice_own_ns_max = cost.slice_own_ns_max.max(slice.own_ns());
    }

    /// Looks at rows until the budget is used up. Returns whether there were any.
    fn hand_out_rows(&mut self, core: &mut Core, begun: Nanos, budget_ns: u64) -> bool {
        self.take_back(core);
        let (mut looked, mut done) = (begun, false);
        while let Some(bytes) = core.hand_out_rows(ROWS_PER_LOOK) {
            let now = (self.clock)();
            self.slice.step(now - looked, bytes);
            (looked, done) = (now, true);
            if now - begun >= budget_ns {
                break;
            }
        }
        done
    }

    /// Buffers that are stored take the place of those that are handed out.
    fn take_back(&mut self, core: &mut Core) {
        let spares = core.spares();
        spares.trim(SPARES_MAX);
        if spares.count() >= SPARES_MIN {
            return;
        }
        if self.returned.is_empty()
            && let Ok(mut returned) = self.shared.returned.try_lock()
        {
            std::mem::swap(&mut *returned, &mut self.returned);
        }
        let first = self.returned.len().saturating_sub(BACK_PER_SLICE);
        self.returned.drain(first..).for_each(|piece| spares.put(piece));
    }

    fn hand_out(&mut self, core: &mut Core) -> bool {
        let mut done = false;
        while let Some(mut step) = self.pending.take().or_else(|| core.take_part()) {
            let mut ended = false;
            if let PartStep::End(end) = &mut step {
                (end.cost, ended) = (self.cost, true);
            }
            match self.parts.try_part(self.core, step) {
                Ok(()) if ended => (self.cost, done) = (PartCost::default(), true),
                Ok(()) => done = true,
                Err(step) => {
                    self.pending = Some(step);
                    return done;
                }
            }
        }
        done
    }

    /// Everything before `epoch` has left through `sink`, which has no writer thread.
    #[cold]
    pub(super) fn report_marked(&mut self, sink: SinkId, epoch: Epoch) {
        self.parts.marked(sink, epoch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_copies_rows_is_no_gap() {
        for (ns, bytes, gap) in [
            (9_000, 0, false),
            (11_000, 0, true),
            (11_000, 500, false),
            (60_000, 500, true),
            (172_000_000, 17_000_000, false),
        ] {
            let mut slice = Slice::default();
            slice.step(ns, bytes);
            assert_eq!((slice.ns, slice.own_ns()), (ns, if gap { 0 } else { ns }));
        }
    }
}
