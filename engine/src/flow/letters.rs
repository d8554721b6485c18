//! Dead letters: input that could not be used, with its reason and its place.
//!
//! Cold. The core collects them; whoever drives the core takes them away between turns. Without a
//! destination only a sample is kept for the log, with one it holds back the sources rather than
//! lose a letter.

use potoroo_sdk::codec::Reason;
use potoroo_sdk::host::Cause;

/// One input that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Source, connection and position.
    pub cause: Cause,
    /// Why it could not be used.
    pub reason: Reason,
    /// The frame.
    pub bytes: Vec<u8>,
}

/// The letters that wait to be taken.
#[derive(Debug, Default)]
pub struct Letters {
    waiting: Vec<Letter>,
    /// Whether every letter must be kept.
    keep_all: bool,
}

/// Without a destination: so many are kept between two collections, as a sample for the log.
const SAMPLE_LETTERS: usize = 4;
/// With a destination: above this the sources are held back. A few hundred letters of the largest
/// frame stay below the memory of the lanes.
const WAITING_LETTERS_MAX: usize = 256;
/// A sample shows the beginning of the bytes only.
const SAMPLE_BYTES: usize = 64;

impl Letters {
    /// No letters; with `keep_all` none is ever dropped.
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
        self.waiting.push(Letter { cause: *cause, reason, bytes: kept.to_vec() });
    }

    /// Whether sources have to wait until letters are taken away.
    pub fn full(&self) -> bool {
        self.keep_all && self.waiting.len() >= WAITING_LETTERS_MAX
    }

    /// Whether there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes all letters away.
    pub fn take(&mut self) -> Vec<Letter> {
        std::mem::take(&mut self.waiting)
    }
}
