//! What a core does for checkpoints: a snapshot between two turns, and a part that is handed out
//! while events flow on.
//!
//! The algorithm is that of Chandy and Lamport (*Distributed Snapshots*, 1985), with the core as
//! the process and the lane as the channel. A core takes its snapshot when it first sees an epoch,
//! in a command or in a marker of a lane:
//!
//! ```text
//!   snapshot   marks all lanes that leave · notes positions · saves what waits · tables begin to
//!              copy a row before it changes
//!   part       see open_part
//! ```
//!
//! Owns the epochs that a core knows of. Promises that of two checkpoints the newer one wins. Must
//! never look into a row or a frame.
//!
//! Cold: nothing here runs per event.

use std::collections::VecDeque;

use potoroo_runtime::{Inbound, LaneId, LaneLimits};
use potoroo_sdk::plan::Plan;

use super::channel_log::ChannelLog;
use super::open_part::OpenPart;
use super::part::PartStep;
use super::positions::ReadPosition;
use super::replay::Replay;
use super::route::Router;
use crate::checkpoint::{Epoch, PartitionSet};
use crate::state::{Capture, Spares};

/// Delta parts that may follow a full one: what recovery reads at most.
const DELTA_PARTS_MAX: u32 = 16;

/// A core's checkpoints.
#[derive(Default)]
pub(super) struct CoreCheckpoints {
    /// Checkpoints are taken.
    enabled: bool,
    /// The newest epoch of which this core has taken its snapshot; 0 before the first.
    epoch: Epoch,
    /// The newest epoch that this core has seen in a command or a marker.
    seen: Epoch,
    /// The newest epoch of this run that is committed; 0 before the first.
    committed: Epoch,
    /// Committed delta parts since the last full one.
    delta_parts: u32,
    /// Parts that were handed out and are not yet committed: their epochs, and whether they were
    /// full. Several, because a commit may arrive after the next snapshot.
    handed_out: VecDeque<(Epoch, bool)>,
    log_bytes_max: u64,
    /// The partitions of this core.
    covers: PartitionSet,
    /// Buffers for what is handed out.
    spares: Spares,
    /// The part under way.
    part: Option<Box<OpenPart>>,
    /// Where sources ended that could be read again.
    pub(super) ended: Vec<ReadPosition>,
}

/// Everything of a core that belongs to its snapshot.
pub(super) struct SnapshotOf<'a, Positions> {
    pub(super) router: &'a mut Router,
    pub(super) inbound: &'a [Inbound],
    pub(super) replay: &'a Replay,
    /// Of its open sources.
    pub(super) positions: Positions,
}

impl CoreCheckpoints {
    /// From now on checkpoints are taken of the partitions `covers`, the first one after `epoch`,
    /// with up to `log_bytes_max` bytes of frames in each.
    ///
    /// # Panics
    /// They are taken already.
    // cold: at start
    pub(super) fn enable(
        &mut self,
        captures: &mut [Capture],
        covers: PartitionSet,
        epoch: Epoch,
        log_bytes_max: u64,
    ) {
        assert!(!self.enabled, "checkpoints are enabled once");
        let spares = Spares::default();
        captures.iter_mut().for_each(|capture| capture.enable(epoch.0, &spares));
        // What was recovered was another core's part, or may have been: nothing of it is committed
        // as a part of this one, so the first part is a full one.
        let (seen, committed) = (epoch, Epoch::NONE);
        *self = Self {
            enabled: true,
            epoch,
            seen,
            committed,
            log_bytes_max,
            covers,
            spares,
            ..Self::default()
        };
    }

    /// The checkpoint `epoch` begins: the core takes its snapshot before its next turn, unless it
    /// has already.
    ///
    /// # Panics
    /// No checkpoints are taken, as for the next two.
    pub(super) fn begin(&mut self, epoch: Epoch) {
        assert!(self.enabled, "a checkpoint begins after checkpoints were enabled");
        self.seen = self.seen.max(epoch);
    }

    /// The checkpoint `epoch` is committed.
    pub(super) fn commit(&mut self, captures: &mut [Capture], epoch: Epoch) {
        assert!(self.enabled, "a checkpoint is committed after checkpoints were enabled");
        assert!(epoch <= self.epoch, "a checkpoint is committed after its snapshot");
        self.committed = epoch;
        let Self { handed_out, delta_parts, .. } = self;
        while let Some((of, full)) = handed_out.pop_front_if(|(of, _)| *of <= epoch) {
            match of == epoch {
                true if full => *delta_parts = 0,
                true => *delta_parts += 1,
                // It was aborted.
                false => {}
            }
        }
        captures.iter_mut().for_each(|capture| capture.commit(epoch.0));
    }

