//! Which CPUs to give to an application.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use super::{Cpu, Topology};
use crate::cpus::Cpus;

/// CPUs for an application, and why these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// For `--cores`; empty if the host has none to give away.
    pub cores: Cpus,
    /// The reasons, in the order in which they decided.
    pub reasons: Vec<String>,
    /// If these are too few: all that could be given, farther from each other.
    pub more: Cpus,
}

impl Choice {
    /// Isolated CPUs, which the operator has chosen. Without any, those that share the largest last
    /// cache, without the core of the first CPU. One thread of each physical core, and fast cores
    /// only.
    pub fn new(topology: &Topology) -> Self {
        let isolated: Vec<&Cpu> = topology.cpus.iter().filter(|cpu| cpu.isolated).collect();
        let chosen = !isolated.is_empty();
        let (candidates, reason) = match chosen {
            true => (isolated, "they are isolated".to_owned()),
            false => {
                // The first that is online does what names no CPU; usually it is CPU 0.
                let first = topology.cpus.first();
                let is_spare = |cpu: &&Cpu| first.is_none_or(|first| cpu.core != first.core);
                let spare = topology.cpus.iter().filter(|cpu| cpu.allowed).filter(is_spare);
                let number = first.map_or(0, |first| first.cpu);
                let reason =
                    format!("nothing is isolated, so CPU {number} and its core stay for the rest");
                (spare.collect(), reason)
            }
        };
        let mut reasons = vec![reason];
        let all = decide(&mut reasons, one_per_core(&candidates), candidates, |_| {
            "one thread of each physical core".to_owned()
        });
        let all =
            decide(&mut reasons, fast(&all), all, |_| "the fastest cores of the host".to_owned());
        let near = if chosen { all.clone() } else { largest_group(&all) };
        let cores = decide(&mut reasons, near, all.clone(), |group| of_cache(topology, group));
        let numbers = |cpus: Vec<&Cpu>| cpus.iter().map(|cpu| cpu.cpu).collect();
        Self { cores: numbers(cores), reasons, more: numbers(all) }
    }
}

/// Takes `after`, and notes the reason if it is fewer than `before`.
fn decide<'a>(
    reasons: &mut Vec<String>,
    after: Vec<&'a Cpu>,
    before: Vec<&'a Cpu>,
    reason: impl FnOnce(&[&Cpu]) -> String,
) -> Vec<&'a Cpu> {
    if after.len() < before.len() {
        reasons.push(reason(&after));
    }
    after
}

fn one_per_core<'a>(cpus: &[&'a Cpu]) -> Vec<&'a Cpu> {
    let mut cores: BTreeMap<usize, &Cpu> = BTreeMap::new();
    for cpu in cpus {
        cores.entry(cpu.core).or_insert(cpu);
    }
    cores.into_values().collect()
}

/// Performance cores, if there are any; of those, and of cores of one kind, all that are about as
/// fast as the fastest.
fn fast<'a>(cpus: &[&'a Cpu]) -> Vec<&'a Cpu> {
    let performance: Vec<&Cpu> = cpus.iter().copied().filter(|cpu| !cpu.efficient).collect();
    let of_one_kind = if performance.is_empty() { cpus.to_vec() } else { performance };
    let fastest = of_one_kind.iter().filter_map(|cpu| cpu.capacity).max().unwrap_or(0);
    let least = u128::from(fastest) * (100 - SLOWER_PERCENT_MAX);
    let capacity = |cpu: &Cpu| u128::from(cpu.capacity.unwrap_or(fastest));
    of_one_kind.into_iter().filter(|cpu| capacity(cpu) * 100 >= least).collect()
}

/// Those that share a last cache; of equally large groups that of the lowest CPUs.
fn largest_group<'a>(cpus: &[&'a Cpu]) -> Vec<&'a Cpu> {
    let mut groups: BTreeMap<usize, Vec<&Cpu>> = BTreeMap::new();
    for cpu in cpus {
        groups.entry(cpu.last_cache).or_default().push(cpu);
    }
    groups.into_values().min_by_key(|group| Reverse(group.len())).unwrap_or_default()
}

fn of_cache(topology: &Topology, group: &[&Cpu]) -> String {
    let node = group.first().map_or(0, |cpu| cpu.node);
    let cards = topology.nodes.iter().find(|known| known.node == node);
    let cards = cards.map(|node| node.cards.join(", ")).filter(|cards| !cards.is_empty());
    let cards = cards.map(|cards| format!(", with {cards}")).unwrap_or_default();
    format!("all share one last cache, the largest group that does (node {node}{cards})")
}

/// The best cores of one kind are up to 6 % faster than the others of it; those of a slower kind
/// are slower by 12 % or more.
const SLOWER_PERCENT_MAX: u128 = 10;
