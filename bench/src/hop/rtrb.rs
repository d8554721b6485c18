//! The `rtrb` crate: single pushes and pops for round trips, chunks for throughput.

use std::hint::spin_loop;
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

use super::{BATCH_FRAMES, CAPACITY_FRAMES, END, FRAME_BYTES, Flow, Trips};
use crate::gaps::{GapLog, Watch};
use crate::place::{Gate, Place};
use crate::stamp;
use crate::take::Tape;

/// A frame on a cache line of its own, which is this contender's best case.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Frame([u64; FRAME_BYTES / 8]);

const _: () = assert!(size_of::<Frame>() == FRAME_BYTES);

/// One frame there, one back, until the slice is over.
pub fn round_trips(place: Place, slice: Duration) -> Trips {
    let (there, mut at_right) = RingBuffer::new(CAPACITY_FRAMES);
    let (mut back, at_left) = RingBuffer::new(CAPACITY_FRAMES);
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
    mut there: Producer<Frame>,
    mut back: Consumer<Frame>,
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
fn send(producer: &mut Producer<Frame>, sequence: u64) {
    while producer.push(Frame([sequence; 8])).is_err() {
        spin_loop();
    }
}

#[inline]
fn receive(consumer: &mut Consumer<Frame>, log: &mut GapLog) -> u64 {
    loop {
        if let Ok(frame) = consumer.pop() {
            return frame.0[7];
        }
        log.idle();
        spin_loop();
    }
}

/// Frames in one direction until the slice is over.
pub fn throughput(place: Place, slice: Duration) -> Flow {
    let (producer, consumer) = RingBuffer::new(CAPACITY_FRAMES);
    let ((), flow) =
        place.pair(move |gate| produce(gate, slice, producer), move |gate| consume(gate, consumer));
    flow
}

fn produce(gate: &Gate, slice: Duration, mut producer: Producer<Frame>) {
    let _sprint = gate.enter();
    let end = stamp::now() + slice.as_nanos() as u64;
    let mut sequence = 0;
    while stamp::now() < end {
        produce_chunk(&mut producer, sequence);
        sequence += BATCH_FRAMES;
    }
}

#[inline]
fn produce_chunk(producer: &mut Producer<Frame>, first: u64) {
    loop {
        if let Ok(chunk) = producer.write_chunk_uninit(BATCH_FRAMES as usize) {
            chunk.fill_from_iter((first..).map(|sequence| Frame([sequence; 8])));
            return;
        }
        spin_loop();
    }
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
