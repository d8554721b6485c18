//! Round trips: one frame there, one back.

use std::hint::spin_loop;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::ends::FrameEnd;
use crate::gaps::{GapLog, Watch};
use crate::place::{Gate, Place};
use crate::stamp;
use crate::take::{Take, Tape};

/// Ends a slice; no number gets there.
const END: u64 = u64::MAX;

/// Round trips until the slice is over.
///
/// # Errors
/// There is no loopback, or an answer is not what was asked.
pub fn round_trips<E: FrameEnd>(place: Place, slice: Duration) -> Result<Take> {
    let (left, right) = E::connect()?;
    let watch = Watch::new(2);
    let answering = watch.log(1, "answer");
    let asking = |gate: &Gate| ask(gate, slice, &watch, E::new(left, 0));
    let (take, answered) = place.pair(asking, move |gate| {
        let mut log = answering;
        answer(gate, E::new(right, 1), &mut log).map(|()| log.finish())
    })?;
    Ok(take?.with_gaps([answered?]))
}

fn ask(gate: &Gate, slice: Duration, watch: &Watch, end: Result<impl FrameEnd>) -> Result<Take> {
    let slice_ns = slice.as_nanos() as u64;
    let (mut tape, mut log) = (Tape::new(slice_ns, watch), watch.log(0, "ask"));
    // The other side waits there.
    let sprint = gate.enter();
    let mut end = end?;
    let start = stamp::now();
    tape.begin(start);
    log.begin(start);
    let (mut before, mut number, mut wrong) = (start, 0, 0_u64);
    while before - start < slice_ns {
        send(&mut end, number);
        wrong += u64::from(receive(&mut end, &mut log) != number);
        let after = stamp::now();
        log.see(after);
        tape.record(before, after);
        before = after;
        number += 1;
    }
    send(&mut end, END);
    drop(sprint);
    ensure!(wrong == 0, "{wrong} answers do not match the questions");
    Ok(tape.finish().with_gaps([log.finish()]))
}

fn answer(gate: &Gate, end: Result<impl FrameEnd>, log: &mut GapLog) -> Result<()> {
    let _sprint = gate.enter();
    let mut end = end?;
    log.begin(stamp::now());
    loop {
        match receive(&mut end, log) {
            END => return Ok(()),
            number => send(&mut end, number),
        }
        // The answer is under way meanwhile.
        log.see(stamp::now());
    }
}

#[inline]
fn send(end: &mut impl FrameEnd, number: u64) {
    end.append(number);
    // The socket has room for one frame.
    end.carry();
}

#[inline]
fn receive(end: &mut impl FrameEnd, log: &mut GapLog) -> u64 {
    let mut came = None;
    loop {
        if end.bring(|number| came = Some(number))
            && let Some(number) = came
        {
            return number;
        }
        log.idle();
        spin_loop();
    }
}
