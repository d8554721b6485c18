//! What shares promise, over random changes of nodes.

use potoroo_sdk::random::Random;

use super::*;

fn sharer(node: &str, weight: u32, cores: usize) -> Sharer<'_> {
    Sharer { node, weight: Weight(weight), cores }
}

fn owner_of(shares: &PartitionShares, partition: u16) -> Vec<(&str, usize)> {
    let owners = shares.0.iter().flat_map(|(node, cores)| {
        let has = move |(_, set): &(usize, &PartitionSet)| set.has(partition);
        cores.iter().enumerate().filter(has).map(|(core, _)| (node.as_str(), core))
    });
    owners.collect()
}

/// Partitions whose node, and those whose core, is another one than before.
fn moved(before: &PartitionShares, after: &PartitionShares, partitions: u32) -> (usize, usize) {
    let all = || (0..partitions).map(|partition| partition as u16);
    let nodes = all().filter(|partition| {
        let node = |shares| owner_of(shares, *partition).first().map(|owner| owner.0.to_owned());
        node(before) != node(after)
    });
    let cores =
        all().filter(|partition| owner_of(before, *partition) != owner_of(after, *partition));
    (nodes.count(), cores.count())
}

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn draw(random: &mut Random) -> Vec<Sharer<'static>> {
    let mut nodes: Vec<Sharer<'static>> = Vec::new();
    for node in NAMES {
        let (weight, cores) = (random.below(4) as u32 * 500, 1 + random.below(4) as usize);
        if random.below(2) == 0 {
            nodes.push(sharer(node, weight, cores));
        }
    }
    if nodes.is_empty() {
        nodes.push(sharer("a", 0, 1));
    }
    // The lead comes first, whatever its name.
    let first = random.below(nodes.len() as u64) as usize;
    nodes.rotate_left(first);
    nodes
}

#[test]
fn each_partition_has_one_owner_and_no_more_move_than_have_to() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let partitions = [1, 2, 7, 64, 100][random.below(5) as usize];
        let mut before = PartitionShares::default();
        for round in 0..8 {
            let nodes = draw(&mut random);
            let after = before.assign(partitions, &nodes);
            let said = format!("seed {seed}, round {round}: {nodes:?}: {before:?} to {after:?}");
            for partition in 0..partitions {
                assert_eq!(owner_of(&after, partition as u16).len(), 1, "{partition}: {said}");
            }
            let quotas = node_quotas(partitions as usize, &nodes);
            let mut has_to = (0, 0);
            for (node, quota) in nodes.iter().zip(quotas) {
                assert_eq!(after.count(node.node), quota, "{said}");
                let counts: Vec<_> =
                    after.of(node.node).iter().map(|set| set.iter().count()).collect();
                assert_eq!(counts.len(), node.cores, "{said}");
                assert!(counts[0] - counts[node.cores - 1] <= 1, "{said}");
                // What comes to a node, or to a core of it, has to come.
                has_to.0 += quota.saturating_sub(before.count(node.node));
                let had =
                    |core: usize| before.of(node.node).get(core).map(|set| set.iter().count());
                has_to.1 += counts.iter().enumerate().fold(0, |sum, (core, count)| {
                    sum + count.saturating_sub(had(core).unwrap_or(0))
                });
            }
            assert_eq!(moved(&before, &after, partitions), has_to, "{said}");
            assert_eq!(after.assign(partitions, &nodes), after, "it is stable: {said}");
            let reversed: Vec<_> = nodes.iter().rev().cloned().collect();
            assert_eq!(before.assign(partitions, &reversed), after, "in any order: {said}");
            before = after;
        }
    }
}

#[test]
fn weights_decide_and_ties_go_by_name() {
    let count = |shares: &PartitionShares| ["a", "b", "c"].map(|node| shares.count(node));
    let three = [sharer("c", 1000, 1), sharer("a", 1000, 1), sharer("b", 1000, 1)];
    let shares = PartitionShares::default().assign(1024, &three);
    assert_eq!(count(&shares), [342, 341, 341]);
    let edges_only = [sharer("a", 0, 1), sharer("b", 1000, 2), sharer("c", 3000, 1)];
    let shares = shares.assign(1024, &edges_only);
    assert_eq!(count(&shares), [0, 256, 768]);
    assert_eq!(shares.of("a"), [PartitionSet::default()]);
    let none = [sharer("a", 0, 1), sharer("b", 0, 3)];
    assert_eq!(count(&shares.assign(1024, &none)), [256, 768, 0]);
}

#[test]
fn what_was_written_down_wrongly_is_dealt_anew() {
    let odd = r#"{"a": ["0-9 2000", "5-20"], "b": ["7", "0-65535"], "gone": ["30-40"]}"#;
    let odd: PartitionShares = serde_json::from_str(odd).expect("they are sets");
    let nodes = [sharer("a", 1000, 1), sharer("b", 1000, 1)];
    let shares = odd.assign(100, &nodes);
    assert_eq!((shares.count("a"), shares.count("b")), (50, 50));
    assert!(shares.of("a")[0].has(0) && shares.of("a")[0].has(20));
}

#[test]
fn a_weight_has_one_spelling() {
    for (text, shown) in [("0", "0"), ("2", "2"), ("1.5", "1.5"), ("10.050", "10.05")] {
        let weight: Weight = text.parse().expect("it is one");
        assert_eq!(weight.to_string(), shown);
        assert_eq!(weight.to_string().parse(), Ok(weight));
        let json = serde_json::to_string(&weight).expect("it is a number");
        assert_eq!(serde_json::from_str::<Weight>(&json).ok(), Some(weight), "{json}");
    }
    for text in ["", "-1", "+1", ".5", "1.", "1.2345", "1e3", "100001", "4294968", "x", " 1"] {
        assert_eq!(text.parse::<Weight>(), Err(NoWeight), "{text}");
    }
    for json in ["-1", "1e9", "\"1\"", "null"] {
        assert!(serde_json::from_str::<Weight>(json).is_err(), "{json}");
    }
    let half = Weight(3).scaled(0.5);
    assert_eq!((half, Weight(3).scaled(1e12)), (Weight(2), Weight(100_000_000)));
    assert_eq!((Weight(3).scaled(0.0), Weight(0).scaled(9.0)), (Weight(1), Weight(0)));
}
