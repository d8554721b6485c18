//! What a core does for a checkpoint: its cut, taken between two turns, and everything that has to
//! be handed out for it while events flow on.
//!
//! The algorithm is that of Chandy and Lamport (*Distributed Snapshots*, 1985), with the core as
//! the process and the lane as the channel. A core cuts when it first hears of an epoch, by command
//! or by a mark in a lane:
//!
//! ```text
//!   cut      marks all lanes that leave · notes positions · saves what waits · cuts the tables
//!   log      copies frames of each lane up to its sender's mark, ahead of their processing
//!   sweep    hands out changed rows, a slice at a time
//!   end      every lane is logged, every row handed out
//! ```
//!
//! Cold: nothing here runs per event unless a checkpoint is under way, and then only the copy of
//! frames that were in a lane at the cut.

use std::collections::VecDeque;

use potoroo_runtime::{Consumer, MarkReader, Position};
use potoroo_sdk::host::{SourceId, TableId};

use super::turn::Core;
use crate::checkpoint::{Chunk, Section, Unit};

/// Chunks that wait to be taken: above this no further rows are looked at.
const CHUNKS_READY_MAX: usize = 4;

/// Parts of changes only that may follow a whole one: what recovery reads at most.
const INCREMENTS_MAX: u32 = 16;

/// Generations before serials of connections may repeat: each has a million of them to itself.
const SERIAL_GENERATIONS: u32 = 4096;

/// Where a source goes on behind a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePosition {
    /// The source.
    pub source: SourceId,
    /// Which of its streams, if it has some.
    pub stream: Option<u32>,
    /// What its position counts.
    pub unit: Unit,
    /// Bytes taken, or events made.
    pub position: u64,
}

/// The end of a core's part: all its chunks were taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartEnd {
    /// The epoch.
    pub epoch: u32,
    /// The epoch that it builds upon; 0 for a whole part.
    pub since: u32,
    /// Positions of the sources of this core that can be read again.
    pub positions: Vec<SourcePosition>,
    /// Bytes of frames.
    pub frames_bytes: u64,
}

/// What a core tells of its checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartStep {
    /// Its part begins; one that has not ended is given up.
    Begin {
        /// The epoch.
        epoch: u32,
        /// The epoch that it builds upon; 0 for a whole part.
        since: u32,
    },
    /// A piece of its part.
    Chunk(Chunk),
    /// Its part is complete.
    End(PartEnd),
    /// It gave the epoch up.
    Failed {
        /// The epoch.
        epoch: u32,
        /// Why.
        reason: &'static str,
    },
}

/// A lane whose sender has not marked it yet.
struct OpenLane {
    from: usize,
    level: usize,
    /// Frames before it are in the log, or were consumed before the cut.
    logged: Position,
}

/// A checkpoint under way.
pub(super) struct Checkpoint {
    epoch: u32,
    open: Vec<OpenLane>,
    /// The channel log: frames by level.
    frames: Vec<Vec<u8>>,
    log_bytes_max: u64,
    /// The table that is handed out now; all are done when there is none of that number.
    table: usize,
    /// Its removed keys are handed out.
    removed_done: bool,
    rows: Vec<u8>,
    begun: bool,
    ready: VecDeque<Chunk>,
    end: PartEnd,
    failed: Option<&'static str>,
}

/// A core's checkpoints.
#[derive(Default)]
pub(super) struct Checkpoints {
    /// The newest epoch at which this core has cut; 0 before the first.
    pub(super) epoch: u32,
    /// The newest epoch of which it has heard.
    pub(super) heard: u32,
    /// The newest epoch of this life that is safe; 0 before the first.
    safe: u32,
    /// Parts of changes only behind the last whole one, as far as they are safe.
    increments: u32,
    /// Parts that were handed out and are not yet safe: their epochs, and whether they were whole.
    /// Several, because the word that one is safe may come behind the next cut.
    handed_out: VecDeque<(u32, bool)>,
    log_bytes_max: u64,
    pub(super) current: Option<Box<Checkpoint>>,
    /// Where sources ended that could be read again.
    pub(super) ended: Vec<SourcePosition>,
}

impl Core {
    /// From now on checkpoints are taken, the first one behind `epoch`, in the life of the
    /// application that has this `generation`. Up to `log_bytes_max` bytes of frames are kept for
    /// one; more make it fail.
    // cold: at start
    pub fn keep_checkpoints(&mut self, epoch: u32, generation: u64, log_bytes_max: u64) {
        // What came back names connections of earlier lives: none of ours may have their ids.
        self.serial = (generation as u32 % SERIAL_GENERATIONS) * (u32::MAX / SERIAL_GENERATIONS);
        self.plan.tables.iter().for_each(|table| table.rows.keep(epoch));
        // What was recovered was another core's part, or may have been: nothing of it is safe as a
        // part of this one, so the first is a whole one.
        let (heard, safe) = (epoch, 0);
        self.checkpoints = Checkpoints { epoch, heard, safe, log_bytes_max, ..Default::default() };
    }

