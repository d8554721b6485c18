//! Stopping: the flag at which threads of edges see that they have to end.
//!
//! A thread that waits for the other side of an edge reads the flag between two short waits. Must
//! never be read by a core: reading it until the end of the grace reads the clock.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Whether threads have to end, and how long the last of them may take. A clone is the same one.
#[derive(Clone, Debug, Default)]
pub struct Stopping(Arc<OnceLock<Instant>>);

impl Stopping {
    /// Threads have to end from now on; those that write to a slow reader may take until `grace` is
    /// over. Only the first call counts.
    pub fn begin(&self, grace: Duration) {
        let _ = self.0.set(Instant::now() + grace);
    }

    /// Whether threads have to end.
    pub fn has_begun(&self) -> bool {
        self.0.get().is_some()
    }

    /// Whether the time is over that writers may take.
    pub fn is_over(&self) -> bool {
        self.0.get().is_some_and(|until| Instant::now() >= *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_clones_begin_together_and_the_first_grace_counts() {
        let stopping = Stopping::default();
        let seen = stopping.clone();
        assert!(!seen.has_begun() && !seen.is_over());
        stopping.begin(Duration::from_secs(3600));
        assert!(seen.has_begun() && !seen.is_over(), "writers have an hour");
        stopping.begin(Duration::ZERO);
        assert!(!seen.is_over(), "the first grace counts");
        let at_once = Stopping::default();
        at_once.begin(Duration::ZERO);
        assert!(at_once.is_over());
    }
}
