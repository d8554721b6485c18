//! Dead letters: input that was refused, with its reason and its position.
//!
//! Cold. The core collects them; its driver takes them between turns. Without a destination only a
//! sample is collected, for the log. With one, the core takes nothing from its sources rather than
//! lose a dead letter.

use potoroo_sdk::codec::Reason;
use potoroo_sdk::host::Cause;

/// One input that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Source, connection and position.
    pub cause: Cause,
    /// Why.
    pub reason: Reason,
    /// The frame.
    pub bytes: Vec<u8>,
}

/// The dead letters that wait to be taken.
#[derive(Debug, Default)]
pub struct Letters {
    waiting: Vec<DeadLetter>,
    /// Whether none may be dropped.
    keep_all: bool,
}

/// Without a destination: the most that are collected before the driver takes them.
const SAMPLE_LETTERS: usize = 4;
/// With a destination: while this many wait, nothing is taken from sources. 256 of the largest
/// frame stay below the memory of the lanes.
const WAITING_LETTERS_MAX: usize = 256;
/// Bytes of a dead letter that the sample keeps.
const SAMPLE_BYTES: usize = 64;

/// Why something is refused that no lane could take.
pub(super) const TOO_LONG: Reason = Reason::new(
    "the event made from this position is longer than a quarter of a lane (--lane-bytes)",
);

impl Letters {
    /// An empty list; with `keep_all` none is ever dropped.
    // cold: at start
    pub fn new(keep_all: bool) -> Self {
        Self { waiting: Vec::new(), keep_all }
    }

    #[cold]
    pub(super) fn add(&mut self, cause: &Cause, reason: Reason, bytes: &[u8]) {
        if !self.keep_all && self.waiting.len() >= SAMPLE_LETTERS {
            return;
        }
        let kept = if self.keep_all { bytes } else { &bytes[..bytes.len().min(SAMPLE_BYTES)] };
        self.waiting.push(DeadLetter { cause: *cause, reason, bytes: kept.to_vec() });
    }

    /// Whether sources have to wait until letters are taken away.
    pub fn full(&self) -> bool {
        self.keep_all && self.waiting.len() >= WAITING_LETTERS_MAX
    }

    /// Whether there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes all of them.
    pub fn take(&mut self) -> Vec<DeadLetter> {
        std::mem::take(&mut self.waiting)
    }
}
