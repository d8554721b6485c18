//! Topology: which CPUs share what, how far they are from each other, and which ones to use.
//!
//! Owns the reading of cores, caches and nodes. Promises to describe recorded hosts as well; only
//! the distances are measured, and on this host alone. Must never place anything.

mod choice;
mod cpu;
mod distance;
mod speed;

use serde::Serialize;

pub use choice::Choice;
pub use cpu::Cpu;
pub use distance::{Matrix, measure};

use crate::cpus::Cpus;
use crate::host::{CheckedHost, field};

/// What the kernel reports about the processors.
#[derive(Clone, Debug, Serialize)]
pub struct Topology {
    /// One entry for each CPU that is online, in their order.
    pub cpus: Vec<Cpu>,
    /// All caches of the second level and beyond, the first CPUs first.
    pub caches: Vec<Cache>,
    /// NUMA nodes.
    pub nodes: Vec<Node>,
    /// CPUs that are there and do not run.
    pub offline: Cpus,
}

/// One cache.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Cache {
    /// 2, 3, …
    pub level: usize,
    /// The lowest CPU that shares it.
    #[serde(skip)]
    first: usize,
    /// Who shares it, as a list.
    pub cpus: String,
    /// Its size, as the kernel writes it.
    pub size: String,
}

/// One NUMA node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Its number.
    pub node: usize,
    /// Its CPUs, as a list.
    pub cpus: String,
    /// Its memory in MiB.
    pub memory_mib: Option<u64>,
    /// Network cards that are attached to it.
    pub cards: Vec<String>,
}

impl Topology {
    /// Reads it. Where the kernel reports nothing, the shape is one core, one socket and one node.
    pub fn read(host: &CheckedHost) -> Self {
        let nodes = host.nodes();
        let mut cpus: Vec<Cpu> = host.online.iter().map(|it| cpu(host, &nodes, it)).collect();
        speed::fill(host, &mut cpus);
        let mut caches: Vec<Cache> = host
            .online
            .iter()
            .flat_map(|cpu| caches(host, cpu))
            .filter(|(level, _, _)| *level > 1)
            .map(|(level, cpus, size)| {
                let first = cpus.first().unwrap_or(0);
                Cache { level, first, cpus: cpus.to_string(), size }
            })
            .collect();
        caches.sort();
        caches.dedup();
        let nodes = nodes.iter().map(|(number, cpus)| node(host, *number, cpus)).collect();
        Self { cpus, caches, nodes, offline: host.present.without(&host.online) }
    }

    /// One CPU, if it is online.
    pub fn cpu(&self, number: usize) -> Option<&Cpu> {
        self.cpus.iter().find(|cpu| cpu.cpu == number)
    }
}

fn cpu(host: &CheckedHost, nodes: &[(usize, Cpus)], cpu: usize) -> Cpu {
    let package = host.root.value(&CheckedHost::cpu_file(cpu, "topology/physical_package_id"));
    let lowest = host.siblings(cpu).first().map_or(cpu, |sibling| sibling.min(cpu));
    let last = caches(host, cpu).into_iter().max_by_key(|(level, _, _)| *level);
    let elsewhere = nodes.iter().fold(Cpus::default(), |all, (_, cpus)| all.or(cpus));
    let none = (0, host.online.without(&elsewhere));
    let (node, beside) = nodes.iter().find(|(_, cpus)| cpus.contains(cpu)).unwrap_or(&none);
    // Where the kernel reports no cache, a node is taken to have one.
    let shared = last.map_or(beside.clone(), |(_, cpus, _)| cpus);
    Cpu {
        cpu,
        core: lowest,
        package: package.unwrap_or(0),
        node: *node,
        last_cache: shared.first().unwrap_or(cpu),
        isolated: host.isolated.contains(cpu),
        allowed: host.allowed.contains(cpu),
        capacity: None,
        efficient: false,
    }
}

/// Level, sharers and size of each cache of a CPU that holds data.
fn caches(host: &CheckedHost, cpu: usize) -> Vec<(usize, Cpus, String)> {
    let folder = CheckedHost::cpu_file(cpu, "cache");
    let one = |index: usize| {
        let file = |name: &str| format!("{folder}/index{index}/{name}");
        let level = host.root.value(&file("level")).ok()?;
        let holds = host.root.text(&file("type")).ok()?;
        let cpus = host.root.cpu_set(&file("shared_cpu_list"), &file("shared_cpu_map")).ok()?;
        let size = host.root.text(&file("size")).unwrap_or_default();
        let shared = cpus.and(&host.online);
        (holds != "Instruction" && shared.contains(cpu)).then_some((level, shared, size))
    };
    host.root.numbers(&folder, "index").into_iter().filter_map(one).collect()
}

fn node(host: &CheckedHost, node: usize, cpus: &Cpus) -> Node {
    let text = host.root.text(&format!("/sys/devices/system/node/node{node}/meminfo"));
    let total = text.ok().and_then(|text| field(&text, &format!("Node {node} MemTotal")));
    let kib: Option<u64> = total.and_then(|total| total.split_whitespace().next()?.parse().ok());
    let here = |name: &String| {
        let path = format!("/sys/class/net/{name}/device/numa_node");
        host.root.value::<usize>(&path) == Ok(node)
    };
    let cards = host.root.names("/sys/class/net").into_iter().filter(here).collect();
    Node { node, cpus: cpus.to_string(), memory_mib: kib.map(|kib| kib >> 10), cards }
}
