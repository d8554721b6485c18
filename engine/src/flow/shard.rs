//! What a core does with the frames of the partitions that it owns.
//!
//! A run of frames of one exchange is processed in three passes, so that a million keys cost
//! little more than a thousand: the first asks for the index lines of all, the second finds their
//! rows and asks for those, the third runs the handlers on lines that have arrived.

use arrayvec::ArrayVec;

use potoroo_runtime::{InboundLane, Position};
use potoroo_sdk::host::{Host, Input, NO_SLOT, SinkId, UnderWay};
use potoroo_sdk::plan::{Exchange, Plan};
use potoroo_sdk::table::{BLOCK_ROWS, TableRows};

use super::envelope::{FrameEdge, Header};
use super::gauges::Stage;
use super::local::Local;
use super::route::Router;
use crate::state::{Index, prefetch};

/// Frames of one run: enough to hide the latency of memory, few enough for the nearest cache.
const RUN_FRAMES: usize = 64;

/// Most frames taken from one lane in one turn.
pub(super) const LANE_FRAMES_PER_TURN: usize = 128;

/// A FIFO of frames: a lane, or what a core keeps to itself.
pub(super) trait FrameQueue {
    type Place: Copy;
    fn first(&self) -> Self::Place;
    fn frame_at(&self, place: Self::Place) -> Option<(&[u8], Self::Place)>;
    fn consume_to(&mut self, place: Self::Place);
    /// Whether a frame that was seen may follow a marker for which this core has to take a snapshot
    /// first.
    fn marked(&self) -> bool;
}

impl FrameQueue for InboundLane<'_> {
    type Place = Position;
    #[inline(always)]
    fn first(&self) -> Position {
        self.head()
    }
    #[inline(always)]
    fn frame_at(&self, place: Position) -> Option<(&[u8], Position)> {
        InboundLane::frame_at(self, place)
    }
    #[inline(always)]
    fn consume_to(&mut self, place: Position) {
        InboundLane::consume_to(self, place);
    }
    #[inline(always)]
    fn marked(&self) -> bool {
        InboundLane::marked(self)
    }
}

impl FrameQueue for Local {
    type Place = usize;
    #[inline(always)]
    fn first(&self) -> usize {
        0
    }
    #[inline(always)]
    fn frame_at(&self, place: usize) -> Option<(&[u8], usize)> {
        Local::frame_at(self, place)
    }
    #[inline(always)]
    fn consume_to(&mut self, place: usize) {
        Local::consume_to(self, place);
    }
    #[inline(always)]
    fn marked(&self) -> bool {
        false
    }
}

/// Processes frames until none is left, the router is blocked or the turn's share is used up.
/// Returns how many.
pub(super) fn drain<F: FrameQueue>(
    plan: &Plan,
    under_way: &UnderWay,
    router: &mut Router,
    frames: &mut F,
) -> usize {
    let mut total = 0;
    router.begin();
    while total < LANE_FRAMES_PER_TURN && !router.blocked() {
        let Some((frame, _)) = frames.frame_at(frames.first()) else { break };
        let done = match Header::read(frame).0.edge {
            FrameEdge::Exchange(id) => {
                drain_run(&plan.exchanges[id as usize], id, under_way, router, frames)
            }
            FrameEdge::Output(_) => drain_outputs(router, frames),
        };
        if done == 0 {
            break;
        }
        total += done;
    }
    total
}

/// Processes the frames at the front that belong to one exchange.
#[inline]
fn drain_run<F: FrameQueue>(
    exchange: &Exchange,
    id: u16,
    under_way: &UnderWay,
    router: &mut Router,
    frames: &mut F,
) -> usize {
    router.gauges.begin(Stage::Exchange(id));
    let mut inputs = ArrayVec::<Input<'_>, RUN_FRAMES>::new();
    let mut places = ArrayVec::<F::Place, RUN_FRAMES>::new();
    let index = exchange.table.map(|table| &router.indexes[table.0 as usize]);
    let mut place = frames.first();
    while let Some((frame, next)) = frames.frame_at(place) {
        let (header, archive) = Header::read(frame);
        if header.edge != FrameEdge::Exchange(id) {
            break;
        }
        let bucket = index.map_or(NO_SLOT, |index| look_up(index, header.hash));
        inputs.push(Input { archive, hash: header.hash, slot: bucket, cause: header.cause });
        places.push(next);
        place = next;
        if inputs.is_full() {
            break;
        }
    }
    if frames.marked() {
        return 0;
    }
    if let (Some(table), Some(index)) = (exchange.table, index) {
        look_ahead(index, &*router.rows[table.0 as usize], &mut inputs);
    }
    let done = exchange.stage.batch(&inputs, under_way, router);
    under_way.end();
    if let Some(table) = exchange.end {
        inputs[..done].iter().for_each(|input| router.ends.add(table, &input.cause));
    }
    if done > 0 {
        let place = places[done - 1];
        drop(inputs);
        frames.consume_to(place);
    }
    done
}

/// The first pass: asks for the bucket of a hash. Returns its number.
#[inline(always)]
fn look_up(index: &Index, hash: u64) -> u32 {
    let bucket = index.bucket(hash);
    prefetch(index.address(bucket));
    bucket
}

/// The second pass: turns bucket numbers into slots and asks for the lines of their rows.
#[inline]
fn look_ahead(index: &Index, rows: &dyn TableRows, inputs: &mut [Input<'_>]) {
    for input in inputs.iter_mut() {
        input.slot = index.first_in(input.slot, input.hash).unwrap_or(NO_SLOT);
    }
    if inputs.len() == 1 {
        return;
    }
    let slots = inputs.iter().map(|input| input.slot);
    prefetch_rows(rows, slots.filter(|slot| *slot != NO_SLOT));
}

/// Asks for the lines of rows.
#[inline]
pub(super) fn prefetch_rows(rows: &dyn TableRows, mut slots: impl Iterator<Item = u32>) {
    let row_bytes = rows.row_bytes();
    rows.with_addresses(&mut |chunks| {
        for slot in slots.by_ref() {
            let slot = slot as usize;
            let row = chunks[slot / BLOCK_ROWS].wrapping_add(slot % BLOCK_ROWS * row_bytes);
            prefetch(row);
            prefetch(row.wrapping_add(LINE_BYTES));
        }
    });
}

/// A row of up to 64 bytes of state lies in two lines.
const LINE_BYTES: usize = 64;

/// Hands the outputs at the front to the sinks and connections of this core.
fn drain_outputs<F: FrameQueue>(router: &mut Router, frames: &mut F) -> usize {
    let mut done = 0;
    let mut place = frames.first();
    while let Some((frame, next)) = frames.frame_at(place) {
        let (header, body) = Header::read(frame);
        let FrameEdge::Output(sink) = header.edge else { break };
        let sink = SinkId(sink);
        let full = done == LANE_FRAMES_PER_TURN || router.outputs.full(sink, &header.cause);
        if full || frames.marked() {
            break;
        }
        router.outputs.add(sink, &header.cause, body, &mut router.counts);
        done += 1;
        place = next;
    }
    frames.consume_to(place);
    done
}
