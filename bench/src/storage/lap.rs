//! One lap: how many bytes went where they belong, and how long that took.

use std::time::Instant;

use anyhow::Result;

/// What a contender did in one lap.
pub struct Lap {
    pub bytes: u64,
    pub seconds: f64,
}

impl Lap {
    pub fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.seconds
    }
}

/// Measures `work`, which returns its bytes.
///
/// # Errors
/// As of `work`.
pub fn timed(work: impl FnOnce() -> Result<u64>) -> Result<Lap> {
    let start = Instant::now();
    let bytes = work()?;
    Ok(Lap { bytes, seconds: start.elapsed().as_secs_f64() })
}
