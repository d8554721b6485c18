//! The outcome of a contender that is set up for one slice.

use anyhow::{Result, ensure};

use super::load::Load;
use super::window::MeasuredWindow;

/// What a contender that is set up for one slice did in it.
#[derive(Debug)]
pub struct Outcome {
    /// While the clock ran.
    pub window: MeasuredWindow,
    /// Number of keys of the job.
    pub keys: u64,
    /// Events from the first on, all of which are in the states.
    pub sent: u64,
    /// Sum over all states; see [`Load::checksum`].
    pub checksum: u64,
}

impl Outcome {
    /// Fails unless each key got its events with their values.
    ///
    /// # Errors
    /// Some got others.
    pub fn verified(self) -> Result<Self> {
        let expected = Load::checksum(self.keys, self.sent);
        ensure!(self.sent > 0, "no event came through");
        ensure!(self.checksum == expected, "the states do not add up to the events sent");
        Ok(self)
    }
}
