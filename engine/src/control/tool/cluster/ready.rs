//! Whether a node takes part.

use std::thread::sleep;
use std::time::Duration;

use super::super::answer::{Error, ToolExit, answer, to_json};
use super::{ClusterArgs, open, record};
use crate::cluster::agreement::AgreedEntries;
use crate::cluster::record::{ClusterRecord, LEAD, NODES, RecordedNode};
use crate::control::config::NodeName;

/// Says whether a node takes part in the present generation; with `wait`, when it does.
pub fn ready(of: &ClusterArgs, node: Option<NodeName>, wait: bool) -> Result<ToolExit, Error> {
    let node = node.unwrap_or_else(NodeName::of_host).to_string();
    let (agreement, mut entries) = open(of)?;
    loop {
        let record = record(&entries);
        match missing(&entries, &record, &node) {
            None if of.json => return answer(to_json(&true), ToolExit::Whole),
            None => {
                let generation = record.generation;
                let text = format_args!("node `{node}` takes part in generation {generation}");
                return answer(text, ToolExit::Whole);
            }
            Some(_) if wait => sleep(LOOK),
            Some(reason) => {
                let place = of.cluster.to_string();
                return Err(Error::NotReady { place, node, reason });
            }
        }
        entries = agreement.list()?;
    }
}

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Why the node takes no part.
fn missing(entries: &AgreedEntries, record: &ClusterRecord, node: &str) -> Option<&'static str> {
    let Some(alive) = entries.get(&format!("{NODES}{node}")) else {
        return Some("no process is that node");
    };
    // One that was started again takes part when a generation has begun with that process.
    let begun = |one: &RecordedNode| one.node == node && one.process == alive.value;
    if !record.nodes.iter().any(begun) {
        return Some("no generation has begun with its process yet");
    }
    (!entries.contains_key(LEAD)).then_some("no node leads")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::agreement::Agreed;
    use crate::cluster::shares::Weight;

    #[test]
    fn a_node_that_was_started_again_takes_part_with_its_new_process() {
        let agreed = |value: &str| Agreed { value: value.to_owned(), session: Some(1) };
        let mut entries = AgreedEntries::new();
        let weight = Weight::of_cores(1);
        let recorded = |process: &str| RecordedNode {
            node: "b".to_owned(),
            process: process.to_owned(),
            cores: 1,
            state_cores: 1,
            weight,
            partitions: 1,
        };
        let mut record = ClusterRecord { nodes: vec![recorded("7")], ..Default::default() };
        assert_eq!(missing(&entries, &record, "b"), Some("no process is that node"));
        entries.insert(format!("{NODES}b"), agreed("8"));
        let old = Some("no generation has begun with its process yet");
        assert_eq!(missing(&entries, &record, "b"), old);
        record.nodes = vec![recorded("8")];
        assert_eq!(missing(&entries, &record, "b"), Some("no node leads"));
        entries.insert(LEAD.to_owned(), agreed("127.0.0.1:1"));
        assert_eq!(missing(&entries, &record, "b"), None);
    }
}
