//! Round trips: one loop for every contender, so that nothing differs but the way of a frame.

use std::hint::spin_loop;
use std::time::Duration;

use anyhow::Result;

use super::outcome::{BATCH_FRAMES, END, Trips};
use crate::gaps::{GapLog, Watch};
use crate::place::{Gate, Place};
use crate::stamp;
use crate::take::Tape;

/// The end of a way at which frames go in.
pub trait Sender: Send {
    /// Sends one frame; spins while there is no room.
    fn send(&mut self, sequence: u64);
    /// Sends [`BATCH_FRAMES`] frames with numbers from `first` on, and publishes them at once.
    fn send_batch(&mut self, first: u64);
}

/// The end at which they come out.
pub trait Receiver: Send {
    /// The number of the next frame, if there is one.
    fn try_receive(&mut self) -> Option<u64>;
}

/// One frame there, one back, until the slice is over.
pub fn round_trips<S: Sender, R: Receiver>(
    place: Place,
    slice: Duration,
    (there, mut at_right): (S, R),
    (mut back, at_left): (S, R),
) -> Result<Trips> {
    let watch = Watch::new(2);
    let mut answering = watch.log(1, "answer");
    let answer = move |gate: &Gate| {
        let sprint = gate.enter();
        answering.begin(stamp::now());
        loop {
            match receive(&mut at_right, &mut answering) {
                END => break,
                sequence => back.send(sequence),
            }
            // The answer is under way meanwhile.
            answering.see(stamp::now());
        }
        drop(sprint);
        answering.finish()
    };
    let (mut trips, answered) =
        place.pair(|gate| ask(gate, slice, &watch, there, at_left), answer)?;
    trips.latency = trips.latency.with_gaps([answered]);
    Ok(trips)
}

fn ask(
    gate: &Gate,
    slice: Duration,
    watch: &Watch,
    mut there: impl Sender,
    mut back: impl Receiver,
) -> Trips {
    let slice_ns = slice.as_nanos() as u64;
    let (mut tape, mut log) = (Tape::new(slice_ns, watch), watch.log(0, "ask"));
    let sprint = gate.enter();
    let start = stamp::now();
    tape.begin(start);
    log.begin(start);
    let (mut before, mut sequence, mut sum) = (start, 0, 0u64);
    while before - start < slice_ns {
        there.send(sequence);
        sum = sum.wrapping_add(receive(&mut back, &mut log));
        let after = stamp::now();
        log.see(after);
        tape.record(before, after);
        before = after;
        sequence += 1;
    }
    there.send(END);
    drop(sprint);
    Trips { latency: tape.finish().with_gaps([log.finish()]), sum }
}

#[inline]
fn receive(from: &mut impl Receiver, log: &mut GapLog) -> u64 {
    loop {
        if let Some(sequence) = from.try_receive() {
            return sequence;
        }
        log.idle();
        spin_loop();
    }
}

/// Frames in one direction until the slice is over. Returns the sender: some say the end with it.
pub fn produce<S: Sender>(gate: &Gate, slice: Duration, mut to: S) -> S {
    let _sprint = gate.enter();
    let end = stamp::now() + slice.as_nanos() as u64;
    let mut sequence = 0;
    while stamp::now() < end {
        to.send_batch(sequence);
        sequence += BATCH_FRAMES;
    }
    to
}
