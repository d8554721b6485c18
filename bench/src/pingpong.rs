//! The speed of light between two cores: one cache line there, one back.
//!
//! Printed beside every figure, because a virtual machine moves its CPUs: the same binary is
//! three times slower when they sit on distant cores.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use crossbeam_utils::CachePadded;

use crate::gaps::{CoreGaps, GapLog, Watch};
use crate::place::{Gate, Place};
use crate::stamp;
use crate::take::{Take, Tape};

/// Round trips of a bare sequence number for the length of a slice.
///
/// The trips wander over many lines: where a line lies among the parts of a shared cache makes a
/// pair of them up to half again as slow as another, for a whole run. A sender through a ring
/// meets the mean of it.
///
/// One clock read (about 10 ns) is inside each round trip, as in every contender. The answering
/// side reads the clock too, for its gaps, while the answer is under way.
///
/// # Errors
/// The system gives no further thread.
pub fn run(place: Place, slice: Duration) -> Result<Take> {
    let lines: Vec<Lines> = (0..LINES).map(|_| Lines::default()).collect();
    let watch = Watch::new(2);
    let slice_ns = slice.as_nanos() as u64;
    let (tape, log) = (Tape::new(slice_ns, &watch), watch.log(0, "ask"));
    let answering = watch.log(1, "answer");
    let ((take, asked), answered) = place.pair(
        |gate| ask(gate, &lines, slice_ns, tape, log),
        |gate| answer(gate, &lines, answering),
    )?;
    Ok(take.with_gaps([asked, answered]))
}

/// Each line is written by one side only.
#[derive(Default)]
struct Lines {
    there: CachePadded<AtomicU64>,
    back: CachePadded<AtomicU64>,
}

/// The lines of one trip. Both sides know from its number which these are.
#[inline]
fn lines_of(lines: &[Lines], sequence: u64) -> &Lines {
    &lines[(sequence / TRIPS_PER_LINE) as usize % LINES]
}

fn ask(
    gate: &Gate,
    lines: &[Lines],
    slice_ns: u64,
    mut tape: Tape,
    mut log: GapLog,
) -> (Take, CoreGaps) {
    let sprint = gate.enter();
    let start = stamp::now();
    tape.begin(start);
    log.begin(start);
    let (mut before, mut sequence) = (start, 0);
    while before - start < slice_ns {
        sequence += 1;
        let Lines { there, back } = lines_of(lines, sequence);
        there.store(sequence, Ordering::Release);
        while back.load(Ordering::Acquire) != sequence {
            log.idle();
            spin_loop();
        }
        let after = stamp::now();
        log.see(after);
        tape.record(before, after);
        before = after;
    }
    lines_of(lines, sequence + 1).there.store(END, Ordering::Release);
    drop(sprint);
    (tape.finish(), log.finish())
}

fn answer(gate: &Gate, lines: &[Lines], mut log: GapLog) -> CoreGaps {
    let sprint = gate.enter();
    log.begin(stamp::now());
    let mut next = 1;
    loop {
        let Lines { there, back } = lines_of(lines, next);
        match there.load(Ordering::Acquire) {
            END => break,
            sequence if sequence == next => {
                back.store(sequence, Ordering::Release);
                log.see(stamp::now());
                next += 1;
            }
            _ => {
                log.idle();
                spin_loop();
            }
        }
    }
    drop(sprint);
    log.finish()
}

/// Pairs of lines, enough for a mean.
const LINES: usize = 256;
/// Enough that the first trip over a line, which finds it elsewhere, does not count.
const TRIPS_PER_LINE: u64 = 64;
/// Tells the answering side to stop.
const END: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_happen() {
        assert!(
            run(Place::toy(), Duration::from_millis(5)).expect("there are threads").count() > 0
        );
    }
}
