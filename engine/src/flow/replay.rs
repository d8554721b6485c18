//! What a core gets back from a checkpoint: rows of its partitions, and the frames that were under
//! way to them.
//!
//! Frames are replayed highest level first, those of lanes before those that had found no room. A
//! lane opens when no frame of its level or a higher one is left, the sources open last: so what
//! followed a frame follows it again. What is not yet replayed belongs to the next
//! checkpoint.

use potoroo_runtime::Nanos;
use potoroo_sdk::host::{Cause, ExchangeId, Host, SinkId, SourceId, TableId, UnderWay};
use potoroo_sdk::plan::Plan;
use potoroo_sdk::table::Record;
use potoroo_sdk::value::Corrupt;

use super::connection::ConnectionId;
use super::envelope::{FrameEdge, Header, split_stored};
use super::inlets::Inlets;
use super::local::Local;
use super::route::Router;
use super::shard;
use super::skip::{SKIPPED, Skips};
use crate::checkpoint::{Chunk, DRAIN, Renumbering, Section};

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
        let done = shard::drain(plan, under_way, router, &mut self.levels[level], None);
        if self.level().is_none() {
            self.levels = Vec::new(); // cold: gives the memory back, once
        }
        done
    }
}

/// Where a stored frame goes on, in present numbers.
struct Destination {
    level: usize,
    edge: u16,
    source: SourceId,
}

/// Adds a frame that enters again at `now`.
// cold: at start
fn push(into: &mut Vec<Vec<u8>>, to: &Destination, frame: &[u8], now: Nanos) {
    let level = to.level;
    if into.len() <= level {
        into.resize_with(level + 1, Vec::new);
    }
    let bytes = &mut into[level];
    let start = bytes.len();
    bytes.extend_from_slice(frame);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    // Its time was that of another run's clock.
    Header::enter_again(&mut bytes[start..], now);
    Header::renumber(&mut bytes[start..], to.edge, to.source);
}

/// Why a core cannot take back its share of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The chunk does not fit the application.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// Events were under way to an exchange that has other keys or events than before.
    #[error("events were under way to `{exchange}`, which has other keys or events now: {DRAIN}")]
    Keys {
        /// The exchange.
        exchange: String,
    },
}

/// What of a core takes back its share of a checkpoint.
pub(super) struct Restoring<'a> {
    pub(super) core: usize,
    pub(super) plan: &'a Plan,
    pub(super) router: &'a mut Router,
    pub(super) inlets: &'a mut Inlets,
    pub(super) skips: &'a Skips,
    pub(super) replay: &'a mut Replay,
    pub(super) numbers: &'a Renumbering,
}

impl Restoring<'_> {
    /// Restores the records of a chunk, or what is this core's of its frames, at `now`.
    ///
    /// # Errors
    /// The chunk does not fit the application.
    // cold: at start
    pub(super) fn restore(&mut self, chunk: &Chunk, now: Nanos) -> Result<(), RestoreError> {
        match chunk.section {
            Section::Rows(table) => Ok(self.restore_rows(table, &chunk.bytes, true)?),
            Section::Removed(table) => Ok(self.restore_rows(table, &chunk.bytes, false)?),
            Section::Lanes(level) => self.restore_frames(level, &chunk.bytes, false, now),
            Section::Outboxes(level) => self.restore_frames(level, &chunk.bytes, true, now),
        }
    }

    fn restore_rows(&mut self, table: TableId, bytes: &[u8], present: bool) -> Result<(), Corrupt> {
        let Some(table) = self.numbers.table(table).ok_or(Corrupt)? else {
            // The operator has dropped it.
            return Ok(());
        };
        let at = usize::from(table.0);
        let rows = &self.plan.tables.get(at).ok_or(Corrupt)?.rows;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (record, left) = Record::split(rest).ok_or(Corrupt)?;
            rest = left;
            assert_eq!(self.router.owner(record.hash), self.core, "a record goes to its owner");
            let index = &mut self.router.tables.indexes[at];
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
    ) -> Result<(), RestoreError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (frame, left) = split_stored(rest).ok_or(Corrupt)?;
            rest = left;
            let (header, body) = Header::try_read(frame).ok_or(Corrupt)?;
            if let Some(to) = self.destination(usize::from(level), &header, body)? {
                let Replay { outboxes, lanes, .. } = self.replay;
                push(if waited { outboxes } else { lanes }, &to, frame, now);
            }
        }
        Ok(())
    }

    /// Where a frame that was stored at `level` goes on, if this core is the one that it is for.
    fn destination(
        &mut self,
        level: usize,
        header: &Header,
        body: &[u8],
    ) -> Result<Option<Destination>, RestoreError> {
        let origin = ConnectionId(header.cause.origin.connection);
        if origin.core().is_some() {
            // Its id is given to no connection of this run, which would get what is replied to it.
            self.inlets.raise_serial(origin.serial());
        }
        let source = self.numbers.source(header.cause.source);
        match header.edge {
            FrameEdge::Exchange(id) => {
                if self.numbers.level(ExchangeId(id)) != Some(level) {
                    return Err(Corrupt.into());
                }
                let ExchangeId(edge) = self.numbers.exchange(ExchangeId(id)).ok_or(Corrupt)?;
                let source = source.ok_or(Corrupt)?;
                if self.router.owner(header.hash) != self.core {
                    return Ok(None);
                }
                let exchange = &self.plan.exchanges[usize::from(edge)];
                // The program may give keys by another function than before.
                if exchange.stage.hash(body) != Ok(header.hash) {
                    return Err(RestoreError::Keys { exchange: exchange.label.clone() });
                }
                let level = usize::from(exchange.level);
                let cause = Cause { source, ..header.cause };
                Ok((!self.skips_frame(&cause)).then_some(Destination { level, edge, source }))
            }
            FrameEdge::Output(id) => {
                if level != self.numbers.output_level() {
                    return Err(Corrupt.into());
                }
                let Some(SinkId(edge)) = self.numbers.sink(SinkId(id)).ok_or(Corrupt)? else {
                    // The operator has dropped it.
                    return Ok(None);
                };
                if self.plan.sinks[usize::from(edge)].name.is_some() {
                    let source = source.ok_or(Corrupt)?;
                    let cause = Cause { source, ..header.cause };
                    let ours = self.router.outputs.owner(SinkId(edge), &cause) == self.core;
                    let level = self.router.output_level();
                    return Ok(ours.then_some(Destination { level, edge, source }));
                }
                // Its connection is gone with the process that had it: one core counts it.
                let lost = self.core == 0 && origin.core().is_some();
                self.router.counts.replies_lost += u64::from(lost);
                Ok(None)
            }
        }
    }

    /// Whether a frame is left of an event that is skipped.
    // cold: at start
    fn skips_frame(&mut self, cause: &Cause) -> bool {
        let skipped = self.skips.meet(cause);
        if skipped {
            // Not its input, of which bytes would be shown, but what was made of it.
            self.router.refuse(cause, SKIPPED, &[]);
        }
        skipped
    }
}
