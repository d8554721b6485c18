//! The mesh: one ring per ordered pair of cores and level.
//!
//! Owns nothing after construction; each core takes its [`Lanes`]. Promises that no ring end is
//! handed out twice. It must never connect a core to itself: what stays on a core takes no ring.

use crate::ring::{Consumer, MarkerReader, MarkerWriter, Producer, markers, ring};

/// The ends that one core holds.
pub struct Lanes {
    /// To each core (first index) at each level (second index); empty for the core itself.
    pub outbound: Vec<Vec<Producer>>,
    /// From each core (first index) at each level (second index); empty for the core itself.
    pub inbound: Vec<Vec<Consumer>>,
    /// To each core, for all levels; `None` for the core itself.
    pub markers_out: Vec<Option<MarkerWriter>>,
    /// From each core, for all levels; `None` for the core itself.
    pub markers_in: Vec<Option<MarkerReader>>,
}

/// Connects `cores` cores at `levels` levels by rings of `capacity_bytes`; element `i` of the
/// result is for core `i`. The memory is [`mesh_bytes`], all touched here.
///
/// # Panics
/// As [`ring`] does for a wrong capacity, if at least one ring is made.
pub fn mesh(cores: usize, levels: usize, capacity_bytes: usize) -> Vec<Lanes> {
    let mut lanes: Vec<Lanes> = (0..cores).map(|_| Lanes::for_cores(cores)).collect();
    for source in 0..cores {
        for target in (0..cores).filter(|&target| target != source) {
            let (writer, reader) = markers(levels);
            lanes[source].markers_out[target] = Some(writer);
            lanes[target].markers_in[source] = Some(reader);
            for _ in 0..levels {
                let (producer, consumer) = ring(capacity_bytes);
                lanes[source].outbound[target].push(producer);
                lanes[target].inbound[source].push(consumer);
            }
        }
    }
    lanes
}

/// Bytes of ring memory that [`mesh`] takes; saturates.
pub fn mesh_bytes(cores: usize, levels: usize, capacity_bytes: usize) -> usize {
    let pairs = cores.saturating_mul(cores.saturating_sub(1));
    pairs.saturating_mul(levels).saturating_mul(capacity_bytes)
}

impl Lanes {
    fn for_cores(cores: usize) -> Self {
        Self {
            outbound: (0..cores).map(|_| Vec::new()).collect(),
            inbound: (0..cores).map(|_| Vec::new()).collect(),
            markers_out: (0..cores).map(|_| None).collect(),
            markers_in: (0..cores).map(|_| None).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Marker;

    #[test]
    fn every_pair_is_connected_once_per_level_and_nobody_to_itself() {
        let mut lanes = mesh(3, 2, 4096);
        for source in 0..3 {
            for target in 0..3 {
                let expected = if source == target { 0 } else { 2 };
                assert_eq!(lanes[source].outbound[target].len(), expected);
                assert_eq!(lanes[target].inbound[source].len(), expected);
            }
        }
        check_delivery(&mut lanes, 2, 0, 1);
        check_delivery(&mut lanes, 0, 1, 0);
    }

    #[test]
    fn the_bill_counts_ordered_pairs() {
        assert_eq!(mesh_bytes(1, 4, 4096), 0);
        assert_eq!(mesh_bytes(64, 4, 65_536), 64 * 63 * 4 * 65_536);
    }

    fn check_delivery(lanes: &mut [Lanes], source: usize, target: usize, level: usize) {
        let producer = &mut lanes[source].outbound[target][level];
        producer.try_append(12).expect("an empty ring has room").fill(9);
        assert!(producer.publish());
        let consumer = &lanes[target].inbound[source][level];
        let (frame, _) = consumer.frame_at(consumer.head()).expect("published");
        assert_eq!(&frame[4..], &[9; 8]);
    }

    #[test]
    fn a_marker_lies_behind_what_was_committed_over_many_laps() {
        let (mut writer, reader) = markers(9);
        let (mut producer, mut consumer) = ring(4096);
        assert_eq!(reader.read(8, &consumer), Marker { epoch: 0, at: 0 });
        for epoch in 1..5_000 {
            producer.try_append(100 + epoch as usize % 50).expect("room").fill(0);
            producer.publish();
            writer.mark(8, &producer, epoch);
            producer.try_append(40).expect("room").fill(0);
            producer.publish();
            let marker = reader.read(8, &consumer);
            assert_eq!((marker.epoch, reader.epoch(8)), (epoch, epoch));
            let (_, behind) = consumer.frame_at(consumer.head()).expect("published");
            assert_eq!(marker.at, consumer.bytes_consumed() + behind.bytes_since(consumer.head()));
            let (_, last) = consumer.frame_at(behind).expect("published");
            consumer.consume_to(last);
        }
        assert_eq!(reader.epoch(0), 0, "each level has its own");
    }

    #[test]
    #[should_panic(expected = "behind what was published")]
    fn nothing_unpublished_is_marked() {
        let (mut writer, _) = markers(1);
        let (mut producer, _consumer) = ring(4096);
        producer.try_append(8).expect("room");
        writer.mark(0, &producer, 1);
    }
}
