//! Every way to grow and shrink after every other, under constant load: the map says who owns what
//! after each, and the output that nothing was lost or doubled.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use support::App;
use support::cluster::{Cluster, nodes};

/// How many nodes come or leave at once. Each ordered pair of {1, 4, -1, -4} is in it, and between
/// 1 and 9 nodes run.
const STEPS: [i32; 17] = [-1, 1, -1, -4, 1, 4, -4, -1, -1, 4, 1, 1, -4, -4, 4, 4, -1];

/// Nodes at the beginning.
const FIRST: usize = 9;

#[test]
fn each_pair_of_steps_moves_no_more_than_it_has_to() {
    let mut pairs: Vec<_> = STEPS.windows(2).map(|pair| (pair[0], pair[1])).collect();
    pairs.sort_unstable();
    pairs.dedup();
    assert_eq!(pairs.len(), 16, "each pair is in it");

    let mut cluster = Cluster::windows("cluster-scale", 100_000_000, "2000");
    cluster.arguments = cluster.arguments.replace("--cores 0,0", "--cores 0 --gather-ms 300");
    let mut names = (0..).map(|number| format!("n{number}"));
    let mut apps: BTreeMap<String, App> = BTreeMap::new();
    let start = |apps: &mut BTreeMap<String, App>, name: String| {
        let app = cluster.start(&name);
        apps.insert(name, app);
    };
    names.by_ref().take(FIRST).for_each(|name| start(&mut apps, name));
    wait_for(&cluster, &apps);
    cluster.wait(|status| status["epoch"].as_u64() > Some(2));
    for step in STEPS {
        let before = owners(&cluster);
        let came: BTreeSet<String> = names.by_ref().take(step.max(0) as usize).collect();
        came.iter().for_each(|name| start(&mut apps, name.clone()));
        let left: BTreeSet<String> = apps.keys().take((-step).max(0) as usize).cloned().collect();
        for name in &left {
            apps[name].signal(rustix::process::Signal::TERM);
        }
        for name in &left {
            let ended = apps.remove(name).expect("it was started").finish();
            assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.log);
        }
        wait_for(&cluster, &apps);
        let after = owners(&cluster);
        assert!(apps.keys().all(|name| after.values().any(|owner| owner == name)), "{after:?}");
        assert!(before.keys().eq(after.keys()), "all partitions are owned");
        for (partition, owner) in &after {
            let had = &before[partition];
            let moved = had != owner;
            let may = came.contains(owner) || left.contains(had);
            assert!(!moved || may, "step {step}: {partition} went from {had} to {owner}");
        }
        let most = |count: usize| count <= before.len() / apps.len() + 1;
        for name in apps.keys() {
            assert!(most(after.values().filter(|owner| *owner == name).count()), "{after:?}");
        }
    }
    cluster.stop_and_check(apps.into_values().collect());
}

/// Waits until all that run, and no others, own partitions.
fn wait_for(cluster: &Cluster, apps: &BTreeMap<String, App>) {
    let names: Vec<&str> = apps.keys().map(String::as_str).collect();
    cluster.wait_for_nodes(&names);
}

/// By partition: the node that owns it.
fn owners(cluster: &Cluster) -> BTreeMap<u64, String> {
    let (text, done) = cluster.ask("map --json");
    assert!(done, "{text}");
    let map: Value = serde_json::from_str(&text).expect("it is JSON");
    let mut owners = BTreeMap::new();
    for node in nodes(&map) {
        let name = node["node"].as_str().expect("a name");
        for ranges in node["cores"].as_array().into_iter().flatten() {
            for partition in partitions(ranges) {
                let before = owners.insert(partition, name.to_owned());
                assert_eq!(before, None, "partition {partition} has one owner");
            }
        }
    }
    owners
}

/// Those of a set such as `0-3 7`.
fn partitions(set: &Value) -> Vec<u64> {
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        number(first)..=number(last)
    };
    let ranges = set.as_str().expect("a text").split(' ').filter(|range| !range.is_empty());
    ranges.flat_map(range).collect()
}
