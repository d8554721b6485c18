//! Seats: where the cores of this process sit among those of all nodes.

use super::config::Config;
use crate::cluster::wire::NodeSeats;
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
    /// Those that own partitions.
    owners: Vec<u16>,
    partitions: u32,
}

impl Seats {
    /// Those of a process that is alone.
    pub(super) fn alone(config: &Config) -> Self {
        let own = config.cores.len();
        let owners = state_cores(config).into_iter().map(|core| core as u16).collect();
        let partitions = config.partitions as u32;
        Self { first: 0, own, total: own, at_edges: own, owners, partitions }
    }

    /// Those of the node `name` among `nodes`, where `owners` own partitions; none if it is not
    /// one of them.
    pub(super) fn among(
        nodes: &[NodeSeats],
        name: &str,
        (owners, partitions): (&[u16], usize),
    ) -> Option<Self> {
        let node = nodes.iter().find(|node| node.node == name)?;
        let total = nodes.iter().map(|node| node.cores).sum();
        let (first, own, at_edges) = (node.first, node.cores, nodes.first()?.cores);
        let partitions = partitions as u32;
        Some(Self { first, own, total, at_edges, owners: owners.to_vec(), partitions })
    }

    /// Which seat owns a partition.
    pub(super) fn map(&self) -> PartitionMap {
        PartitionMap::spread(self.partitions, &self.owners)
    }

    /// By sink: the seat that owns it.
    pub(super) fn sink_owners(&self, sinks: usize) -> Vec<usize> {
        (0..sinks).map(|sink| sink % self.at_edges).collect()
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

    #[test]
    fn a_node_sits_after_those_before_it() {
        let links = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let node =
            |node: &str, first, cores| NodeSeats { node: node.to_owned(), first, cores, links };
        let nodes = [node("a", 0, 2), node("b", 2, 3), node("c", 5, 1)];
        let seats = Seats::among(&nodes, "b", (&[0, 4], 1024)).expect("it is one of them");
        assert_eq!((seats.first, seats.own, seats.total, seats.at_edges), (2, 3, 6, 2));
        let cores: Vec<_> = (0..6).map(|seat| seats.core_at(seat)).collect();
        assert_eq!(cores, [None, None, Some(0), Some(1), Some(2), None]);
        assert!(!seats.has_edges());
        assert_eq!(seats.sink_owners(3), [0, 1, 0]);
        assert_eq!((seats.map().owner(0), seats.map().owner(1023)), (0, 4));
        assert_eq!(Seats::among(&nodes, "d", (&[0], 1024)), None);
    }
}
