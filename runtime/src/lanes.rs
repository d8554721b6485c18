//! The mesh: a bundle of lanes for each ordered pair of cores, with one lane per exchange level.
//! Among them may be cores of other processes, to which [links](crate::link) lead.
//!
//! Owns nothing after construction; each core takes its [`Lanes`]. Promises that no end is handed
//! out twice. It must never connect a core to itself: what stays on a core takes no lane.
//!
//! ```text
//!   core 0: Outbound to 1 ═╤═ level 0 ═╤═► core 1: Inbound from 0
//!                          ├─ level 1 ─┤
//!                          ├─ markers ─┤
//!                          └─ words ───┘
//! ```

mod inbound;
mod outbound;

pub use inbound::{Inbound, InboundLane, LaneLimits};
pub use outbound::Outbound;

use crate::ring::{markers, ring, words};

/// A lane of a core, in either direction. A core and a level are both small numbers: only their
/// names keep them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneId {
    /// The core at its other end.
    pub core: usize,
    /// Its level.
    pub level: usize,
}

/// The ends that one core holds.
pub struct Lanes {
    /// By core: the end to it; without lanes for the core itself.
    pub outbound: Vec<Outbound>,
    /// By core: the end from it; without lanes for the core itself.
    pub inbound: Vec<Inbound>,
}

impl Lanes {
    /// The same ends, where the cores of this mesh have the numbers from `first` on among `cores`
    /// cores. To and from all others there are no lanes before they are [linked](Self::link).
    ///
    /// # Panics
    /// There are fewer cores.
    // cold: at start
    #[must_use]
    pub fn among(self, first: usize, cores: usize) -> Self {
        let after = cores.checked_sub(first + self.outbound.len()).expect("the mesh is among them");
        let (outbound_before, inbound_before) = absent(first);
        let (outbound_after, inbound_after) = absent(after);
        Self {
            outbound: [outbound_before, self.outbound, outbound_after]
                .into_iter()
                .flatten()
                .collect(),
            inbound: [inbound_before, self.inbound, inbound_after].into_iter().flatten().collect(),
        }
    }

    /// The ends of a link lead to and from the core with this number.
    ///
    /// # Panics
    /// There is no such core, or there are lanes to it.
    // cold: when a peer comes
    pub fn link(&mut self, core: usize, outbound: Outbound, inbound: Inbound) {
        assert!(self.outbound[core].is_none(), "there is one way from core to core");
        self.outbound[core] = outbound;
        self.inbound[core] = inbound;
    }
}

/// Both ends to as many cores, without lanes.
fn absent(cores: usize) -> (Vec<Outbound>, Vec<Inbound>) {
    (0..cores).map(|_| bundle(0, &[], 0)).unzip()
}

/// Connects `cores` cores at `levels` levels by rings of `capacity_bytes`; element `i` of the
/// result is for core `i`. The memory is [`mesh_bytes`], all touched here.
///
/// # Panics
/// As [`ring`] does for a wrong capacity, if at least one ring is made.
pub fn mesh(cores: usize, levels: usize, capacity_bytes: usize) -> Vec<Lanes> {
    mesh_with_words(cores, levels, &[], capacity_bytes)
}

/// As [`mesh`], with a word beside the lane of each of `word_levels`.
///
/// # Panics
/// As [`mesh`], or a word is for a level that there is not.
pub fn mesh_with_words(
    cores: usize,
    levels: usize,
    word_levels: &[usize],
    capacity_bytes: usize,
) -> Vec<Lanes> {
    assert!(word_levels.iter().all(|level| *level < levels), "a word stands beside a lane");
    let lanes = |_| Lanes { outbound: Vec::new(), inbound: Vec::new() };
    let mut mesh: Vec<Lanes> = (0..cores).map(lanes).collect();
    for source in 0..cores {
        for target in 0..cores {
            let (levels, words) =
                if source == target { (0, &[][..]) } else { (levels, word_levels) };
            let (outbound, inbound) = bundle(levels, words, capacity_bytes);
            // Both are pushed in the order of cores: a source's by target, a target's by source.
            mesh[source].outbound.push(outbound);
            mesh[target].inbound.push(inbound);
        }
    }
    mesh
}

/// Both ends of the lanes from one core to one other.
fn bundle(levels: usize, word_levels: &[usize], capacity_bytes: usize) -> (Outbound, Inbound) {
    let (marked, marks) = markers(levels);
    let (writer, reader) = words(word_levels.len());
    let (producers, consumers) = (0..levels).map(|_| ring(capacity_bytes)).unzip();
    let outbound = Outbound::new(producers, marked, writer, word_levels);
    (outbound, Inbound::new(consumers, marks, reader, word_levels))
}

