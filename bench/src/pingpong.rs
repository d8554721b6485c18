//! The speed of light between two cores: one cache line there, one back.
//!
//! Printed beside every figure, because a virtual machine moves its CPUs: the same binary is
//! three times slower when they sit on distant cores.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::gaps::{CoreGaps, GapLog, Watch};
use crate::place::{Gate, Place};
use crate::stamp;
use crate::take::{Take, Tape};

/// Round trips of a bare sequence number for the length of a slice.
///
/// One clock read (about 10 ns) is inside each round trip, as in every contender. The answering
/// side reads the clock too, for its gaps, while the answer is under way.
pub fn run(place: Place, slice: Duration) -> Take {
    let (lines, watch) = (Lines::default(), Watch::new(2));
    let slice_ns = slice.as_nanos() as u64;
    let (tape, log) = (Tape::new(slice_ns, &watch), watch.log(0, "ask"));
    let answering = watch.log(1, "answer");
    let ((take, asked), answered) = place.pair(
        |gate| ask(gate, &lines, slice_ns, tape, log),
        |gate| answer(gate, &lines, answering),
    );
    take.with_gaps([asked, answered])
}

/// Each line is written by one side only.
#[derive(Default)]
struct Lines {
    there: CachePadded<AtomicU64>,
    back: CachePadded<AtomicU64>,
}

fn ask(
    gate: &Gate,
    lines: &Lines,
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
        lines.there.store(sequence, Ordering::Release);
        while lines.back.load(Ordering::Acquire) != sequence {
            log.idle();
            spin_loop();
        }
        let after = stamp::now();
        log.see(after);
        tape.record(before, after);
        before = after;
    }
    lines.there.store(END, Ordering::Release);
    drop(sprint);
    (tape.finish(), log.finish())
}

fn answer(gate: &Gate, lines: &Lines, mut log: GapLog) -> CoreGaps {
    let sprint = gate.enter();
    log.begin(stamp::now());
    let mut last = 0;
    loop {
        let sequence = lines.there.load(Ordering::Acquire);
        match sequence {
            END => break,
            _ if sequence == last => {
                log.idle();
                spin_loop();
            }
            _ => {
                lines.back.store(sequence, Ordering::Release);
                log.see(stamp::now());
            }
        }
        last = sequence;
    }
    drop(sprint);
    log.finish()
}

/// Tells the answering side to stop.
const END: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_happen() {
        assert!(run(Place::toy(), Duration::from_millis(5)).count() > 0);
    }
}
