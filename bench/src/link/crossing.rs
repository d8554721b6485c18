//! What an event costs both CPUs: batches in one direction, each taken before the next is sent.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use crossbeam_utils::CachePadded;

use super::ends::FrameEnd;
use crate::place::{Gate, Place};
use crate::stamp;

/// What crossed.
#[derive(Clone, Copy, Debug)]
pub struct Crossing {
    frames: u64,
    /// Time in turns that did something, of both sides.
    busy_ns: u64,
}

impl Crossing {
    /// Nanoseconds per event.
    pub fn ns_per_event(&self) -> f64 {
        self.busy_ns as f64 / self.frames as f64
    }
}

/// What both sides know of each other, beside the connection.
#[derive(Default)]
struct Known {
    /// Frames that came.
    taken: CachePadded<AtomicU64>,
    /// Frames in all, once that is known.
    all: CachePadded<AtomicU64>,
}

/// Sends batches of `batch` frames until the slice is over.
///
/// # Errors
/// There is no loopback, or frames were lost, doubled or changed.
pub fn cross<E: FrameEnd>(place: Place, slice: Duration, batch: u64) -> Result<Crossing> {
    let (left, right) = E::connect()?;
    let known = &Known::default();
    known.all.store(u64::MAX, Ordering::Relaxed);
    let produce = move |gate: &Gate| produce(gate, slice, E::new(left, 0), batch, known);
    let consume = move |gate: &Gate| consume(gate, E::new(right, 1), known);
    let (sent, came) = place.pair(produce, consume)?;
    let (sent, (frames, sum, busy_ns)) = (sent?, came?);
    ensure!(frames > 0, "no frame came through");
    ensure!(sum == frames * (frames - 1) / 2, "frames were lost, doubled or changed");
    Ok(Crossing { frames, busy_ns: sent + busy_ns })
}

/// Returns how long it was busy.
fn produce(
    gate: &Gate,
    slice: Duration,
    end: Result<impl FrameEnd>,
    batch: u64,
    known: &Known,
) -> Result<u64> {
    let _sprint = gate.enter();
    let mut end = end.inspect_err(|_| known.all.store(0, Ordering::Release))?;
    let (mut sent, mut busy_ns) = (0, 0);
    let over = stamp::now() + slice.as_nanos() as u64;
    loop {
        let begun = stamp::now();
        // A short slice may pass while something else runs.
        if begun >= over && sent > 0 {
            known.all.store(sent, Ordering::Release);
            return Ok(busy_ns);
        }
        (sent..sent + batch).for_each(|number| end.append(number));
        sent += batch;
        end.carry();
        busy_ns += stamp::now() - begun;
        while known.taken.load(Ordering::Acquire) < sent {
            busy_ns += turn(&mut end, |_| {});
        }
    }
}

/// Returns the number of frames, their sum, and how long it was busy.
fn consume(gate: &Gate, end: Result<impl FrameEnd>, known: &Known) -> Result<(u64, u64, u64)> {
    let _sprint = gate.enter();
    let mut end = end?;
    let (mut frames, mut sum, mut busy_ns) = (0, 0, 0);
    while frames < known.all.load(Ordering::Acquire) {
        busy_ns += turn(&mut end, |number| {
            frames += 1;
            sum += number;
        });
        known.taken.store(frames, Ordering::Release);
    }
    Ok((frames, sum, busy_ns))
}

/// One turn; returns how long it took if something was done.
fn turn(end: &mut impl FrameEnd, see: impl FnMut(u64)) -> u64 {
    let begun = stamp::now();
    let came = end.bring(see);
    let sent = end.carry();
    if came || sent {
        return stamp::now() - begun;
    }
    spin_loop();
    0
}
