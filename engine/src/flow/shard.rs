//! What a core does with the frames of the partitions that it owns.
//!
//! A run of frames of one exchange is processed in three passes, so that a million keys cost
//! little more than a thousand: the first asks for the index lines of all, the second finds their
//! rows and asks for those, the third runs the handlers on lines that have arrived.

use arrayvec::ArrayVec;

use potoroo_runtime::{Consumer, Position};
use potoroo_sdk::host::{Host, Input, NO_SLOT, SinkId};
use potoroo_sdk::plan::{Exchange, Plan};

use super::envelope::{Edge, Header};
use super::local::Local;
use super::route::Router;
use crate::state::prefetch;

/// Frames of one run: enough to hide the latency of memory, few enough for the nearest cache.
const RUN_FRAMES: usize = 64;

/// Most frames taken from one lane in one turn.
const LANE_FRAMES_PER_TURN: usize = 128;

/// A FIFO of frames: a lane, or what a core keeps to itself.
pub(super) trait Frames {
    type Place: Copy;
    fn first(&self) -> Self::Place;
    fn frame_at(&self, place: Self::Place) -> Option<(&[u8], Self::Place)>;
    fn consume_to(&mut self, place: Self::Place);
}

impl Frames for Consumer {
    type Place = Position;
    #[inline(always)]
    fn first(&self) -> Position {
        self.head()
    }
    #[inline(always)]
    fn frame_at(&self, place: Position) -> Option<(&[u8], Position)> {
        Consumer::frame_at(self, place)
    }
    #[inline(always)]
    fn consume_to(&mut self, place: Position) {
        Consumer::consume_to(self, place);
    }
}

impl Frames for Local {
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
}

/// Latencies that end with this turn: path and ingress.
pub(super) type Ends = Vec<(u16, u64)>;

/// Processes frames until none is left, the router is blocked or the turn's share is used up.
/// Returns how many.
pub(super) fn drain<F: Frames>(
    plan: &Plan,
    router: &mut Router,
    frames: &mut F,
    ends: &mut Ends,
) -> usize {
    let mut total = 0;
    router.begin();
    while total < LANE_FRAMES_PER_TURN && !router.blocked() {
        let Some((frame, _)) = frames.frame_at(frames.first()) else { break };
        let done = match Header::read(frame).0.edge {
            Edge::Exchange(id) => drain_run(&plan.exchanges[id as usize], id, router, frames, ends),
            Edge::Output(_) => drain_outputs(router, frames),
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
fn drain_run<F: Frames>(
    exchange: &Exchange,
    id: u16,
    router: &mut Router,
    frames: &mut F,
    ends: &mut Ends,
) -> usize {
    let mut inputs = ArrayVec::<Input<'_>, RUN_FRAMES>::new();
    let mut places = ArrayVec::<F::Place, RUN_FRAMES>::new();
    let mut place = frames.first();
    while let Some((frame, next)) = frames.frame_at(place) {
        let (header, archive) = Header::read(frame);
        if header.edge != Edge::Exchange(id) {
            break;
        }
        inputs.push(Input { archive, hash: header.hash, slot: NO_SLOT, cause: header.cause });
        places.push(next);
        place = next;
        if inputs.is_full() {
            break;
        }
    }
    if inputs.len() > 1 {
        look_ahead(exchange, router, &mut inputs);
    }
    let done = exchange.stage.batch(&inputs, router);
    if let Some(table) = exchange.end {
        let path = |input: &Input<'_>| router.table_path(&input.cause, table);
        let inputs = inputs[..done].iter();
        ends.extend(inputs.filter_map(|input| Some((path(input)?, input.cause.ingress))));
    }
    if done > 0 {
        let place = places[done - 1];
        drop(inputs);
        frames.consume_to(place);
    }
    done
}

/// The first two passes: index lines, then rows.
#[inline]
fn look_ahead(exchange: &Exchange, router: &Router, inputs: &mut [Input<'_>]) {
    let Some(table) = exchange.table else { return };
    let index = &router.indexes[table.0 as usize];
    for input in inputs.iter() {
        prefetch(index.address(input.hash));
    }
    let mut slots = [NO_SLOT; RUN_FRAMES];
    for (input, slot) in inputs.iter_mut().zip(&mut slots) {
        *slot = index.first(input.hash).unwrap_or(NO_SLOT);
        input.slot = *slot;
    }
    let rows = &router.rows[table.0 as usize];
    let mut addresses = [std::ptr::null(); RUN_FRAMES];
    rows.addresses(&slots[..inputs.len()], &mut addresses);
    for address in addresses[..inputs.len()].iter().filter(|address| !address.is_null()) {
        prefetch(*address);
        prefetch(address.wrapping_add(LINE_BYTES));
    }
}

/// A row of up to 64 bytes of state lies in two lines.
const LINE_BYTES: usize = 64;

/// Hands the outputs at the front to the sinks and connections of this core.
fn drain_outputs<F: Frames>(router: &mut Router, frames: &mut F) -> usize {
    let mut done = 0;
    let mut place = frames.first();
    while let Some((frame, next)) = frames.frame_at(place) {
        let (header, body) = Header::read(frame);
        let Edge::Output(sink) = header.edge else { break };
        let sink = SinkId(sink);
        if done == LANE_FRAMES_PER_TURN || router.outputs.full(sink, &header.cause) {
            break;
        }
        router.outputs.add(sink, &header.cause, body, &mut router.counts);
        done += 1;
        place = next;
    }
    frames.consume_to(place);
    done
}
