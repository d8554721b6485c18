//! What all sources that listen have in common.

use std::fmt::Display;
use std::time::Duration;

use super::lines::Lines;

/// How often a source that cannot accept is logged.
pub(super) const REFUSING_EVERY: Duration = Duration::from_secs(10);

/// Logs that a source accepts no connection, which lasts until others are closed.
pub(super) fn no_accept(source: &str, reason: &dyn Display, lines: &Lines) {
    if let Some(left_out) = lines.admit() {
        tracing::error!(
            "source `{source}` cannot accept: {reason}; connections wait until others are closed: \
             raise the limit of open files (`ulimit -n`) if it is reached{left_out}"
        );
    }
}