    /// The checkpoint `epoch` begins: the core cuts at its next turn, unless it has already.
    pub fn begin_checkpoint(&mut self, epoch: u32) {
        self.checkpoints.heard = self.checkpoints.heard.max(epoch);
    }

    /// The checkpoint `epoch` is safe.
    pub fn commit_checkpoint(&mut self, epoch: u32) {
        self.checkpoints.safe = epoch;
        let Checkpoints { handed_out, increments, .. } = &mut self.checkpoints;
        while let Some((of, whole)) = handed_out.pop_front_if(|(of, _)| *of <= epoch) {
            match of == epoch {
                true if whole => *increments = 0,
                true => *increments += 1,
                // It came to nothing.
                false => {}
            }
        }
        self.plan.tables.iter().for_each(|table| table.rows.safe(epoch));
    }

    /// The checkpoint `epoch` came to nothing.
    pub fn abort_checkpoint(&mut self, epoch: u32) {
        if self.checkpoints.current.as_ref().is_some_and(|current| current.epoch == epoch) {
            self.drop_checkpoint();
        }
    }

    /// Whether a checkpoint is under way on this core.
    #[inline]
    pub fn checkpointing(&self) -> bool {
        self.checkpoints.current.is_some()
    }

    /// Looks at up to `rows_max` rows for the checkpoint under way. Returns whether there is more
    /// to look at now: not while chunks wait to be taken.
    // cold: while a checkpoint is under way
    pub fn sweep(&mut self, rows_max: u32) -> bool {
        let Some(current) = &mut self.checkpoints.current else { return false };
        if current.ready.len() >= CHUNKS_READY_MAX || current.failed.is_some() {
            return false;
        }
        let Some(table) = self.plan.tables.get(current.table) else { return false };
        let id = TableId(current.table as u16);
        if !current.removed_done {
            current.removed_done = !table.rows.removed(&mut current.rows);
            let section = Section::Removed(id);
            current.hand_out_rows(section, current.removed_done);
            return true;
        }
        let left = table.rows.sweep(rows_max, &mut current.rows);
        current.hand_out_rows(Section::Rows(id), !left);
        if !left {
            (current.table, current.removed_done) = (current.table + 1, false);
        }
        current.table < self.plan.tables.len()
    }

    /// The next step of this core's part, if there is one now.
    pub fn take_part(&mut self) -> Option<PartStep> {
        let tables = self.plan.tables.len();
        let current = self.checkpoints.current.as_mut()?;
        if let Some(reason) = current.failed {
            let epoch = current.epoch;
            self.drop_checkpoint();
            return Some(PartStep::Failed { epoch, reason });
        }
        if !std::mem::replace(&mut current.begun, true) {
            let PartEnd { epoch, since, .. } = current.end;
            return Some(PartStep::Begin { epoch, since });
        }
        if current.open.is_empty() && current.table == tables {
            current.hand_out_log(1);
        }
        if let Some(chunk) = current.ready.pop_front() {
            return Some(PartStep::Chunk(chunk));
        }
        if !current.open.is_empty() || current.table < tables {
            return None;
        }
        let end = current.end.clone();
        self.checkpoints.handed_out.push_back((end.epoch, end.since == 0));
        self.drop_checkpoint();
        Some(PartStep::End(end))
    }

    fn drop_checkpoint(&mut self) {
        self.checkpoints.current = None;
        self.plan.tables.iter().for_each(|table| table.rows.end_cut());
    }

    /// Cuts: between two turns, when everything sent is published.
    #[cold]
    pub(super) fn cut(&mut self, mut wake: impl FnMut(usize)) {
        let epoch = self.checkpoints.heard;
        // One that is still under way was superseded: its coordinator has given it up.
        self.drop_checkpoint();
        self.router.mark_lanes(&mut self.marks_out, epoch, &mut wake);
        let since = self.cut_tables(epoch);
        let mut current = Box::new(Checkpoint {
            epoch,
            open: self.inbound_lanes(),
            frames: vec![Vec::new(); self.router.output_level() + 1],
            log_bytes_max: self.checkpoints.log_bytes_max,
            table: 0,
            removed_done: false,
            rows: Vec::new(),
            begun: false,
            ready: VecDeque::new(),
            end: PartEnd { epoch, since, positions: self.positions(), frames_bytes: 0 },
            failed: None,
        });
        self.replay.each_frame(|level, frame| current.log_frame(level, frame));
        self.router.each_kept(|level, frame| current.log_frame(level, frame));
        let mut outboxes = vec![Vec::new(); current.frames.len()];
        self.router.each_waiting(|level, frame| append_frame(&mut outboxes[level], frame));
        for (level, bytes) in outboxes.into_iter().enumerate().filter(|(_, b)| !b.is_empty()) {
            current.end.frames_bytes += bytes.len() as u64;
            current.ready.push_back(Chunk { section: Section::Outboxes(level as u8), bytes });
        }
        self.router.outputs.mark(epoch);
        self.checkpoints.epoch = epoch;
        self.checkpoints.current = Some(current);
    }

