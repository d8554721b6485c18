//! Bytes per second from and to memory, and nanoseconds of one load that depends on another.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Result, ensure};
use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};

use super::readings::Readings;
use crate::place::{Gate, Place};
use crate::stamp;

/// Numbers 0, 1, 2, … as many as fit: every part of it has a known sum.
pub struct Block(Vec<u64>);

impl Block {
    /// A block of this size, all of it touched.
    pub fn new(bytes: usize) -> Self {
        Self((0..bytes as u64 / 8).collect())
    }
}

/// One core reads all of it, again and again.
///
/// # Errors
/// The sum of what was read is wrong.
pub fn read(place: Place, slice: Duration, block: &Block) -> Result<Readings> {
    let rate = place.alone(|gate| read_part(gate, slice, &block.0))?;
    Ok(vec![("read_gb_per_second", rate)])
}

/// Two cores read one half each at the same time.
///
/// # Errors
/// As [`read`].
pub fn read_by_both(place: Place, slice: Duration, block: &Block) -> Result<Readings> {
    let (low, high) = block.0.split_at(block.0.len() / 2);
    let (left, right) =
        place.pair(|gate| read_part(gate, slice, low), |gate| read_part(gate, slice, high))?;
    Ok(vec![("read_both_gb_per_second", left? + right?)])
}

/// Gigabytes per second.
fn read_part(gate: &Gate, slice: Duration, part: &[u64]) -> Result<f64> {
    let _sprint = gate.enter();
    let start = stamp::now();
    let (mut read, mut position, mut right) = (0, 0, true);
    while stamp::now() - start < slice.as_nanos() as u64 {
        let end = (position + PIECE).min(part.len());
        let piece = &part[position..end];
        let sum = black_box(piece).iter().fold(0u64, |sum, value| sum.wrapping_add(*value));
        right &= sum == (piece[0] + piece[piece.len() - 1]) * piece.len() as u64 / 2;
        read += piece.len() * 8;
        position = if end == part.len() { 0 } else { end };
    }
    let nanos = stamp::now() - start;
    ensure!(right && read > 0, "memory does not hold what was written");
    Ok(read as f64 / nanos as f64)
}

/// One core copies one half to the other, again and again.
///
/// # Errors
/// The copy differs.
pub fn copy(place: Place, slice: Duration, bytes: usize) -> Result<Readings> {
    let mut block = Block::new(bytes).0;
    place.alone(|gate| {
        let half = block.len() / 2;
        let (source, target) = block.split_at_mut(half);
        let _sprint = gate.enter();
        let start = stamp::now();
        let (mut copied, mut position) = (0, 0);
        while stamp::now() - start < slice.as_nanos() as u64 {
            let end = (position + PIECE).min(half);
            black_box(&mut target[position..end]).copy_from_slice(&source[position..end]);
            copied += end - position;
            position = if end == half { 0 } else { end };
        }
        let nanos = stamp::now() - start;
        let end = copied.min(half);
        ensure!(copied > 0 && target[..end] == source[..end], "the copy differs");
        Ok(vec![("copy_gb_per_second", (copied * 8) as f64 / nanos as f64)])
    })
}

/// One way through all cache lines of a working set, in an order that no prefetcher knows.
pub struct PointerChase {
    lines: Vec<Line>,
}

#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line {
    next: u32,
    /// Which step of the way this is.
    step: u32,
}

impl PointerChase {
    /// A working set of this size.
    pub fn new(bytes: usize) -> Self {
        let count = bytes / size_of::<Line>();
        let mut random = Pcg64::seed_from_u64(1);
        let mut way: Vec<u32> = (0..count as u32).collect();
        for index in (1..count).rev() {
            way.swap(index, (random.next_u64() % (index as u64 + 1)) as usize);
        }
        let mut lines = vec![Line { next: 0, step: 0 }; count];
        for (step, &line) in way.iter().enumerate() {
            lines[line as usize] = Line { next: way[(step + 1) % count], step: step as u32 };
        }
        Self { lines }
    }
}

/// Goes the way until the slice is over.
///
/// # Errors
/// It did not end where that many steps lead.
pub fn chase(
    place: Place,
    slice: Duration,
    name: &'static str,
    chase: &PointerChase,
) -> Result<Readings> {
    place.alone(|gate| {
        let lines = &chase.lines[..];
        let mut line = lines[0];
        let first = u64::from(line.step);
        let _sprint = gate.enter();
        let (start, mut steps) = (stamp::now(), 0u64);
        while stamp::now() - start < slice.as_nanos() as u64 {
            for _ in 0..STEPS_PER_LOOK {
                line = lines[line.next as usize];
            }
            steps += STEPS_PER_LOOK;
        }
        let nanos = stamp::now() - start;
        let expected = (first + steps) % lines.len() as u64;
        ensure!(u64::from(line.step) == expected, "the chase lost its way");
        Ok(vec![(name, nanos as f64 / steps as f64)])
    })
}

/// Numbers between two looks at the clock: 1 MiB.
const PIECE: usize = 1 << 17;
/// Long enough that a look at the clock is nothing beside it.
const STEPS_PER_LOOK: u64 = 500;
