//! The `disruptor` crate, as its documentation wants it for latency: one producer, an event poller
//! that never rests, batches wherever there is more than one frame.

use std::hint::spin_loop;
use std::time::Duration;

use disruptor::{
    BusySpin, EventPoller, Polling, Producer, SingleProducerBarrier, build_single_producer,
};

use super::{BATCH_FRAMES, CAPACITY_FRAMES, END, FRAME_BYTES, Flow, Trips};
use crate::gaps::{GapLog, Watch};
use crate::place::{Gate, Place};
use crate::stamp;
use crate::take::Tape;

/// A frame on a cache line of its own, as for `rtrb`.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Frame([u64; FRAME_BYTES / 8]);

const _: () = assert!(size_of::<Frame>() == FRAME_BYTES);

type Poller = EventPoller<Frame, SingleProducerBarrier>;

fn ring() -> (impl Producer<Frame> + Send, Poller) {
    let factory = || Frame([0; FRAME_BYTES / 8]);
    let builder = build_single_producer(CAPACITY_FRAMES, factory, BusySpin);
    let (poller, builder) = builder.new_event_poller();
    (builder.build(), poller)
}

/// One frame there, one back, until the slice is over.
pub fn round_trips(place: Place, slice: Duration) -> Trips {
    let (there, mut at_right) = ring();
    let (mut back, at_left) = ring();
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
    mut there: impl Producer<Frame>,
    mut back: Poller,
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
fn send(producer: &mut impl Producer<Frame>, sequence: u64) {
    producer.publish(|frame| *frame = Frame([sequence; 8]));
}

/// The next frame; there is never more than one under way.
#[inline]
fn receive(poller: &mut Poller, log: &mut GapLog) -> u64 {
    loop {
        if let Ok(mut frames) = poller.poll()
            && let Some(frame) = (&mut frames).next()
        {
            return frame.0[7];
        }
        log.idle();
        spin_loop();
    }
}

/// Frames in one direction until the slice is over.
pub fn throughput(place: Place, slice: Duration) -> Flow {
    let (producer, poller) = ring();
    let ((), flow) =
        place.pair(move |gate| produce(gate, slice, producer), move |gate| consume(gate, poller));
    flow
}

fn produce(gate: &Gate, slice: Duration, mut producer: impl Producer<Frame>) {
    let _sprint = gate.enter();
    let end = stamp::now() + slice.as_nanos() as u64;
    let mut sequence = 0;
    while stamp::now() < end {
        producer.batch_publish(BATCH_FRAMES as usize, |frames| {
            let numbered = frames.zip(sequence..);
            numbered.for_each(|(frame, sequence)| *frame = Frame([sequence; 8]));
        });
        sequence += BATCH_FRAMES;
    }
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