    fn cut_tables(&mut self, epoch: u32) -> u32 {
        let Self { plan, checkpoints, .. } = self;
        let tables = || plan.tables.iter().map(|table| &table.rows);
        let whole = checkpoints.increments >= INCREMENTS_MAX
            || checkpoints.safe == 0
            || tables().any(|rows| rows.needs_whole_cut());
        let since = if whole { 0 } else { checkpoints.safe };
        tables().for_each(|rows| rows.cut(epoch, since));
        since
    }

    // cold: once per checkpoint
    fn inbound_lanes(&self) -> Vec<OpenLane> {
        let lanes = self.inbound.iter().enumerate().flat_map(|(from, lanes)| {
            let open = move |(level, lane): (usize, &Consumer)| OpenLane {
                from,
                level,
                logged: lane.head(),
            };
            lanes.iter().enumerate().map(open)
        });
        lanes.collect()
    }

    // cold: once per checkpoint
    fn positions(&self) -> Vec<SourcePosition> {
        let inlets = self.inlets.iter().flatten().filter_map(|inlet| inlet.replay_position());
        let generated = self.generated.iter().map(|generated| generated.replay_position());
        inlets.chain(generated).chain(self.checkpoints.ended.iter().copied()).collect()
    }

    /// Copies what has come in lanes that are not marked yet. Before a turn drains any of it.
    #[cold]
    pub(super) fn log_lanes(&mut self) {
        let Self { checkpoints, inbound, marks_in, .. } = self;
        let Some(current) = &mut checkpoints.current else { return };
        let mut open = std::mem::take(&mut current.open);
        open.retain_mut(|open| {
            let marks = marks_in[open.from].as_ref().expect("a lane comes from another core");
            current.log_lane(open, &inbound[open.from][open.level], marks)
        });
        current.open = open;
    }
}

impl Checkpoint {
    /// How far the lane may be drained: what follows is not logged yet.
    pub(super) fn limit(&self, from: usize, level: usize) -> Option<Position> {
        let open = self.open.iter().find(|open| open.from == from && open.level == level)?;
        Some(open.logged)
    }

    /// Returns whether the lane stays open.
    fn log_lane(&mut self, open: &mut OpenLane, lane: &Consumer, marks: &MarkReader) -> bool {
        loop {
            let seen = lane.frame_at(open.logged);
            // Behind having seen the frame: whoever published it behind a mark marked before.
            let mark = marks.read(open.level, lane);
            if mark.epoch > self.epoch {
                self.failed = Some("a newer checkpoint has begun");
                return false;
            }
            let at = lane.bytes_consumed() + open.logged.bytes_since(lane.head());
            if mark.epoch == self.epoch && at >= mark.at {
                return false;
            }
            let Some((frame, next)) = seen else { return true };
            self.log_frame(open.level, frame);
            open.logged = next;
        }
    }

    fn log_frame(&mut self, level: usize, frame: &[u8]) {
        append_frame(&mut self.frames[level], frame);
        self.end.frames_bytes += frame.len() as u64;
        if self.end.frames_bytes > self.log_bytes_max {
            self.failed = Some("more frames were under way than its log may hold");
        }
        if self.frames[level].len() >= Chunk::BYTES_MAX {
            self.hand_out_log(Chunk::BYTES_MAX);
        }
    }

    fn hand_out_log(&mut self, bytes_min: usize) {
        let full = |(_, frames): &(usize, &mut Vec<u8>)| frames.len() >= bytes_min;
        for (level, frames) in self.frames.iter_mut().enumerate().filter(full) {
            let section = Section::Lanes(level as u8);
            self.ready.push_back(Chunk { section, bytes: std::mem::take(frames) });
        }
    }

    /// Hands records out when there are enough of them, or all of a section are there.
    fn hand_out_rows(&mut self, section: Section, all: bool) {
        if self.rows.len() >= Chunk::BYTES_MAX || (all && !self.rows.is_empty()) {
            // cold: once per chunk; one that grew from nothing would be copied again and again.
            let next = Vec::with_capacity(Chunk::BYTES_MAX + Chunk::BYTES_MAX / 8);
            let bytes = std::mem::replace(&mut self.rows, next);
            self.ready.push_back(Chunk { section, bytes });
        }
    }
}

/// Adds a whole frame at a multiple of eight bytes, as in lanes.
fn append_frame(bytes: &mut Vec<u8>, frame: &[u8]) {
    bytes.extend_from_slice(frame);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}
