//! What a core does for a checkpoint: its cut, taken between two turns, and everything that has to
//! be handed out for it while events flow on.
//!
//! The algorithm is that of Chandy and Lamport (*Distributed Snapshots*, 1985), with the core as
//! the process and the lane as the channel. A core cuts when it first hears of an epoch, by command
//! or by a marker in a lane:
//!
//! ```text
//!   cut      marks all lanes that leave · notes positions · saves what waits · cuts the tables
//!   log      copies frames of each lane up to its sender's marker, ahead of their processing
//!   sweep    hands out changed rows, a few at a time
//!   end      every lane is logged, every row handed out
//! ```
//!
//! Everything is written into buffers of one size, which come back when they were stored.
//!
//! Cold: nothing here runs per event unless a checkpoint is under way, and then only the copy of
//! frames that were in a lane at the cut.

use std::collections::VecDeque;

use arrayvec::ArrayVec;
use potoroo_runtime::{Inbound, Position};
use potoroo_sdk::host::TableId;
use potoroo_sdk::table::Spares;
use potoroo_sdk::value::ARCHIVE_BYTES_MAX;

use super::cost::PartCost;
use super::positions::SourcePosition;
use super::shard::{LANE_FRAMES_PER_TURN, prefetch_rows};
use super::turn::Core;
use crate::checkpoint::{Chunk, Section};

/// Most rows of one look: memory brings about so many lines at the same time.
const LOOK_ROWS_MAX: usize = 16;

/// Chunks that wait to be taken: above this no further rows are looked at.
const CHUNKS_READY_MAX: usize = 4;

/// Parts of changes only that may follow a whole one: what recovery reads at most.
const INCREMENTS_MAX: u32 = 16;

/// Generations before serials of connections may repeat: each has a million of them to itself.
const SERIAL_GENERATIONS: u32 = 4096;

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
    /// What it cost the core; counted by whoever drives the core, since that needs a clock.
    pub cost: PartCost,
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
        reason: String,
    },
}

/// A checkpoint under way.
pub(super) struct Checkpoint {
    epoch: u32,
    /// By core and level, the lanes whose senders have not marked them yet: frames before the
    /// position are in the log, or were consumed before the cut.
    logged: Vec<Option<Position>>,
    /// How many they are.
    lanes_open: usize,
    /// The channel log: frames by level.
    frames: Vec<Vec<u8>>,
    log_bytes_max: u64,
    /// The table that is handed out now; all are done when there is none of that number.
    table: usize,
    /// Its removed keys are handed out.
    removed_done: bool,
    /// Slots of it that are looked at next: their rows are on the way from memory.
    ahead: ArrayVec<u32, { 2 * LOOK_ROWS_MAX }>,
    rows: Vec<u8>,
    spares: Spares,
    begun: bool,
    ready: VecDeque<Chunk>,
    end: PartEnd,
    failed: Option<String>,
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
    /// Buffers for what is handed out.
    spares: Spares,
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
        let range = (generation as u32 % SERIAL_GENERATIONS) * (u32::MAX / SERIAL_GENERATIONS);
        // What came back may name connections of a life that went beyond its range.
        self.serial = self.serial.max(range);
        let spares = Spares::default();
        self.plan.tables.iter().for_each(|table| table.rows.keep(epoch, &spares));
        // What was recovered was another core's part, or may have been: nothing of it is safe as a
        // part of this one, so the first is a whole one.
        let (heard, safe) = (epoch, 0);
        self.checkpoints =
            Checkpoints { epoch, heard, safe, log_bytes_max, spares, ..Default::default() };
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

    /// Where buffers come from that hold what is handed out, and go back to.
    pub fn spares(&self) -> &Spares {
        &self.checkpoints.spares
    }

    /// Whether there is something to do for a checkpoint before events are.
    #[inline]
    pub fn checkpoint_waits(&self) -> bool {
        let Checkpoints { epoch, heard, current, .. } = &self.checkpoints;
        heard != epoch || current.as_ref().is_some_and(|current| current.lanes_open > 0)
    }

    /// Does it: cuts if a checkpoint has begun, and copies what has come in lanes that are not
    /// marked yet. Between two turns; [`turn`](Self::turn) does it, too, unless it was done just
    /// before. Calls `wake` for each core whose lane was marked.
    #[cold]
    pub fn attend_checkpoint(&mut self, wake: impl FnMut(usize)) {
        if self.checkpoints.heard != self.checkpoints.epoch {
            self.cut(wake);
        }
        self.log_lanes();
    }

