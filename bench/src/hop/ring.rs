//! The engine's own ring.

use std::hint::spin_loop;
use std::time::Duration;

use potoroo_runtime::ring::FRAME_LENGTH_BYTES;
use potoroo_runtime::{Consumer, Producer, ring};

use super::{BATCH_FRAMES, CAPACITY_FRAMES, END, FRAME_BYTES, Flow, Trips};
use crate::gaps::{GapLog, Watch};
use crate::place::{Gate, Place};
use crate::stamp;
use crate::take::Tape;

/// One frame there, one back, until the slice is over.
pub fn round_trips(place: Place, slice: Duration) -> Trips {
    let (there, mut at_right) = ring(CAPACITY_FRAMES * FRAME_BYTES);
    let (mut back, at_left) = ring(CAPACITY_FRAMES * FRAME_BYTES);
    let watch = Watch::new(2);
    let mut answering = watch.log(1, "answer");
    let answer = move |gate: &Gate| {
        let sprint = gate.enter();
        answering.begin(stamp::now());
        loop {
            match receive(&mut at_right, &mut answering) {
                END => break,
                sequence => send(&mut back, sequence),
            }
            // The answer is under way meanwhile.
            answering.see(stamp::now());
        }
        drop(sprint);
        answering.finish()
    };
    let (mut trips, answered) = place.pair(|gate| ask(gate, slice, &watch, there, at_left), answer);
    trips.latency = trips.latency.with_gaps([answered]);
    trips
}

fn ask(
    gate: &Gate,
    slice: Duration,
    watch: &Watch,
    mut there: Producer,
    mut back: Consumer,
) -> Trips {
    let slice_ns = slice.as_nanos() as u64;
    let (mut tape, mut log) = (Tape::new(slice_ns, watch), watch.log(0, "ask"));
    let sprint = gate.enter();
    let start = stamp::now();
    tape.begin(start);
    log.begin(start);
    let (mut before, mut sequence, mut sum) = (start, 0, 0u64);
    while before - start < slice_ns {
        send(&mut there, sequence);
        sum = sum.wrapping_add(receive(&mut back, &mut log));
        let after = stamp::now();
        log.see(after);
        tape.record(before, after);
        before = after;
        sequence += 1;
    }
    send(&mut there, END);
    drop(sprint);
    Trips { latency: tape.finish().with_gaps([log.finish()]), sum }
}

#[inline]
fn send(producer: &mut Producer, sequence: u64) {
    write(producer, sequence);
    producer.publish();
}

#[inline]
fn receive(consumer: &mut Consumer, log: &mut GapLog) -> u64 {
    loop {
        if let Some((frame, next)) = consumer.frame_at(consumer.head()) {
            let sequence = read(frame);
            consumer.consume_to(next);
            return sequence;
        }
        log.idle();
        spin_loop();
    }
}

/// Frames in one direction until the slice is over.
pub fn throughput(place: Place, slice: Duration) -> Flow {
    let (producer, consumer) = ring(CAPACITY_FRAMES * FRAME_BYTES);
    let ((), flow) =
        place.pair(move |gate| produce(gate, slice, producer), move |gate| consume(gate, consumer));
    flow
}

fn produce(gate: &Gate, slice: Duration, mut producer: Producer) {
    let _sprint = gate.enter();
    let end = stamp::now() + slice.as_nanos() as u64;
    let mut sequence = 0;
    while stamp::now() < end {
        (sequence..sequence + BATCH_FRAMES).for_each(|sequence| write(&mut producer, sequence));
        producer.publish();
        sequence += BATCH_FRAMES;
    }
    send(&mut producer, END);
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
        // Frames that nobody sees make no room.
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
