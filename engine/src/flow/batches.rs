//! Batches: how many events may run before the router is asked whether it is blocked.
//!
//! What a batch causes has to be kept if it finds no room, so a batch is small beside the buffers,
//! and as small as one event where events cause much: each time that more than [`BEYOND_BYTES`]
//! wait beyond full buffers, the next batches become smaller by as much. Owns that number only.

use potoroo_sdk::host::BATCH_EVENTS;

/// Most events that a core with these buffers runs at once.
pub fn batch_max(lane_bytes: usize, outlet_bytes: usize) -> usize {
    (lane_bytes.min(outlet_bytes) / BUFFER_BYTES_PER_EVENT).clamp(1, BATCH_EVENTS)
}

/// How large the batches of one core are.
pub(super) struct Batches {
    /// Most events of one with these buffers.
    largest: usize,
    /// Most events of the next one.
    events_max: usize,
    /// Bytes that found no room since the last fit.
    beyond: usize,
    /// Runs of input in turn that found room.
    calm: u32,
}

impl Batches {
    // cold: at start
    pub(super) fn new(events_max: usize) -> Self {
        Self { largest: events_max, events_max, beyond: 0, calm: 0 }
    }

    /// Most events of the next batch.
    #[inline(always)]
    pub(super) fn events_max(&self) -> usize {
        self.events_max
    }

    /// Whether they are smaller than the buffers allow.
    #[inline(always)]
    pub(super) fn are_small(&self) -> bool {
        self.events_max < self.largest
    }

    /// These bytes found no room.
    #[cold]
    pub(super) fn exceed(&mut self, bytes: usize) {
        self.beyond += bytes;
    }

    /// Fits them to what the last run of input caused, which was blocked or not.
    #[cold]
    pub(super) fn fit(&mut self, blocked: bool) {
        let beyond = std::mem::take(&mut self.beyond);
        if beyond > BEYOND_BYTES {
            self.events_max = (self.events_max * BEYOND_BYTES / beyond).max(1);
            self.calm = 0;
        } else if !blocked {
            self.calm += 1;
            if self.calm >= CALM_RUNS {
                self.events_max = (2 * self.events_max).min(self.largest);
                self.calm = 0;
            }
        }
    }
}

/// What one event of a batch may cause before more waits than the buffers hold.
const BUFFER_BYTES_PER_EVENT: usize = 4096;

/// What may wait beyond full buffers before batches become smaller: as much as a small buffer.
const BEYOND_BYTES: usize = 64 << 10;

/// After this many runs of input in turn that found room, batches become larger again.
const CALM_RUNS: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_shrink_to_what_has_room_and_grow_again() {
        let mut batches = Batches::new(64);
        batches.exceed(64 << 10);
        batches.fit(true);
        assert_eq!(batches.events_max(), 64, "that much may wait");
        batches.exceed(1 << 20);
        batches.fit(true);
        assert_eq!(batches.events_max(), 4);
        batches.exceed(1 << 30);
        batches.fit(true);
        assert_eq!(batches.events_max(), 1);
        (0..5 * CALM_RUNS).for_each(|_| batches.fit(false));
        assert_eq!(batches.events_max(), 32);
        (0..5 * CALM_RUNS).for_each(|_| batches.fit(false));
        assert!(batches.events_max() == 64 && !batches.are_small());
    }

    #[test]
    fn small_buffers_have_small_batches() {
        assert_eq!(batch_max(4096, 1), 1);
        assert_eq!(batch_max(1 << 20, 1 << 16), 16);
        assert_eq!(batch_max(1 << 20, 1 << 20), 64);
    }
}