    /// Looks at up to `rows_max` rows, 16 at most, for the checkpoint under way, and asks memory
    /// for the next ones. Returns how many bytes that gave, if there is more to look at now: not
    /// while chunks wait to be taken.
    // cold: while a checkpoint is under way
    pub fn sweep(&mut self, rows_max: u32) -> Option<usize> {
        let current = self.checkpoints.current.as_mut()?;
        if current.ready.len() >= CHUNKS_READY_MAX || current.failed.is_some() {
            return None;
        }
        let rows = &self.plan.tables.get(current.table)?.rows;
        let id = TableId(current.table as u16);
        if current.rows.capacity() == 0 {
            current.rows = current.spares.take();
        }
        let before = current.rows.len();
        if !current.removed_done {
            current.removed_done = !rows.removed(&mut current.rows);
            let bytes = current.rows.len() - before;
            current.hand_out_rows(Section::Removed(id), current.removed_done);
            return Some(bytes);
        }
        if let Some(bytes) = rows.saved(false) {
            current.ready.push_back(Chunk { section: Section::Rows(id), bytes });
            return Some(0);
        }
        let mut slots = [0; LOOK_ROWS_MAX];
        // Slots are left behind a long row: no more are asked for before.
        let room = if current.ahead.len() > LOOK_ROWS_MAX { 0 } else { rows_max as usize };
        let (found, left) = rows.changed(&mut slots[..LOOK_ROWS_MAX.min(room)]);
        prefetch_rows(&**rows, slots[..found].iter().copied());
        let done = rows.hand_out(&current.ahead, &mut current.rows);
        current.ahead.drain(..done);
        current.ahead.extend(slots[..found].iter().copied());
        if let Some(key) = rows.too_long() {
            current.failed = Some(too_long(&self.plan.tables[current.table].name, &key));
            return Some(ARCHIVE_BYTES_MAX);
        }
        let bytes = current.rows.len() - before;
        let left = left || !current.ahead.is_empty();
        current.hand_out_rows(Section::Rows(id), !left);
        if !left {
            let saved = rows.saved(true);
            let chunk = |bytes| Chunk { section: Section::Rows(id), bytes };
            current.ready.extend(saved.map(chunk));
            (current.table, current.removed_done) = (current.table + 1, false);
        }
        (current.table < self.plan.tables.len()).then_some(bytes)
    }

    /// The next step of this core's part, if there is one now.
    pub fn take_part(&mut self) -> Option<PartStep> {
        let tables = self.plan.tables.len();
        let current = self.checkpoints.current.as_mut()?;
        if let Some(reason) = current.failed.take() {
            let epoch = current.epoch;
            self.drop_checkpoint();
            return Some(PartStep::Failed { epoch, reason });
        }
        if !std::mem::replace(&mut current.begun, true) {
            let PartEnd { epoch, since, .. } = current.end;
            return Some(PartStep::Begin { epoch, since });
        }
        if current.lanes_open == 0 && current.table == tables {
            current.hand_out_log(1);
        }
        if let Some(chunk) = current.ready.pop_front() {
            return Some(PartStep::Chunk(chunk));
        }
        if current.lanes_open > 0 || current.table < tables {
            return None;
        }
        let end = current.end.clone();
        self.checkpoints.handed_out.push_back((end.epoch, end.since == 0));
        self.drop_checkpoint();
        Some(PartStep::End(end))
    }

    fn drop_checkpoint(&mut self) {
        let Some(current) = self.checkpoints.current.take() else { return };
        self.plan.tables.iter().for_each(|table| table.rows.end_cut());
        let Checkpoint { ready, frames, rows, spares, .. } = *current;
        let pieces = ready.into_iter().map(|chunk| chunk.bytes).chain(frames).chain([rows]);
        pieces.for_each(|piece| spares.put(piece));
    }

    /// Cuts: between two turns, when everything sent is published.
    #[cold]
    fn cut(&mut self, mut wake: impl FnMut(usize)) {
        let epoch = self.checkpoints.heard;
        // One that is still under way was superseded: its coordinator has given it up.
        self.drop_checkpoint();
        self.router.mark_lanes(epoch, &mut wake);
        let since = self.cut_tables(epoch);
        let (logged, levels) = (self.lanes_open(), self.router.output_level() + 1);
        let positions = self.positions();
        let mut current = Box::new(Checkpoint {
            epoch,
            lanes_open: logged.iter().flatten().count(),
            logged,
            frames: vec![Vec::new(); levels],
            log_bytes_max: self.checkpoints.log_bytes_max,
            table: 0,
            removed_done: false,
            ahead: ArrayVec::new(),
            rows: Vec::new(),
            spares: self.checkpoints.spares.clone(),
            begun: false,
            ready: VecDeque::with_capacity(2 * CHUNKS_READY_MAX),
            end: PartEnd { epoch, since, positions, frames_bytes: 0, cost: PartCost::default() },
            failed: None,
        });
        self.replay.each_frame(|level, frame| current.log_frame(level, frame));
        self.router.each_kept(|level, frame| current.log_frame(level, frame));
        self.router.each_waiting(|level, frame| current.save_waiting(level, frame));
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

    /// By core and level: where each lane to this core is.
    // cold: once per checkpoint
    fn lanes_open(&self) -> Vec<Option<Position>> {
        let levels = self.router.output_level() + 1;
        let at = |lane: usize| {
            let (lanes, level) = (&self.inbound[lane / levels], lane % levels);
            (level < lanes.levels()).then(|| lanes.head(level))
        };
        (0..self.inbound.len() * levels).map(at).collect()
    }

    // cold: once per checkpoint
    fn positions(&self) -> Vec<SourcePosition> {
        let inlets = self.inlets.iter().flatten().filter_map(|inlet| inlet.replay_position());
        let generated = self.generated.iter().map(|generated| generated.replay_position());
        inlets.chain(generated).chain(self.checkpoints.ended.iter().copied()).collect()
    }

    /// Copies what has come in lanes that are not marked yet. Before a turn drains any of it.
    fn log_lanes(&mut self) {
        let Self { checkpoints, inbound, router, .. } = self;
        let Some(current) = &mut checkpoints.current else { return };
        let levels = router.output_level() + 1;
        for lane in 0..current.logged.len() {
            let Some(logged) = current.logged[lane] else { continue };
            let (from, level) = (lane / levels, lane % levels);
            current.logged[lane] = current.log_lane(&inbound[from], level, logged);
            current.lanes_open -= usize::from(current.logged[lane].is_none());
        }
    }
}

impl Checkpoint {
    /// How far the lane `level` from the core `from` may be drained: what follows is not logged.
    #[inline]
    pub(super) fn limit(&self, from: usize, level: usize) -> Option<Position> {
        self.logged[from * self.frames.len() + level]
    }

