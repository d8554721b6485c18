//! Which partitions each core of each node owns.

use std::fmt::Write;

use serde::Serialize;

use super::super::answer::{Error, ToolExit, answer, to_json};
use super::{ClusterArgs, open, record};
use crate::checkpoint::PartitionSet;
use crate::cluster::agreement::AgreedEntries;
use crate::cluster::record::{ClusterRecord, RecordedNode, SharesRecord, shares_of, weights_of};
use crate::cluster::shares::{PartitionShares, Sharer, Weight};

#[derive(Debug, PartialEq, Eq, Serialize)]
struct ClusterMap {
    version: u64,
    generation: u64,
    partitions: u32,
    nodes: Vec<NodeShare>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct NodeShare {
    node: String,
    weight: Weight,
    partitions: usize,
    /// How many it is to have.
    target: usize,
    /// By core, out of those that own state.
    cores: Vec<PartitionSet>,
}

/// Shows which partitions each core of each node owns.
pub fn map(of: &ClusterArgs) -> Result<ToolExit, Error> {
    let (_, entries) = open(of)?;
    let map = map_of(&entries, record(&entries));
    if of.json {
        return answer(to_json(&map), ToolExit::Whole);
    }
    let mut text = format!(
        "map {} · generation {} · {} partitions\n\
         node              core  weight  partitions  which",
        map.version, map.generation, map.partitions
    );
    for NodeShare { node, weight, partitions, target, cores } in &map.nodes {
        for (core, own) in cores.iter().enumerate() {
            let count = own.iter().count();
            write!(text, "\n{node:<16} {core:>5}  {weight:>6} {count:>11}  {own}")
                .expect("it grows");
        }
        if partitions != target {
            write!(text, "\n{node:<16}   all  {weight:>6} {partitions:>11}  to be {target}")
                .expect("it grows");
        }
    }
    answer(text, ToolExit::Whole)
}

fn map_of(entries: &AgreedEntries, record: ClusterRecord) -> ClusterMap {
    let SharesRecord { version, partitions, shares } = shares_of(entries);
    let given = weights_of(entries);
    let weight = |node: &RecordedNode| given.get(&node.node).copied().unwrap_or(node.weight);
    let sharer = |node| sharer(node, weight(node));
    let sharers: Vec<Sharer<'_>> = record.nodes.iter().map(sharer).collect();
    let target = match sharers.is_empty() {
        true => PartitionShares::default(),
        false => shares.assign(partitions, &sharers),
    };
    let node = |sharer: &Sharer<'_>| NodeShare {
        node: sharer.node.to_owned(),
        weight: sharer.weight,
        partitions: shares.count(sharer.node),
        target: target.count(sharer.node),
        cores: shares.of(sharer.node).to_vec(),
    };
    let nodes = sharers.iter().map(node).collect();
    ClusterMap { version, generation: record.generation, partitions, nodes }
}

fn sharer(node: &RecordedNode, weight: Weight) -> Sharer<'_> {
    // An earlier version has not written down how many.
    Sharer { node: &node.node, weight, cores: node.state_cores.max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::agreement::Agreed;

    #[test]
    fn a_map_has_the_target_that_the_weights_make() {
        let shares = r#"{"version":3,"partitions":8,"shares":{"a":["0-3"],"b":["4-5","6-7"]}}"#;
        let entry = |value: &str| Agreed { value: value.to_owned(), session: None };
        let entries = AgreedEntries::from([
            ("shares".to_owned(), entry(shares)),
            ("weights".to_owned(), entry("{\"b\":3}")),
        ]);
        let node = |node: &str, cores| RecordedNode {
            node: node.to_owned(),
            process: String::new(),
            cores,
            state_cores: cores,
            weight: Weight::of_cores(1),
            partitions: 4,
        };
        let nodes = vec![node("a", 1), node("b", 2)];
        let map = map_of(&entries, ClusterRecord { nodes, ..ClusterRecord::default() });
        let counts: Vec<_> = map.nodes.iter().map(|node| (node.partitions, node.target)).collect();
        assert_eq!((map.version, counts), (3, vec![(4, 2), (4, 6)]));
        let nothing = map_of(&AgreedEntries::new(), ClusterRecord::default());
        assert_eq!((nothing.version, nothing.nodes), (0, Vec::new()));
    }
}
