//! The ports of a core for checkpoints and recovery: its driver restores it, begins and ends
//! checkpoints, and takes the steps of its parts, between turns.
//!
//! Cold: a call per command, per slice or per chunk, never per event.

use potoroo_runtime::Nanos;

use super::part::PartStep;
use super::replay::{RestoreError, Restoring};
use super::turn::{Core, Phase};
use crate::checkpoint::{Chunk, Epoch, Renumbering};
use crate::state::Spares;

impl Core {
    /// Restores a chunk of records of its own, or what is its own of a chunk of frames, at `now`,
    /// with the `numbers` that its tables, sources, sinks and exchanges have now. Before the first
    /// turn: rows in the order in which their parts were made, all frames of the newest parts only.
    ///
    /// # Errors
    /// The chunk does not fit the application. The core must take no checkpoint then.
    ///
    /// # Panics
    /// [`restored`](Self::restored) was called, or a record is another core's.
    // cold: at start
    pub fn restore(
        &mut self,
        chunk: &Chunk,
        numbers: &Renumbering,
        now: Nanos,
    ) -> Result<(), RestoreError> {
        let early = matches!(self.phase, Phase::New | Phase::Restoring);
        assert!(early, "a chunk is restored before everything was");
        self.phase = Phase::Restoring;
        let Self { core, plan, router, inlets, skips, replay, .. } = self;
        let core = *core;
        Restoring { core, plan, router, inlets, skips, replay, numbers }.restore(chunk, now)
    }

    /// Everything was restored.
    ///
    /// # Panics
    /// The core has begun its first turn.
    // cold: at start
    pub fn restored(&mut self) {
        assert_ne!(self.phase, Phase::Turning, "everything is restored before the first turn");
        self.phase = Phase::Restored;
        self.replay.finish();
        let dues = &self.plan.dues;
        dues.iter().for_each(|due| due.stage.hint_all(&mut self.router));
    }

    /// From now on checkpoints are taken, the first one after `epoch`, in the run of the
    /// application that has this `generation`. A channel log holds up to `log_bytes_max` bytes of
    /// frames; more make the checkpoint fail.
    ///
    /// # Panics
    /// The core has begun its first turn or opened an inlet, is still being restored, or takes
    /// checkpoints already.
    // cold: at start
    pub fn enable_checkpoints(&mut self, epoch: Epoch, generation: u64, log_bytes_max: u64) {
        let complete = matches!(self.phase, Phase::New | Phase::Restored);
        assert!(complete, "checkpoints are taken of what is restored, from the first turn on");
        assert!(self.inlets.is_empty(), "ids of connections are those of this generation");
        self.inlets.begin_generation(generation);
        let covers = self.router.partitions();
        self.checkpoints.enable(&mut self.router.tables.captures, covers, epoch, log_bytes_max);
    }

    /// The checkpoint `epoch` begins: the core takes its snapshot before its next turn, unless it
    /// has already.
    ///
    /// # Panics
    /// No checkpoints are taken, as for the next two.
    pub fn begin_checkpoint(&mut self, epoch: Epoch) {
        self.checkpoints.begin(epoch);
    }

    /// The checkpoint `epoch` is committed.
    pub fn commit_checkpoint(&mut self, epoch: Epoch) {
        self.checkpoints.commit(&mut self.router.tables.captures, epoch);
    }

    /// The checkpoint `epoch` is aborted.
    pub fn abort_checkpoint(&mut self, epoch: Epoch) {
        self.checkpoints.abort(&mut self.router.tables.captures, epoch);
    }

    /// Whether a checkpoint is under way on this core.
    #[inline]
    pub fn checkpointing(&self) -> bool {
        self.checkpoints.are_under_way()
    }

    /// Where buffers come from that hold what is handed out, and go back to.
    pub fn spares(&self) -> &Spares {
        self.checkpoints.spares()
    }

    /// Whether there is something to do for a checkpoint before events are.
    #[inline]
    pub fn checkpoint_waits(&self) -> bool {
        self.checkpoints.wait()
    }

    /// Does it: takes a snapshot if a checkpoint has begun, and logs what has come in lanes that
    /// are not marked yet. [`turn`](Self::turn) does it, too, unless it was done just before. Calls
    /// `wake` for each core whose lane was marked.
    pub fn attend_checkpoint(&mut self, wake: impl FnMut(usize)) {
        self.attend(wake);
    }

    /// Looks at up to `rows_max` rows, 16 at most, for the checkpoint under way, and asks memory
    /// for the next ones. Returns how many bytes that gave, if there is more to look at now: not
    /// while chunks wait to be taken.
    // cold: while a checkpoint is under way
    pub fn hand_out_rows(&mut self, rows_max: u32) -> Option<usize> {
        self.checkpoints.look(&self.plan, &mut self.router.tables.captures, rows_max)
    }

    /// The next step of this core's part, if there is one now.
    pub fn take_part(&mut self) -> Option<PartStep> {
        self.checkpoints.take_step(&mut self.router.tables.captures)
    }
}
