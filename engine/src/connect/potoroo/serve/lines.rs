//! What clients of a source cause in the log.

use crate::connect::lines::LineLimiter;
use crate::connect::listening::REFUSING_EVERY;

/// Lines of the log that clients of one source cause.
#[derive(Debug)]
pub struct ServerLines {
    pub(super) accept: LineLimiter,
    pub(super) served: LineLimiter,
    pub(super) opened: LineLimiter,
}

impl Default for ServerLines {
    fn default() -> Self {
        let (served, opened) = (LineLimiter::default(), LineLimiter::default());
        Self { accept: LineLimiter::once_in(REFUSING_EVERY), served, opened }
    }
}