/// Bytes of ring memory that [`mesh`] takes; saturates.
pub fn mesh_bytes(cores: usize, levels: usize, capacity_bytes: usize) -> usize {
    let pairs = cores.saturating_mul(cores.saturating_sub(1));
    pairs.saturating_mul(levels).saturating_mul(capacity_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::LinkedLanes;
    use crate::ring::Marker;

    #[test]
    fn every_pair_is_connected_once_per_level_and_no_core_to_itself() {
        let mut lanes = mesh(3, 2, 4096);
        for source in 0..3 {
            for target in 0..3 {
                let expected = if source == target { 0 } else { 2 };
                assert_eq!(lanes[source].outbound[target].levels(), expected);
                assert_eq!(lanes[source].outbound[target].is_none(), source == target);
                assert_eq!(lanes[target].inbound[source].levels(), expected);
            }
        }
        check_delivery(&mut lanes, 2, 0, 1);
        check_delivery(&mut lanes, 0, 1, 0);
    }

    #[test]
    fn cores_of_other_processes_are_numbered_among_those_of_the_mesh_and_linked() {
        let both = mesh(2, 2, 4096).into_iter().map(|lanes| lanes.among(1, 4));
        let mut lanes: Vec<Lanes> = both.collect();
        let (linked, other) = (LinkedLanes::new(2, 4096), LinkedLanes::new(2, 4096));
        lanes[0].link(3, linked.outbound, linked.inbound);
        lanes[1].link(3, other.outbound, other.inbound);
        let levels = |lanes: &Lanes| {
            let (to, from) = (&lanes.outbound, &lanes.inbound);
            let same = to.iter().zip(from).all(|(to, from)| to.levels() == from.levels());
            assert!(same, "as many each way");
            to.iter().map(Outbound::levels).collect::<Vec<_>>()
        };
        assert_eq!(levels(&lanes[0]), [0, 0, 2, 2]);
        assert_eq!(levels(&lanes[1]), [0, 2, 0, 2]);
        assert!(lanes[0].outbound[3].link().is_some());
        assert!(lanes[0].outbound[2].link().is_none());
    }

    #[test]
    fn the_bill_counts_ordered_pairs() {
        assert_eq!(mesh_bytes(1, 4, 4096), 0);
        assert_eq!(mesh_bytes(64, 4, 65_536), 64 * 63 * 4 * 65_536);
    }

    fn check_delivery(lanes: &mut [Lanes], source: usize, target: usize, level: usize) {
        assert!(!lanes[target].inbound[source].waits(level));
        let outbound = &mut lanes[source].outbound[target];
        for clean in [true, false] {
            let (room, first) = outbound.try_append(level, 12).expect("an empty lane has room");
            room.fill(9);
            assert_eq!(first, clean, "the first one asks for a publication");
        }
        assert!(outbound.publish(level));
        let inbound = &lanes[target].inbound[source];
        assert!(inbound.waits(level));
        let (frame, _) = inbound.frame_at(level, inbound.head(level)).expect("published");
        assert_eq!(&frame[4..], &[9; 8]);
    }

    #[test]
    fn a_lane_is_drained_within_its_limits() {
        let (mut outbound, mut inbound) = bundle(2, &[], 4096);
        for _ in 0..2 {
            outbound.try_append(1, 12).expect("room").0.fill(7);
        }
        outbound.publish(1);
        let head = inbound.head(1);
        assert_eq!(inbound.marker(1, head), (0, true), "nothing was ever marked");
        outbound.mark(5);
        let (_, second) = inbound.frame_at(1, head).expect("published");
        let (_, behind) = inbound.frame_at(1, second).expect("published");
        assert_eq!(inbound.marker(1, second), (5, false));
        assert_eq!(inbound.marker(1, behind), (5, true));

        let mut lane = inbound.drain(1, LaneLimits { epoch: 4, end: Some(second) });
        assert!(lane.frame_at(lane.head()).is_some());
        assert!(lane.frame_at(second).is_none(), "the limit");
        assert!(lane.marked());
        lane.consume_to(second);
        assert!(!lane.released(), "a few bytes are not announced");
        let lane = inbound.drain(1, LaneLimits { epoch: 5, end: None });
        assert!(!lane.marked());
        assert!(lane.frame_at(second).is_some());
        assert!(inbound.waits(1));
        assert!(!inbound.waits(0));
    }

    #[test]
    fn a_marker_follows_what_was_committed_over_many_laps() {
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
    #[should_panic(expected = "after everything was published")]
    fn nothing_unpublished_is_marked() {
        let (mut writer, _) = markers(1);
        let (mut producer, _consumer) = ring(4096);
        producer.try_append(8).expect("room");
        writer.mark(0, &producer, 1);
    }
}
