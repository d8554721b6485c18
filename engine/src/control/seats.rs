//! Seats: where the cores of this process sit among those of all nodes.

use super::config::Config;
use crate::cluster::wire::NewGeneration;
use crate::flow::PartitionMap;

/// Where the cores of this process sit among those of all nodes. A process that is alone has all
/// seats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seats {
    /// The first one of this process.
    pub(super) first: usize,
    /// Cores of this process.
    pub(super) own: usize,
    /// Cores of all nodes.
    pub(super) total: usize,
    /// Cores of the first node, which has the edges.
    pub(super) at_edges: usize,
    /// Which of them owns a partition.
    map: PartitionMap,
}

impl Seats {
    /// Those of a process that is alone.
    pub(super) fn alone(config: &Config) -> Self {
        let own = config.cores.len();
        let owners: Vec<u16> = state_cores(config).into_iter().map(|core| core as u16).collect();
        let map = PartitionMap::spread(config.partitions as u32, &owners);
        Self { first: 0, own, total: own, at_edges: own, map }
    }

    /// Those of the node `name` in a generation, in which each of `partitions` has an owner.
    ///
    /// # Errors
    /// The node is not one of it, or it gives a partition to no seat or to several.
    pub(super) fn among(
        new: &NewGeneration,
        name: &str,
        partitions: usize,
    ) -> Result<Self, &'static str> {
        let nodes = &new.nodes;
        let node = nodes.iter().find(|node| node.node == name);
        let node = node.ok_or("the lead has left this node out")?;
        let total = nodes.iter().map(|node| node.cores).sum();
        let map = PartitionMap::of_sets(partitions as u32, &new.shares);
        let map = map.filter(|_| new.shares.len() == total);
        let map = map.ok_or("the lead gives partitions to no core, or to several")?;
        Ok(Self { first: node.first, own: node.cores, total, at_edges: nodes[0].cores, map })
    }

    /// Which seat owns a partition.
    pub(super) fn map(&self) -> PartitionMap {
        self.map.clone()
    }

    /// By sink: the seat that owns it.
    pub(super) fn sink_owners(&self, sinks: usize) -> Vec<usize> {
        (0..sinks).map(|sink| sink % self.at_edges).collect()
    }

    /// The seat of the core to which the source at `index` belongs.
    pub(super) fn reader(&self, index: usize) -> usize {
        index % self.at_edges
    }

    /// Whether this process has the edges.
    pub(super) fn has_edges(&self) -> bool {
        self.first == 0
    }

    /// The core of this process on `seat`, if it is one of them.
    pub(super) fn core_at(&self, seat: usize) -> Option<usize> {
        seat.checked_sub(self.first).filter(|core| *core < self.own)
    }
}

/// The cores of this process that own partitions.
pub(super) fn state_cores(config: &Config) -> Vec<usize> {
    let owns = |cpu: &usize| config.state_cores.as_ref().is_none_or(|owners| owners.contains(cpu));
    (0..config.cores.len()).filter(|core| owns(&config.cores[*core])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Identity;
    use crate::checkpoint::store::Head;
    use crate::cluster::wire::NodeSeats;

    #[test]
    fn a_node_sits_after_those_before_it() {
        let links = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let node =
            |node: &str, first, cores| NodeSeats { node: node.to_owned(), first, cores, links };
        let nodes = vec![node("a", 0, 2), node("b", 2, 3), node("c", 5, 1)];
        let sets = |sets: &[&str]| sets.iter().map(|set| set.parse().expect("a set")).collect();
        let new = NewGeneration {
            head: Head::default(),
            identity: Identity::default(),
            nodes,
            shares: sets(&["0-511", "", "", "", "512-1023", ""]),
        };
        let seats = Seats::among(&new, "b", 1024).expect("it is one of them");
        assert_eq!((seats.first, seats.own, seats.total, seats.at_edges), (2, 3, 6, 2));
        let cores: Vec<_> = (0..6).map(|seat| seats.core_at(seat)).collect();
        assert_eq!(cores, [None, None, Some(0), Some(1), Some(2), None]);
        assert!(!seats.has_edges());
        assert_eq!(seats.sink_owners(3), [0, 1, 0]);
        assert_eq!((seats.map().owner(0), seats.map().owner(1023)), (0, 4));
        assert!(Seats::among(&new, "d", 1024).is_err());
        for shares in [sets(&["0-1023"]), sets(&["", "", "", "", "", "0-1022"])] {
            let wrong = NewGeneration { shares, ..new.clone() };
            assert!(Seats::among(&wrong, "b", 1024).is_err());
        }
    }
}
