//! The part that a core makes for one checkpoint, from its snapshot to its end.
//!
//! ```text
//!   snapshot   positions, waiting frames, tables that copy a row before it changes
//!   log        frames of each lane up to its sender's marker, ahead of their processing
//!   rows       changed rows, up to 16 at a time
//!   end        every lane is logged, every row handed out
//! ```
//!
//! Owns rows and frames that the driver has not taken yet. Everything is written into buffers of
//! one size, which come back when they were stored.
//!
//! Cold: nothing here runs per event.

use std::collections::VecDeque;

use arrayvec::ArrayVec;
use potoroo_runtime::Inbound;
use potoroo_sdk::host::TableId;
use potoroo_sdk::plan::Plan;
use potoroo_sdk::value::ARCHIVE_BYTES_MAX;

use super::channel_log::ChannelLog;
use super::cost::PartCost;
use super::look_ahead::prefetch_rows;
use super::part::{PartEnd, PartStep};
use super::positions::ReadPosition;
use crate::checkpoint::{Chunk, Epoch, PartitionSet, Section};
use crate::state::{Capture, Spares};

/// Most rows of one look: about as many lines as memory fetches at the same time.
const LOOK_ROWS_MAX: usize = 16;

/// Chunks ready for the driver: at this number no further rows are read.
const CHUNKS_READY_MAX: usize = 4;

/// A part that has not ended.
pub(super) struct OpenPart {
    channel_log: ChannelLog,
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
    /// Why the rows cannot be handed out.
    failed: Option<String>,
}

impl OpenPart {
    /// The part for `epoch` of the rows that changed since the epoch `since` in the partitions
    /// `covers`, with an empty `channel_log`.
    // cold: once per checkpoint
    pub(super) fn new(
        (epoch, since): (Epoch, Epoch),
        covers: PartitionSet,
        positions: Vec<ReadPosition>,
        channel_log: ChannelLog,
        spares: &Spares,
    ) -> Self {
        let (frames_bytes, cost) = (0, PartCost::default());
        Self {
            channel_log,
            table: 0,
            removed_done: false,
            ahead: ArrayVec::new(),
            rows: Vec::new(),
            spares: spares.clone(),
            begun: false,
            ready: VecDeque::with_capacity(2 * CHUNKS_READY_MAX),
            end: PartEnd { epoch, since, covers, positions, frames_bytes, cost },
            failed: None,
        }
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.end.epoch
    }

    /// Whether it holds all rows.
    pub(super) fn is_full(&self) -> bool {
        self.end.since.is_none()
    }

    /// The channel log.
    #[inline]
    pub(super) fn channel_log(&self) -> &ChannelLog {
        &self.channel_log
    }

    /// Logs a frame of the core to itself that it has still to process.
    pub(super) fn log_frame(&mut self, level: usize, frame: &[u8]) {
        self.channel_log.add(level, frame, None, &mut self.ready);
    }

    /// Logs a frame that came back from a checkpoint, as it is.
    pub(super) fn log_replayed(&mut self, level: usize, frame: &[u8]) {
        self.channel_log.add_replayed(level, frame, &mut self.ready);
    }

    /// Saves a frame that has found no room.
    pub(super) fn save_waiting(&mut self, level: usize, frame: &[u8]) {
        self.channel_log.add_waiting(level, frame, &mut self.ready);
    }

    /// Logs what has come in lanes that are not marked yet.
    pub(super) fn log_lanes(&mut self, inbound: &[Inbound]) {
        self.channel_log.log_lanes(inbound, &mut self.ready);
    }

    /// Reads up to `rows_max` rows, 16 at most, and prefetches the next ones. Returns how
    /// many bytes that gave, if there is more to look at now: not while chunks wait to be taken.
    // cold: while a checkpoint is under way
    pub(super) fn look(
        &mut self,
        plan: &Plan,
        captures: &mut [Capture],
        rows_max: u32,
    ) -> Option<usize> {
        if self.ready.len() >= CHUNKS_READY_MAX || self.failed().is_some() {
            return None;
        }
        let capture = captures.get_mut(self.table)?;
        if self.rows.capacity() == 0 {
            self.rows = self.spares.take();
        }
        if !self.removed_done {
            return Some(self.look_at_removed(capture));
        }
        if let Some(bytes) = capture.saved(false) {
            let section = Section::Rows(TableId(self.table as u16));
            self.ready.push_back(Chunk { section, bytes });
            return Some(0);
        }
        self.look_at_rows(plan, capture, rows_max)
    }

