//! Batch size: how many events may run before the router is asked whether it is blocked.
//!
//! What a batch causes has to be kept if it finds no room, so a batch is small beside the buffers,
//! and as small as one event where events cause much: each time that more than [`BYTES_OVER_MAX`]
//! wait beyond full buffers, the next batches become smaller by as much. Owns that number only.

use potoroo_sdk::host::BATCH_EVENTS;

/// Most events that a core with these buffers runs at once.
pub fn batch_max(lane_bytes: usize, outlet_bytes: usize) -> usize {
    (lane_bytes.min(outlet_bytes) / BUFFER_BYTES_PER_EVENT).clamp(1, BATCH_EVENTS)
}

/// How large the batches of one core are.
pub(super) struct BatchSize {
    /// Most events of one with these buffers.
    largest: usize,
    /// Most events of the next one.
    events_max: usize,
    /// Bytes that found no room since the last input that found some.
    bytes_over: usize,
    /// Inputs in turn that found room.
    inputs_with_room: u32,
}

impl BatchSize {
    // cold: at start
    pub(super) fn new(events_max: usize) -> Self {
        Self { largest: events_max, events_max, bytes_over: 0, inputs_with_room: 0 }
    }

    /// Most events of the batches of the next input.
    #[inline(always)]
    pub(super) fn next_max(&mut self) -> usize {
        if self.events_max < self.largest {
            self.grow();
        }
        self.events_max
    }

    /// These bytes found no room.
    #[cold]
    pub(super) fn add_over(&mut self, bytes: usize) {
        self.bytes_over += bytes;
    }

    /// The input before found no room for all that it caused.
    #[cold]
    pub(super) fn shrink(&mut self) {
        let over = std::mem::take(&mut self.bytes_over);
        self.inputs_with_room = 0;
        if over > BYTES_OVER_MAX {
            self.events_max = (self.events_max * BYTES_OVER_MAX / over).max(1);
        }
    }

    #[cold]
    fn grow(&mut self) {
        self.inputs_with_room += 1;
        if self.inputs_with_room > INPUTS_TO_GROW {
            self.events_max = (2 * self.events_max).min(self.largest);
            self.inputs_with_room = 0;
        }
    }
}

/// What one event of a batch may cause before more waits than the buffers hold.
const BUFFER_BYTES_PER_EVENT: usize = 4096;

/// What may wait beyond full buffers before batches become smaller: as much as a small buffer.
const BYTES_OVER_MAX: usize = 64 << 10;

/// After this many inputs in turn that found room, batches become larger again.
const INPUTS_TO_GROW: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_shrink_to_what_has_room_and_grow_again() {
        let mut size = BatchSize::new(64);
        size.add_over(64 << 10);
        size.shrink();
        assert_eq!(size.next_max(), 64, "that much may wait");
        size.add_over(1 << 20);
        size.shrink();
        assert_eq!(size.next_max(), 4);
        size.add_over(1 << 30);
        size.shrink();
        assert_eq!(size.next_max(), 1);
        for _ in 0..100 {
            assert!((0..INPUTS_TO_GROW - 1).all(|_| size.next_max() == 1));
            size.shrink();
        }
        assert_eq!((0..3 * INPUTS_TO_GROW).map(|_| size.next_max()).max(), Some(4));
        assert_eq!((0..9 * INPUTS_TO_GROW).map(|_| size.next_max()).max(), Some(64));
    }

    #[test]
    fn small_buffers_have_small_batches() {
        assert_eq!(batch_max(4096, 1), 1);
        assert_eq!(batch_max(1 << 20, 1 << 16), 16);
        assert_eq!(batch_max(1 << 20, 1 << 20), 64);
    }
}
