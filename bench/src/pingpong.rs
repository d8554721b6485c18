//! The speed of light between two cores: one cache line there, one back.
//!
//! Printed beside every figure, because a virtual machine moves its CPUs: the same binary is
//! three times slower when they sit on distant cores.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::place::{Gate, Place};
use crate::recorder::Recorder;
use crate::stamp;

/// Round trips of a bare sequence number for the length of a slice.
///
/// One clock read (about 10 ns) is inside each round trip, as in every contender.
pub fn run(place: Place, slice: Duration) -> Recorder {
    let lines = Lines::default();
    let (recorder, ()) =
        place.pair(|gate| ask(gate, &lines, slice.as_nanos() as u64), |gate| answer(gate, &lines));
    recorder
}

/// Each line is written by one side only.
#[derive(Default)]
struct Lines {
    there: CachePadded<AtomicU64>,
    back: CachePadded<AtomicU64>,
}

fn ask(gate: &Gate, lines: &Lines, slice_ns: u64) -> Recorder {
    let mut recorder = Recorder::new();
    let _sprint = gate.enter();
    let start = stamp::now();
    let mut before = start;
    let mut sequence = 0;
    while before - start < slice_ns {
        sequence += 1;
        lines.there.store(sequence, Ordering::Release);
        while lines.back.load(Ordering::Acquire) != sequence {
            spin_loop();
        }
        let after = stamp::now();
        recorder.record(after - before);
        before = after;
    }
    lines.there.store(END, Ordering::Release);
    recorder
}

fn answer(gate: &Gate, lines: &Lines) {
    let _sprint = gate.enter();
    let mut last = 0;
    loop {
        let sequence = lines.there.load(Ordering::Acquire);
        match sequence {
            END => return,
            _ if sequence == last => spin_loop(),
            _ => lines.back.store(sequence, Ordering::Release),
        }
        last = sequence;
    }
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