    /// The checkpoint `epoch` is aborted.
    pub(super) fn abort(&mut self, captures: &mut [Capture], epoch: Epoch) {
        assert!(self.enabled, "a checkpoint is aborted after checkpoints were enabled");
        if self.part.as_ref().is_some_and(|part| part.epoch() == epoch) {
            self.drop_part(captures);
        }
    }

    /// The newest epoch of which this core has taken its snapshot.
    #[inline]
    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether a checkpoint is under way on this core.
    #[inline]
    pub(super) fn are_under_way(&self) -> bool {
        self.part.is_some()
    }

    /// Where buffers come from that hold what is handed out, and go back to.
    pub(super) fn spares(&self) -> &Spares {
        &self.spares
    }

    /// Whether there is something to do for a checkpoint before events are.
    #[inline]
    pub(super) fn wait(&self) -> bool {
        self.seen != self.epoch
            || self.part.as_ref().is_some_and(|part| part.channel_log().is_open())
    }

    /// How far a lane may be drained.
    #[inline]
    pub(super) fn limits(&self, from: LaneId) -> LaneLimits {
        let end = self.part.as_ref().and_then(|part| part.channel_log().limit(from));
        LaneLimits { epoch: self.epoch.0, end }
    }

    /// A lane has a marker of the epoch `marked`.
    #[inline]
    pub(super) fn see(&mut self, marked: u32) {
        self.seen = self.seen.max(Epoch(marked));
    }

    /// Takes a snapshot if a checkpoint has begun, and logs what has come in lanes that are not
    /// marked yet. Calls `wake` for each core whose lane was marked.
    #[cold]
    pub(super) fn attend<Positions>(
        &mut self,
        of: SnapshotOf<'_, Positions>,
        wake: impl FnMut(usize),
    ) where
        Positions: Iterator<Item = ReadPosition>,
    {
        let inbound = of.inbound;
        if self.seen != self.epoch {
            self.take_snapshot(of, wake);
        }
        if let Some(part) = &mut self.part {
            part.log_lanes(inbound);
        }
    }

    /// Takes a snapshot: between two turns, when everything sent is published.
    #[cold]
    fn take_snapshot<Positions>(
        &mut self,
        of: SnapshotOf<'_, Positions>,
        mut wake: impl FnMut(usize),
    ) where
        Positions: Iterator<Item = ReadPosition>,
    {
        let epoch = self.seen;
        let SnapshotOf { router, inbound, replay, positions } = of;
        // A part that is still under way was superseded: its coordinator has given it up.
        self.drop_part(&mut router.tables.captures);
        router.mark_lanes(epoch, &mut wake);
        let since = self.begin_tables(&mut router.tables.captures, epoch);
        let levels = router.output_level() + 1;
        let limits = router.watermarks.limits();
        let channel_log =
            ChannelLog::new(epoch, levels, inbound, &self.spares, self.log_bytes_max, limits);
        let positions = positions.chain(self.ended.iter().cloned()).collect();
        let (of, covers) = ((epoch, since), self.covers.clone());
        let mut part = Box::new(OpenPart::new(of, covers, positions, channel_log, &self.spares));
        replay.each_frame(|level, frame| part.log_replayed(level, frame));
        router.each_kept(|level, frame| part.log_frame(level, frame));
        router.each_waiting(|level, frame| part.save_waiting(level, frame));
        router.outputs.mark(epoch);
        self.epoch = epoch;
        self.part = Some(part);
    }

    /// Has the tables hand out what changed since a committed epoch, or everything. Returns that
    /// epoch, or none.
    fn begin_tables(&self, captures: &mut [Capture], epoch: Epoch) -> Epoch {
        let full = self.delta_parts >= DELTA_PARTS_MAX
            || self.committed.is_none()
            || captures.iter().any(Capture::needs_full_snapshot);
        let since = if full { Epoch::NONE } else { self.committed };
        captures.iter_mut().for_each(|capture| capture.snapshot(epoch.0, since.0));
        since
    }

    /// Looks at up to `rows_max` rows for the part under way: see [`OpenPart::look`].
    // cold: while a checkpoint is under way
    pub(super) fn look(
        &mut self,
        plan: &Plan,
        captures: &mut [Capture],
        rows_max: u32,
    ) -> Option<usize> {
        self.part.as_mut()?.look(plan, captures, rows_max)
    }

    /// The next step of this core's part, if there is one now.
    pub(super) fn take_step(&mut self, captures: &mut [Capture]) -> Option<PartStep> {
        let part = self.part.as_mut()?;
        let step = part.take(captures.len())?;
        if let PartStep::End(_) = step {
            self.handed_out.push_back((part.epoch(), part.is_full()));
        }
        if let PartStep::End(_) | PartStep::Failed { .. } = step {
            self.drop_part(captures);
        }
        Some(step)
    }

    fn drop_part(&mut self, captures: &mut [Capture]) {
        let Some(part) = self.part.take() else { return };
        captures.iter_mut().for_each(Capture::end_snapshot);
        part.give_back();
    }
}
