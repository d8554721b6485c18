//! What a core gets back from a checkpoint: rows of its partitions, and the frames that were under
//! way to them.
//!
//! Frames are replayed highest level first, those of lanes before those that had found no room. A
//! lane opens when no frame of its level or a higher one is left, the sources open last: so what
//! followed a frame follows it again. What is not yet replayed belongs to the next
//! checkpoint.

use potoroo_runtime::Nanos;
use potoroo_sdk::host::{Host, SinkId, TableId, UnderWay};
use potoroo_sdk::plan::Plan;
use potoroo_sdk::table::{Record, SlotIndex};
use potoroo_sdk::value::Corrupt;

use super::connection::ConnectionId;
use super::envelope::{FrameEdge, Header, LENGTH_BYTES};
use super::inlets::Inlets;
use super::local::Local;
use super::route::Router;
use super::shard;
use super::skip::{SKIPPED, Skips};
use crate::checkpoint::{Chunk, Section};
use crate::state::Index;

/// Frames to be processed before anything new.
#[derive(Default)]
pub(super) struct Replay {
    /// By level, from the lanes.
    levels: Vec<Local>,
    /// While it is being filled: by level, from lanes and from outboxes.
    lanes: Vec<Vec<u8>>,
    outboxes: Vec<Vec<u8>>,
}

impl Replay {
    /// The highest level of which frames are left.
    #[inline]
    pub(super) fn level(&self) -> Option<usize> {
        if self.levels.is_empty() { None } else { self.level_left() }
    }

    #[cold]
    fn level_left(&self) -> Option<usize> {
        self.levels.iter().rposition(|frames| !frames.is_empty())
    }

    /// Shows each frame that is left, in order within its level.
    pub(super) fn each_frame(&self, mut show: impl FnMut(usize, &[u8])) {
        for (level, frames) in self.levels.iter().enumerate() {
            frames.each(|frame| show(level, frame));
        }
    }

    /// Everything was restored: what came back is put in order.
    // cold: at start
    pub(super) fn finish(&mut self) {
        let (mut lanes, mut outboxes) =
            (std::mem::take(&mut self.lanes), std::mem::take(&mut self.outboxes));
        let levels = lanes.len().max(outboxes.len());
        lanes.resize_with(levels, Vec::new);
        outboxes.resize_with(levels, Vec::new);
        let joined = lanes.into_iter().zip(outboxes).map(|(mut frames, mut waiting)| {
            frames.append(&mut waiting);
            Local::filled(frames)
        });
        self.levels = joined.collect();
    }

    /// Processes frames that came back, of the highest level of which any are left.
    #[cold]
    pub(super) fn drain(
        &mut self,
        plan: &Plan,
        under_way: &UnderWay,
        router: &mut Router,
    ) -> usize {
        let Some(level) = self.level() else { return 0 };
        if level != router.output_level() && !router.admits(level) {
            return 0;
        }
        let done = shard::drain(plan, under_way, router, &mut self.levels[level]);
        if self.level().is_none() {
            self.levels = Vec::new(); // cold: gives the memory back, once
        }
        done
    }
}

/// Adds a frame that enters again at `now`.
// cold: at start
fn push(into: &mut Vec<Vec<u8>>, level: usize, frame: &[u8], now: Nanos) {
    if into.len() <= level {
        into.resize_with(level + 1, Vec::new);
    }
    let bytes = &mut into[level];
    let start = bytes.len();
    bytes.extend_from_slice(frame);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    // Its time was that of another run's clock.
    Header::enter_again(&mut bytes[start..], now);
}

/// What of a core takes back its share of a checkpoint.
pub(super) struct Restoring<'a> {
    pub(super) core: usize,
    pub(super) plan: &'a Plan,
    pub(super) router: &'a mut Router,
    pub(super) inlets: &'a mut Inlets,
    pub(super) skips: &'a Skips,
    pub(super) replay: &'a mut Replay,
}

