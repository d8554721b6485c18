//! The trace of a run, as one number: equal runs have equal numbers.

use crate::seeds::mix;

/// A hash of everything that was noted, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace(pub u64);

impl Trace {
    /// Notes that `what` happened.
    pub fn note(&mut self, what: u64) {
        self.0 = mix(self.0, what);
    }

    /// Notes bytes that moved.
    pub fn note_bytes(&mut self, bytes: &[u8]) {
        self.note(bytes.len() as u64);
        let sum = bytes.iter().fold(0, |sum: u64, byte| {
            (sum.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        self.note(sum);
    }
}
