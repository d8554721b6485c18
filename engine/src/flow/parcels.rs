//! Parcels: the events of a batch that go to one core, written into its lane as runs of frames.

use arrayvec::ArrayVec;

use potoroo_runtime::Outbound;
use potoroo_runtime::ring::FRAME_ALIGN_BYTES;
use potoroo_sdk::host::{BATCH_EVENTS, ExchangeId, Leaving, bits};

use super::envelope::{FrameEdge, Header, LENGTH_BYTES, TimeFields};
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
    pub(super) fn by_owner(
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
pub(super) struct SentBatch<'a> {
    pub(super) exchange: ExchangeId,
    /// Bytes of an archive.
    pub(super) bytes: usize,
    pub(super) events: Leaving<'a>,
    /// What each frame says of the time of its event.
    pub(super) fields: TimeFields,
    /// Writes archives.
    pub(super) write: &'a mut dyn FnMut(u64, &mut [u8], usize),
}

impl SentBatch<'_> {
    #[inline(always)]
    pub(super) fn frame_bytes(&self) -> usize {
        Header::frame_bytes(self.fields.bytes() + self.bytes)
    }

    /// Appends `events` to the lane of `level` until it is full. Returns those that found no room,
    /// and whether the lane had nothing unpublished before and has now.
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
                match self.fields {
                    TimeFields::NONE => self.write_headers(events, room, stride),
                    _ => self.write_timed_headers(events, room, stride),
                }
                left = bits(events).nth(run).map_or(0, |next| events & u64::MAX << next);
                let before = Header::frame_bytes(self.fields.bytes()) - LENGTH_BYTES;
                let archives = &mut room[before..];
                (self.write)(events ^ left, archives, stride);
            });
            if sent == 0 {
                break;
            }
            was_clean |= clean;
            events = left;
        }
        (events, was_clean)
    }

    #[inline(always)]
    fn write_headers(&self, events: u64, room: &mut [u8], stride: usize) {
        let edge = FrameEdge::Exchange(self.exchange.0);
        let Leaving { hashes, causes, .. } = self.events;
        for (place, room) in bits(events).zip(room.chunks_mut(stride)) {
            Header::write(edge, hashes[place], &causes[place], room);
        }
    }

    fn write_timed_headers(&self, events: u64, room: &mut [u8], stride: usize) {
        let Leaving { hashes, causes, timings } = self.events;
        for (place, room) in bits(events).zip(room.chunks_mut(stride)) {
            let of = (&causes[place], &timings[place]);
            Header::write_timed(self.exchange.0, hashes[place], of, self.fields, room);
        }
    }
}

#[cfg(test)]
mod tests {
    use potoroo_runtime::{LaneLimits, Lanes, mesh};
    use potoroo_sdk::host::{Cause, Origin, SourceId, Timing};
    use potoroo_sdk::time::EventTime;

    use super::*;

    const BYTES: usize = 70;
    const WHICH: u64 = 0x0fff_ff0f_f0f7_7733;

    /// Sends batches of events until the lane is full; the positions that were sent, and those that
    /// were seen at the other end.
    #[test]
    fn runs_fill_a_lane_and_arrive_in_order() {
        let [Lanes { mut outbound, .. }, Lanes { mut inbound, .. }] =
            <[Lanes; 2]>::try_from(mesh(2, 1, 4096)).ok().expect("there are two cores");
        let (mut sent, mut seen, mut position, mut partly) = (Vec::new(), Vec::new(), 0, 0);
        for round in 0..200 {
            let causes: [_; BATCH_EVENTS] = std::array::from_fn(|place| Cause {
                ingress: 7,
                origin: Origin { connection: 3, position: position + place as u64 },
                source: SourceId(1),
            });
            let hashes: [_; BATCH_EVENTS] = std::array::from_fn(|place| place as u64);
            let mut write = |which: u64, room: &mut [u8], stride: usize| {
                assert!(bits(which).count() <= room.len().div_ceil(stride));
                for (place, room) in bits(which).zip(room.chunks_mut(stride)) {
                    room[..BYTES].fill(place as u8);
                }
            };
            let timings: [_; BATCH_EVENTS] = std::array::from_fn(|place| Timing {
                time: EventTime::from_nanos(place as i64),
                own: EventTime::from_nanos(i64::from(round % 3 == 2) * 40 - 1),
                watermark: EventTime::MIN,
            });
            let events = Leaving { hashes: &hashes, causes: &causes, timings: &[] };
            let events = match round % 3 {
                0 => events,
                _ => Leaving { timings: &timings, ..events },
            };
            let fields = TimeFields::of(events.timings, round % 2 == 0);
            let (exchange, write) = (ExchangeId(5), &mut write);
            let which = WHICH.rotate_left(round);
            let mut batch = SentBatch { exchange, bytes: BYTES, events, fields, write };
            let (left, clean) = batch.append(which, &mut outbound[1], 0);
            assert_eq!(clean, left != which);
            partly += usize::from(left != 0 && left != which);
            assert!(left == 0 || (which ^ left).leading_zeros() > left.leading_zeros());
            sent.extend(bits(which ^ left).map(|place| position + place as u64));
            position += BATCH_EVENTS as u64;
            outbound[1].publish(0);
            let mut lane = inbound[0].drain(0, LaneLimits { epoch: 0, end: None });
            for _ in 0..round % 50 {
                let Some((frame, next)) = lane.frame_at(lane.head()) else { break };
                let (header, archive) = Header::read(frame);
                assert_eq!(header.edge, FrameEdge::Exchange(5));
                assert_eq!((header.cause.ingress, header.cause.source), (7, SourceId(1)));
                assert_eq!(header.hash, header.cause.origin.position % 64);
                // The round in which it was sent is in its position.
                let round = header.cause.origin.position / 64;
                let timing = Header::timing(frame);
                let timing = timing.map(|timing| (timing.time.nanos(), timing.is_late()));
                let (time, late) = (header.hash as i64, round % 3 == 2 && header.hash < 40);
                assert_eq!(timing, (round % 3 != 0).then_some((time, late)));
                assert!(archive.len() == BYTES);
                assert!(archive.iter().all(|byte| u64::from(*byte) == header.hash));
                seen.push(header.cause.origin.position);
                lane.consume_to(next);
            }
        }
        assert!(seen.len() > 1000 && partly > 10, "{} seen, {partly} partly sent", seen.len());
        assert_eq!(seen, sent[..seen.len()]);
    }

    #[test]
    fn every_event_is_in_the_parcel_of_its_owner() {
        let map = PartitionMap::spread(4, &[0, 1, 2]);
        let mut parcels = Parcels::new(3);
        for _ in 0..2 {
            // Partitions 0 and 1 are of core 0.
            let sorted = parcels.by_owner(&map, 0b11_1011, &[3, 1, 9, 2, 0, 1]);
            assert_eq!(sorted[..], [(2, 0b00_0001), (0, 0b11_0010), (1, 0b00_1000)]);
        }
    }
}
