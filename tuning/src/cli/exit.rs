//! How the process ends.

use std::process::ExitCode;

/// How the process ends.
#[derive(Clone, Copy, Debug)]
pub enum DoctorExit {
    /// Nothing to better; or done.
    Fit = 0,
    /// Something costs latency.
    Advice = 1,
    /// The host is no place for latencies.
    Unfit = 2,
    /// The question could not be answered.
    Refused = 3,
}

impl From<DoctorExit> for ExitCode {
    fn from(exit: DoctorExit) -> Self {
        Self::from(exit as u8)
    }
}
