//! The `rtrb` crate: single pushes and pops for round trips, chunks for throughput.

use std::hint::spin_loop;
use std::time::Duration;

use anyhow::Result;
use rtrb::{Consumer, Producer, RingBuffer};

use super::outcome::{BATCH_FRAMES, CAPACITY_FRAMES, FRAME_BYTES, Flow, Trips};
use super::trips::{self, Receiver, Sender};
use crate::place::{Gate, Place};
use crate::stamp;

/// A frame on a cache line of its own, which is this contender's best case.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Frame([u64; FRAME_BYTES / 8]);

const _: () = assert!(size_of::<Frame>() == FRAME_BYTES);

/// One frame there, one back, until the slice is over.
pub fn round_trips(place: Place, slice: Duration) -> Result<Trips> {
    let way = || RingBuffer::new(CAPACITY_FRAMES);
    trips::round_trips(place, slice, way(), way())
}

impl Sender for Producer<Frame> {
    #[inline]
    fn send(&mut self, sequence: u64) {
        while self.push(Frame([sequence; 8])).is_err() {
            spin_loop();
        }
    }

    #[inline]
    fn send_batch(&mut self, first: u64) {
        loop {
            if let Ok(chunk) = self.write_chunk_uninit(BATCH_FRAMES as usize) {
                chunk.fill_from_iter((first..).map(|sequence| Frame([sequence; 8])));
                return;
            }
            spin_loop();
        }
    }
}

impl Receiver for Consumer<Frame> {
    #[inline]
    fn try_receive(&mut self) -> Option<u64> {
        self.pop().ok().map(|frame| frame.0[7])
    }
}

/// Frames in one direction until the slice is over.
pub fn throughput(place: Place, slice: Duration) -> Result<Flow> {
    let (producer, consumer) = RingBuffer::new(CAPACITY_FRAMES);
    let produce = move |gate: &Gate| drop(trips::produce(gate, slice, producer));
    let ((), flow) = place.pair(produce, move |gate| consume(gate, consumer))?;
    Ok(flow)
}

fn consume(gate: &Gate, mut consumer: Consumer<Frame>) -> Flow {
    let (mut frames, mut sum) = (0, 0u64);
    let _sprint = gate.enter();
    let start = stamp::now();
    loop {
        if let Ok(chunk) = consumer.read_chunk(BATCH_FRAMES as usize) {
            let (first, second) = chunk.as_slices();
            let chunk_sum = first.iter().chain(second).map(|frame| frame.0[7]).sum::<u64>();
            sum = sum.wrapping_add(chunk_sum);
            frames += BATCH_FRAMES;
            chunk.commit_all();
        } else if consumer.is_abandoned() && consumer.is_empty() {
            return Flow { frames, nanos: stamp::now() - start, sum };
        } else {
            spin_loop();
        }
    }
}
