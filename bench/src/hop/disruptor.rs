//! The `disruptor` crate, as its documentation wants it for latency: one producer, an event poller
//! that never rests, batches wherever there is more than one frame.

use std::hint::spin_loop;
use std::time::Duration;

use anyhow::Result;
use disruptor::{
    BusySpin, EventPoller, Polling, Producer, SingleProducerBarrier, build_single_producer,
};

use super::outcome::{BATCH_FRAMES, CAPACITY_FRAMES, FRAME_BYTES, Flow, Trips};
use super::trips::{self, Receiver, Sender};
use crate::place::{Gate, Place};
use crate::stamp;

/// A frame on a cache line of its own, as for `rtrb`.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Frame([u64; FRAME_BYTES / 8]);

const _: () = assert!(size_of::<Frame>() == FRAME_BYTES);

type Poller = EventPoller<Frame, SingleProducerBarrier>;

fn ring() -> (impl Sender, Poller) {
    let factory = || Frame([0; FRAME_BYTES / 8]);
    let builder = build_single_producer(CAPACITY_FRAMES, factory, BusySpin);
    let (poller, builder) = builder.new_event_poller();
    (Sending(builder.build()), poller)
}

/// One frame there, one back, until the slice is over.
pub fn round_trips(place: Place, slice: Duration) -> Result<Trips> {
    trips::round_trips(place, slice, ring(), ring())
}

/// Its producers, of which the type has no name that is short.
struct Sending<P>(P);

impl<P: Producer<Frame> + Send> Sender for Sending<P> {
    #[inline]
    fn send(&mut self, sequence: u64) {
        self.0.publish(|frame| *frame = Frame([sequence; 8]));
    }

    #[inline]
    fn send_batch(&mut self, first: u64) {
        self.0.batch_publish(BATCH_FRAMES as usize, |frames| {
            let numbered = frames.zip(first..);
            numbered.for_each(|(frame, sequence)| *frame = Frame([sequence; 8]));
        });
    }
}

impl Receiver for Poller {
    /// There is never more than one under way.
    #[inline]
    fn try_receive(&mut self) -> Option<u64> {
        let mut frames = self.poll().ok()?;
        (&mut frames).next().map(|frame| frame.0[7])
    }
}

/// Frames in one direction until the slice is over.
pub fn throughput(place: Place, slice: Duration) -> Result<Flow> {
    let (producer, poller) = ring();
    let produce = move |gate: &Gate| drop(trips::produce(gate, slice, producer));
    let ((), flow) = place.pair(produce, move |gate| consume(gate, poller))?;
    Ok(flow)
}

fn consume(gate: &Gate, mut poller: Poller) -> Flow {
    let (mut frames, mut sum) = (0, 0u64);
    let _sprint = gate.enter();
    let start = stamp::now();
    loop {
        match poller.take(BATCH_FRAMES) {
            Ok(mut batch) => {
                for frame in &mut batch {
                    sum = sum.wrapping_add(frame.0[7]);
                    frames += 1;
                }
            }
            Err(Polling::NoEvents) => spin_loop(),
            Err(Polling::Shutdown) => return Flow { frames, nanos: stamp::now() - start, sum },
        }
    }
}
