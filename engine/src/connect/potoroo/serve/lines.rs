//! What clients of a source cause in the log.

use crate::connect::lines::Lines;
use crate::connect::listening::REFUSING_EVERY;

/// Lines of the log that clients of one source cause.
#[derive(Debug)]
pub struct ServerLines {
    pub(super) accept: Lines,
    pub(super) served: Lines,
    pub(super) opened: Lines,
}

impl Default for ServerLines {
    fn default() -> Self {
        let (served, opened) = (Lines::default(), Lines::default());
        Self { accept: Lines::once_in(REFUSING_EVERY), served, opened }
    }
}
