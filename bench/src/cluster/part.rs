//! What each part of the benchmark begins with.

use anyhow::Result;

use crate::pingpong;
use crate::progress::Progress;
use crate::report::Report;

/// The raw round trip between the two CPUs, which stands beside figures.
///
/// # Errors
/// The system gives no further thread.
pub fn raw_rtt_ns(report: &Report) -> Result<f64> {
    Ok(pingpong::run(report.place(), report.scale().raw_slice)?.quantile(0.5))
}

/// Begins a part with a number of steps, which the figures so far survive.
pub fn progress(report: &mut Report, what: &str, steps: usize) -> Progress {
    let progress = Progress::new(what, steps);
    report.keep_so_far(&progress);
    progress
}
