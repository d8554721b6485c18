//! Parcels: the events of a batch that go to one core, written into its lane as runs of frames.

use arrayvec::ArrayVec;

use potoroo_runtime::Outbound;
use potoroo_runtime::ring::FRAME_ALIGN_BYTES;
use potoroo_sdk::host::{BATCH_EVENTS, Cause, ExchangeId, bits};

use super::envelope::{FrameEdge, Header, LENGTH_BYTES};
use super::partitions::PartitionMap;

/// Which events of a batch go to each core.
pub(super) struct Parcels {
    /// By core; all 0 between two batches.
    events: Vec<u64>,
}

impl Parcels {
    // cold: at start
    pub(super) fn new(cores: usize) -> Self {
        Self { events: vec![0; cores] }
    }

    /// The owners of the events of a batch whose bits are set in `which`, each with its events.
    #[inline]
    pub(super) fn sort(
        &mut self,
        map: &PartitionMap,
        which: u64,
        hashes: &[u64],
    ) -> ArrayVec<(usize, u64), BATCH_EVENTS> {
        let mut owners = ArrayVec::<(usize, u64), BATCH_EVENTS>::new();
        for place in bits(which) {
            let owner = map.owner(hashes[place]);
            if self.events[owner] == 0 {
                owners.push((owner, 0));
            }
            self.events[owner] |= 1 << place;
        }
        for (owner, events) in &mut owners {
            *events = std::mem::take(&mut self.events[*owner]);
        }
        owners
    }
}

/// A batch that is sent; see [`Host::send_all`](potoroo_sdk::host::Host::send_all).
pub(super) struct Parcel<'a> {
    pub(super) exchange: ExchangeId,
    /// Bytes of an archive.
    pub(super) bytes: usize,
    pub(super) hashes: &'a [u64],
    pub(super) causes: &'a [Cause],
    /// Writes archives.
    pub(super) write: &'a mut dyn FnMut(u64, &mut [u8], usize),
}

impl Parcel<'_> {
    #[inline(always)]
    pub(super) fn frame_bytes(&self) -> usize {
        Header::frame_bytes(self.bytes)
    }

    /// Appends `events` to the lane of `level` until it is full. Returns those that found no room,
    /// and whether the lane had nothing unpublished before.
    #[inline]
    pub(super) fn append(
        &mut self,
        mut events: u64,
        lanes: &mut Outbound,
        level: usize,
    ) -> (u64, bool) {
        let frame_bytes = self.frame_bytes();
        let stride = frame_bytes.next_multiple_of(FRAME_ALIGN_BYTES);
        let mut was_clean = false;
        while events != 0 {
            let mut left = events;
            let count = events.count_ones() as usize;
            let (sent, clean) = lanes.append_run(level, frame_bytes, count, |run, room| {
                let edge = FrameEdge::Exchange(self.exchange.0);
                for (place, room) in bits(events).zip(room.chunks_mut(stride)) {
                    Header::write(edge, self.hashes[place], &self.causes[place], room);
                }
                (0..run).for_each(|_| left &= left.wrapping_sub(1));
                let archives = &mut room[Header::frame_bytes(0) - LENGTH_BYTES..];
                (self.write)(events ^ left, archives, stride);
            });
            was_clean |= clean;
            if sent == 0 {
                break;
            }
            events = left;
        }
        (events, was_clean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_in_the_parcel_of_its_owner() {
        let map = PartitionMap::spread(4, &[0, 1, 2]);
        let mut parcels = Parcels::new(3);
        for _ in 0..2 {
            // Partitions 0 and 3 are of core 0.
            let sorted = parcels.sort(&map, 0b11_1011, &[3, 1, 9, 2, 0, 1]);
            assert_eq!(sorted[..], [(0, 0b01_0001), (1, 0b10_0010), (2, 0b00_1000)]);
        }
    }
}