    fn look_at_removed(&mut self, capture: &mut Capture) -> usize {
        let before = self.rows.len();
        self.removed_done = !capture.removed(&mut self.rows);
        let bytes = self.rows.len() - before;
        self.hand_out_rows(Section::Removed(TableId(self.table as u16)), self.removed_done);
        bytes
    }

    fn look_at_rows(&mut self, plan: &Plan, capture: &mut Capture, rows_max: u32) -> Option<usize> {
        let section = Section::Rows(TableId(self.table as u16));
        let before = self.rows.len();
        let mut slots = [0; LOOK_ROWS_MAX];
        // After a long row, prefetched slots are left over: no new ones before they are written.
        let room = if self.ahead.len() > LOOK_ROWS_MAX { 0 } else { rows_max as usize };
        let (found, left) = capture.changed(&mut slots[..LOOK_ROWS_MAX.min(room)]);
        prefetch_rows(capture.rows(), slots[..found].iter().copied());
        let done = capture.write_rows(&self.ahead, &mut self.rows);
        self.ahead.drain(..done);
        self.ahead.extend(slots[..found].iter().copied());
        if let Some(key) = capture.too_long() {
            self.failed = Some(too_long(&plan.tables[self.table].name, key));
            return Some(ARCHIVE_BYTES_MAX);
        }
        let bytes = self.rows.len() - before;
        let left = left || !self.ahead.is_empty();
        self.hand_out_rows(section, !left);
        if !left {
            let saved = capture.saved(true);
            self.ready.extend(saved.map(|bytes| Chunk { section, bytes }));
            (self.table, self.removed_done) = (self.table + 1, false);
        }
        (self.table < plan.tables.len()).then_some(bytes)
    }

    /// Hands records out when there are enough of them, or all of a section are there.
    fn hand_out_rows(&mut self, section: Section, all: bool) {
        if self.rows.len() >= Chunk::BYTES_MAX || (all && !self.rows.is_empty()) {
            let bytes = std::mem::take(&mut self.rows);
            self.ready.push_back(Chunk { section, bytes });
        }
    }

    /// The next step, if there is one now. After an end and a failure there is none.
    pub(super) fn take(&mut self, tables: usize) -> Option<PartStep> {
        let PartEnd { epoch, since, .. } = self.end;
        if let Some(reason) = self.failed() {
            // cold: when a checkpoint is aborted
            return Some(PartStep::Failed { epoch, reason: reason.to_owned() });
        }
        if !std::mem::replace(&mut self.begun, true) {
            return Some(PartStep::Begin { epoch, since });
        }
        let complete = !self.channel_log.is_open() && self.table == tables;
        if complete {
            self.channel_log.hand_out(1, &mut self.ready);
        }
        if let Some(chunk) = self.ready.pop_front() {
            return Some(PartStep::Chunk(chunk));
        }
        let frames_bytes = self.channel_log.bytes();
        complete.then(|| PartStep::End(PartEnd { frames_bytes, ..self.end.clone() }))
    }

    fn failed(&self) -> Option<&str> {
        self.failed.as_deref().or(self.channel_log.failed())
    }

    /// Gives its buffers back.
    pub(super) fn give_back(self) {
        let Self { ready, channel_log, rows, spares, .. } = self;
        let chunks = ready.into_iter().map(|chunk| chunk.bytes);
        chunks.chain([rows]).for_each(|bytes| spares.put(bytes));
        channel_log.give_back();
    }
}

// cold: when a checkpoint is aborted
fn too_long(table: &str, key: &str) -> String {
    format!(
        "the row of key {key} in table `{table}` takes more than {} MiB as it is stored, the limit \
         of one key or state: have its handler keep less in one row, and start again from the last \
         checkpoint",
        ARCHIVE_BYTES_MAX >> 20
    )
}
