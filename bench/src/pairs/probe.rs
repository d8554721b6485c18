//! Probes: what the CPUs can do just now, in numbers that do not depend on any contender.
//!
//! A probe takes a few milliseconds. The first number stands beside the figures: the round trip
//! that fits what is measured, in nanoseconds.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::limits;
use crate::pingpong;
use crate::place::{Gate, Place};
use crate::stamp;

/// Round trip of a bare cache line between two CPUs, and a fixed piece of arithmetic on the left
/// and on the right one, in nanoseconds: for what runs on both, and for what runs on the left one.
///
/// # Errors
/// The system gives no further thread.
pub fn of_cores(place: Place, length: Duration) -> Result<Vec<f64>> {
    let round_trip = pingpong::run(place, length)?.quantile(0.5);
    let (left, right) = place.pair(arithmetic, arithmetic)?;
    Ok(vec![round_trip, left, right])
}

/// Round trip of 64 bytes over loopback TCP, both sides polling, and that of [`of_cores`].
///
/// # Errors
/// There is no loopback, or no further thread.
pub fn of_loopback(place: Place, length: Duration) -> Result<Vec<f64>> {
    let readings = limits::loopback(place, length)?;
    let (_, round_trip) = readings.first().copied().context("loopback has a reading")?;
    Ok(vec![round_trip, pingpong::run(place, length)?.quantile(0.5)])
}

/// As [`of_cores`], and the time to write a megabyte to storage, which ends when it is durable.
///
/// # Errors
/// The folder cannot be written.
pub fn of_storage(place: Place, length: Duration, folder: &Path) -> Result<Vec<f64>> {
    let mut probe = of_cores(place, length)?;
    let path = folder.join("probe");
    let bytes = vec![1_u8; STORAGE_BYTES];
    let write = || {
        let start = stamp::now();
        let mut file = File::create(&path)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        Ok::<_, std::io::Error>((stamp::now() - start) as f64)
    };
    let written = (0..REPEATS).map(|_| write()).collect::<Result<Vec<_>, _>>();
    let written = written.with_context(|| format!("{} cannot be written", path.display()))?;
    probe.push(written.into_iter().fold(f64::INFINITY, f64::min));
    Ok(probe)
}

/// The shortest time of some: what took longer was interrupted.
fn arithmetic(gate: &Gate) -> f64 {
    let _sprint = gate.enter();
    let time = |_| {
        let start = stamp::now();
        let product = (0..black_box(MULTIPLICATIONS))
            .fold(1_u64, |product, number| product.wrapping_mul(product ^ number | 1));
        black_box(product);
        (stamp::now() - start) as f64
    };
    (0..REPEATS).map(time).fold(f64::INFINITY, f64::min)
}

/// Each waits for the one before: some 100 µs.
const MULTIPLICATIONS: u64 = 50_000;
/// Of which the shortest counts.
const REPEATS: usize = 4;
/// As a checkpoint of some thousand rows writes them.
const STORAGE_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_positive() {
        let (place, length) = (Place::toy(), Duration::from_millis(1));
        let folder = std::env::temp_dir();
        for probe in [
            of_cores(place, length).unwrap(),
            of_loopback(place, length).unwrap(),
            of_storage(place, length, &folder).unwrap(),
        ] {
            assert!(probe.len() >= 2 && probe.iter().all(|&it| it > 0.0), "{probe:?}");
        }
        std::fs::remove_file(folder.join("probe")).unwrap();
    }
}