    /// Logs the frames of a lane from `at` on, as many as a turn would drain: so many are in the
    /// way of events, and the rest is logged before they are. Returns where the log of the lane
    /// ends; `None` when it is complete.
    fn log_lane(
        &mut self,
        lanes: &Inbound,
        level: usize,
        mut at: Position,
    ) -> Option<Position> {
        for _ in 0..LANE_FRAMES_PER_TURN {
            let seen = lanes.frame_at(level, at);
            // After the frame was seen: a sender marks before it publishes what follows the marker.
            let (epoch, passed) = lanes.marker(level, at);
            if epoch > self.epoch {
                // cold: when a checkpoint is given up
                self.failed = Some("a newer checkpoint has begun".to_owned());
                return None;
            }
            if epoch == self.epoch && passed {
                return None;
            }
            let Some((frame, next)) = seen else { break };
            self.log_frame(level, frame);
            at = next;
        }
        Some(at)
    }

    /// Keeps a frame that has found no room: those of each level behind one another, behind those
    /// of lower levels.
    fn save_waiting(&mut self, level: usize, frame: &[u8]) {
        let section = Section::Outboxes(level as u8);
        let fits =
            |last: &&mut Chunk| last.section == section && last.bytes.len() < Chunk::BYTES_MAX;
        let bytes = match self.ready.back_mut().filter(fits) {
            Some(last) => &mut last.bytes,
            None => {
                let bytes = self.spares.take();
                self.ready.push_back(Chunk { section, bytes });
                &mut self.ready.back_mut().expect("it was just put there").bytes
            }
        };
        append_frame(bytes, frame);
        self.end.frames_bytes += frame.len() as u64;
    }

    fn log_frame(&mut self, level: usize, frame: &[u8]) {
        if self.frames[level].capacity() == 0 {
            self.frames[level] = self.spares.take();
        }
        append_frame(&mut self.frames[level], frame);
        self.end.frames_bytes += frame.len() as u64;
        if self.end.frames_bytes > self.log_bytes_max {
            let reason =
                "more frames were under way than its log may hold (--checkpoint-log-bytes)";
            // cold: when a checkpoint is given up
            self.failed = Some(reason.to_owned());
        }
        if self.frames[level].len() >= Chunk::BYTES_MAX {
            self.hand_out_log(Chunk::BYTES_MAX);
        }
    }

    fn hand_out_log(&mut self, bytes_min: usize) {
        let full = |(_, frames): &(_, &mut Vec<u8>)| frames.len() >= bytes_min;
        for (level, frames) in self.frames.iter_mut().enumerate().filter(full) {
            let section = Section::Lanes(level as u8);
            self.ready.push_back(Chunk { section, bytes: std::mem::take(frames) });
        }
    }

    /// Hands records out when there are enough of them, or all of a section are there.
    fn hand_out_rows(&mut self, section: Section, all: bool) {
        if self.rows.len() >= Chunk::BYTES_MAX || (all && !self.rows.is_empty()) {
            let bytes = std::mem::take(&mut self.rows);
            self.ready.push_back(Chunk { section, bytes });
        }
    }
}

// cold: when a checkpoint is given up
fn too_long(table: &str, key: &str) -> String {
    format!(
        "the row of key {key} in table `{table}` takes more than {} MiB as it is stored, the limit \
         of one key or state: have its handler keep less in one row, and start again from the last \
         checkpoint",
        ARCHIVE_BYTES_MAX >> 20
    )
}

/// Adds a whole frame at a multiple of eight bytes, as in lanes.
fn append_frame(bytes: &mut Vec<u8>, frame: &[u8]) {
    bytes.extend_from_slice(frame);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}
