//! What a core does with the frames of the partitions that it owns.
//!
//! A run of frames of one exchange is one batch of its stage.

use arrayvec::ArrayVec;

use potoroo_runtime::{InboundLane, Position};
use potoroo_sdk::host::{BATCH_EVENTS, Cause, Host, Inputs, NO_SLOT, SinkId, Timing, UnderWay};
use potoroo_sdk::plan::{Exchange, Plan};
use potoroo_sdk::time::EventTime;

use super::envelope::{FrameEdge, Header};
use super::gauges::Stage;
use super::local::Local;
use super::route::Router;

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
/// They come from the core at the seat `from`, or from a checkpoint: then what they are stamped
/// with is for their own rows only. Returns how many.
pub(super) fn drain<F: FrameQueue>(
    plan: &Plan,
    under_way: &UnderWay,
    router: &mut Router,
    frames: &mut F,
    from: Option<usize>,
) -> usize {
    let mut total = 0;
    router.begin();
    while total < LANE_FRAMES_PER_TURN && !router.blocked() {
        let Some((frame, _)) = frames.frame_at(frames.first()) else { break };
        let done = match Header::read(frame).0.edge {
            FrameEdge::Exchange(id) => {
                let exchange = &plan.exchanges[id as usize];
                drain_run((exchange, id), under_way, router, frames, from)
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
    (exchange, id): (&Exchange, u16),
    under_way: &UnderWay,
    router: &mut Router,
    frames: &mut F,
    from: Option<usize>,
) -> usize {
    router.gauges.begin(Stage::Exchange(id));
    let mut archives = ArrayVec::<&[u8], BATCH_EVENTS>::new();
    let mut hashes = ArrayVec::<u64, BATCH_EVENTS>::new();
    let mut causes = ArrayVec::<Cause, BATCH_EVENTS>::new();
    let batch_max = router.batch_max();
    let mut place = frames.first();
    while let Some((frame, next)) = frames.frame_at(place) {
        let (header, archive) = Header::read(frame);
        if header.edge != FrameEdge::Exchange(id) {
            break;
        }
        archives.push(archive);
        hashes.push(header.hash);
        causes.push(header.cause);
        place = next;
        if archives.len() == batch_max {
            break;
        }
    }
    if frames.marked() {
        return 0;
    }
    let mut timings = ArrayVec::<Timing, BATCH_EVENTS>::new();
    if exchange.time {
        read_timings(frames, archives.len(), &mut timings);
    }
    let stamps = stamps(exchange, router, from, &mut timings);
    let mut slots = [NO_SLOT; BATCH_EVENTS];
    let slots = &mut slots[..hashes.len()];
    if let Some(table) = exchange.table {
        let own = u64::MAX >> (BATCH_EVENTS - hashes.len());
        router.tables.look_ahead(table, own, &hashes, slots);
    }
    let inputs =
        Inputs { archives: &archives, hashes: &hashes, slots, causes: &causes, timings: &timings };
    let done = exchange.stage.batch(inputs, under_way, router);
    under_way.end();
    if let Some((number, from)) = exchange.watermark.zip(from)
        && let Some(stamp) = stamps.get(done.wrapping_sub(1))
    {
        router.watermarks.hear(number, from, *stamp);
    }
    if let Some(table) = exchange.end {
        router.ends.add_all(table, causes[..done].iter());
    }
    if done < archives.len() {
        place = place_after(frames, done);
    }
    drop(archives);
    frames.consume_to(place);
    done
}

/// Reads the times of the first `count` frames: in a pass of its own, which exchanges without times
/// do without.
#[inline(never)]
fn read_timings<F: FrameQueue>(
    frames: &F,
    count: usize,
    timings: &mut ArrayVec<Timing, BATCH_EVENTS>,
) {
    let mut place = frames.first();
    for _ in 0..count {
        let (frame, next) = frames.frame_at(place).expect("it was seen before");
        timings.push(Header::timing(frame).unwrap_or(Timing::UNKNOWN));
        place = next;
    }
}

/// Gives each event the watermark before it, if something uses that. Returns what their frames were
/// stamped with.
#[inline]
fn stamps(
    exchange: &Exchange,
    router: &Router,
    from: Option<usize>,
    timings: &mut [Timing],
) -> ArrayVec<EventTime, BATCH_EVENTS> {
    let mut stamps = ArrayVec::new();
    if let Some((number, from)) = exchange.watermark.zip(from) {
        stamps.extend(timings.iter().map(|timing| timing.watermark));
        router.watermarks.enter(number, from, timings);
    }
    stamps
}

/// The place after the first `count` frames.
#[cold]
fn place_after<F: FrameQueue>(frames: &F, count: usize) -> F::Place {
    let next = |place, _| frames.frame_at(place).expect("it was seen before").1;
    (0..count).fold(frames.first(), next)
}

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
