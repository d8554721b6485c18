//! The engine's own ring.

use std::hint::spin_loop;
use std::time::Duration;

use anyhow::Result;
use potoroo_runtime::ring::FRAME_LENGTH_BYTES;
use potoroo_runtime::{Consumer, Producer, ring};

use super::outcome::{BATCH_FRAMES, CAPACITY_FRAMES, END, FRAME_BYTES, Flow, Trips};
use super::trips::{self, Receiver, Sender};
use crate::place::{Gate, Place};
use crate::stamp;

/// One frame there, one back, until the slice is over.
pub fn round_trips(place: Place, slice: Duration) -> Result<Trips> {
    let way = || ring(CAPACITY_FRAMES * FRAME_BYTES);
    trips::round_trips(place, slice, way(), way())
}

impl Sender for Producer {
    #[inline]
    fn send(&mut self, sequence: u64) {
        write(self, sequence);
        self.publish();
    }

    #[inline]
    fn send_batch(&mut self, first: u64) {
        (first..first + BATCH_FRAMES).for_each(|sequence| write(self, sequence));
        self.publish();
    }
}

impl Receiver for Consumer {
    #[inline]
    fn try_receive(&mut self) -> Option<u64> {
        let (frame, next) = self.frame_at(self.head())?;
        let sequence = read(frame);
        self.consume_to(next);
        Some(sequence)
    }
}

/// Frames in one direction until the slice is over.
pub fn throughput(place: Place, slice: Duration) -> Result<Flow> {
    let (producer, consumer) = ring(CAPACITY_FRAMES * FRAME_BYTES);
    let produce = move |gate: &Gate| trips::produce(gate, slice, producer).send(END);
    let ((), flow) = place.pair(produce, move |gate| consume(gate, consumer))?;
    Ok(flow)
}

fn consume(gate: &Gate, mut consumer: Consumer) -> Flow {
    let (mut frames, mut sum) = (0, 0u64);
    let _sprint = gate.enter();
    let start = stamp::now();
    loop {
        let mut position = consumer.head();
        for _ in 0..BATCH_FRAMES {
            let Some((frame, next)) = consumer.frame_at(position) else { break };
            let sequence = read(frame);
            if sequence == END {
                return Flow { frames, nanos: stamp::now() - start, sum };
            }
            sum = sum.wrapping_add(sequence);
            frames += 1;
            position = next;
        }
        if position == consumer.head() {
            spin_loop();
        } else {
            consumer.consume_to(position);
        }
    }
}

/// Writes one frame behind its length word; spins while the ring is full.
#[inline]
fn write(producer: &mut Producer, sequence: u64) {
    loop {
        if let Some(body) = producer.try_append(FRAME_BYTES) {
            return fill(body, sequence);
        }
        // Only frames that the consumer sees make room.
        producer.publish();
        spin_loop();
    }
}

/// What stands behind the ring's own word: four bytes of nothing, then seven equal words. Written
/// where it goes, as the other contender does: a copy would wait for the words just written.
#[inline]
fn fill(body: &mut [u8], sequence: u64) {
    let body: &mut [u8; FRAME_BYTES - FRAME_LENGTH_BYTES] =
        body.try_into().expect("as many as were asked for");
    let (nothing, words) = body.split_at_mut(8 - FRAME_LENGTH_BYTES);
    nothing.fill(0);
    words.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&sequence.to_le_bytes()));
}

#[inline]
fn read(frame: &[u8]) -> u64 {
    let word = frame[FRAME_BYTES - 8..FRAME_BYTES].first_chunk();
    u64::from_le_bytes(*word.expect("a frame has 64 bytes"))
}