impl Restoring<'_> {
    /// Takes what is this core's out of a chunk of a checkpoint, at `now`.
    ///
    /// # Errors
    /// The chunk does not fit the application.
    // cold: at start
    pub(super) fn restore(&mut self, chunk: &Chunk, now: Nanos) -> Result<(), Corrupt> {
        match chunk.section {
            Section::Rows(table) => self.restore_rows(table, &chunk.bytes, true),
            Section::Removed(table) => self.restore_rows(table, &chunk.bytes, false),
            Section::Lanes(level) => self.restore_frames(level, &chunk.bytes, false, now),
            Section::Outboxes(level) => self.restore_frames(level, &chunk.bytes, true, now),
        }
    }

    fn restore_rows(&mut self, table: TableId, bytes: &[u8], present: bool) -> Result<(), Corrupt> {
        let at = usize::from(table.0);
        let rows = &self.plan.tables.get(at).ok_or(Corrupt)?.rows;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (record, left) = Record::split(rest).ok_or(Corrupt)?;
            rest = left;
            if self.router.owner(record.hash) != self.core {
                continue;
            }
            let index = &mut self.router.indexes[at];
            match present {
                true => rows.restore(record, index)?,
                false => rows.forget(record, index)?,
            }
        }
        Ok(())
    }

    fn restore_frames(
        &mut self,
        level: u8,
        bytes: &[u8],
        waited: bool,
        now: Nanos,
    ) -> Result<(), Corrupt> {
        let mut rest = bytes;
        while let Some(length) = rest.first_chunk::<LENGTH_BYTES>() {
            let length = u32::from_le_bytes(*length) as usize;
            let frame = rest.get(..length).ok_or(Corrupt)?;
            rest = rest.get(length.next_multiple_of(8)..).ok_or(Corrupt)?;
            if self.takes_frame(usize::from(level), frame)? {
                let Replay { outboxes, lanes, .. } = self.replay;
                let into = if waited { outboxes } else { lanes };
                push(into, level.into(), frame, now);
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(Corrupt) }
    }

    /// Whether this core is the one that a frame is for.
    fn takes_frame(&mut self, level: usize, frame: &[u8]) -> Result<bool, Corrupt> {
        let (header, _) = Header::try_read(frame).ok_or(Corrupt)?;
        let origin = ConnectionId(header.cause.origin.connection);
        if origin.core().is_some() {
            // Its id is given to no connection of this run, which would get what is replied to it.
            self.inlets.raise_serial(origin.serial());
        }
        match header.edge {
            FrameEdge::Exchange(id) => {
                let exchange = self.plan.exchanges.get(usize::from(id)).ok_or(Corrupt)?;
                if usize::from(exchange.level) != level {
                    return Err(Corrupt);
                }
                Ok(self.router.owner(header.hash) == self.core && !self.skips_frame(&header))
            }
            FrameEdge::Output(id) => {
                let sink = self.plan.sinks.get(usize::from(id)).ok_or(Corrupt)?;
                if level != self.router.output_level() {
                    return Err(Corrupt);
                }
                if sink.name.is_some() {
                    return Ok(self.router.outputs.owner(SinkId(id), &header.cause) == self.core);
                }
                // Its connection is gone with the process that had it: one core counts it.
                let lost = self.core == 0 && origin.core().is_some();
                self.router.counts.replies_lost += u64::from(lost);
                Ok(false)
            }
        }
    }

    /// Whether a frame is left of an event that is skipped.
    // cold: at start
    fn skips_frame(&mut self, header: &Header) -> bool {
        let skipped = self.skips.meet(&header.cause);
        if skipped {
            // Not its input, of which bytes would be shown, but what was made of it.
            self.router.refuse(&header.cause, SKIPPED, &[]);
        }
        skipped
    }
}

impl SlotIndex for Index {
    fn find(&mut self, hash: u64, previous: Option<u32>) -> Option<u32> {
        match previous {
            None => self.first(hash),
            previous => self.after(hash, previous),
        }
    }

    fn bind(&mut self, hash: u64, slot: u32) {
        self.insert(hash, slot);
    }

    fn unbind(&mut self, hash: u64, slot: u32) {
        self.remove(hash, slot);
    }
}
