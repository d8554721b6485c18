//! Facts that distinguish two hosts and stay the same from run to run.
//!
//! Owns the choice of facts and their digest. Promises that two runs on one host, in one
//! configuration, have one fingerprint, and that nothing in it names the host's owner: no host
//! name, no serial number, no address. Must never contain what changes by itself, such as load,
//! frequency or free memory.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::host::{CheckedHost, field};
use crate::root::Root;

/// The facts about a host that figures depend on; `None` is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Sixteen hexadecimal digits made of all the other fields.
    pub id: String,
    /// Model of the processor.
    pub cpu: Option<String>,
    /// CPUs online, as a list.
    pub cpus: String,
    /// Version of the microcode.
    pub microcode: Option<String>,
    /// Maker and model of the machine.
    pub machine: Option<String>,
    /// Release of the kernel.
    pub kernel: Option<String>,
    /// Memory in GiB, rounded.
    pub memory_gib: Option<u64>,
    /// `none`, or what the host runs in.
    pub virtualization: String,
    /// Clock source of the kernel.
    pub clock_source: Option<String>,
    /// Isolated CPUs, as a list.
    pub isolated: String,
    /// CPUs without a tick, as a list.
    pub nohz_full: String,
    /// Frequency governors in use.
    pub governor: Option<String>,
    /// State of simultaneous multithreading: `on`, `off`, `notsupported`, …
    pub smt: Option<String>,
    /// Choice of transparent huge pages.
    pub thp: Option<String>,
    /// Number of NUMA nodes.
    pub numa_nodes: usize,
}

impl Fingerprint {
    /// Of the host below `root`.
    pub fn read(root: &Root) -> Self {
        let host = CheckedHost::read(root, None);
        let text = |path| root.text(path).ok();
        let cpuinfo = root.text("/proc/cpuinfo").unwrap_or_default();
        let known = |name| field(&cpuinfo, name);
        let mut fingerprint = Self {
            id: String::new(),
            cpu: known("model name").or_else(|| known("CPU part")),
            cpus: host.online.to_string(),
            microcode: known("microcode"),
            machine: machine(root),
            kernel: text("/proc/sys/kernel/osrelease"),
            memory_gib: memory_gib(root),
            virtualization: virtualization(root),
            clock_source: text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            isolated: host.isolated.to_string(),
            nohz_full: host.nohz_full.to_string(),
            governor: governors(&host),
            smt: text("/sys/devices/system/cpu/smt/control"),
            thp: root.choice("/sys/kernel/mm/transparent_hugepage/enabled").ok(),
            numa_nodes: host.nodes().len().max(1),
        };
        let facts = serde_json::to_vec(&fingerprint).expect("texts and numbers become JSON");
        fingerprint.id = format!("{:016x}", xxh3_64(&facts));
        fingerprint
    }
}

/// What the host runs in: `none`, a hypervisor, or a container (and a hypervisor below it).
pub(crate) fn virtualization(root: &Root) -> String {
    let below = hypervisor(root);
    match (container(root), below) {
        (Some(container), Some(below)) => format!("container {container} on {below}"),
        (Some(container), None) => format!("container {container}"),
        (None, Some(below)) => below,
        (None, None) => "none".to_owned(),
    }
}

fn container(root: &Root) -> Option<String> {
    if let Ok(name) = root.text("/run/systemd/container") {
        return Some(name);
    }
    let marks = [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")];
    let marked = marks.iter().find(|(file, _)| root.exists(file));
    let name = marked.map(|(_, name)| *name);
    let kubernetes = || root.exists("/var/run/secrets/kubernetes.io").then_some("kubernetes");
    name.or_else(kubernetes).map(str::to_owned)
}

fn hypervisor(root: &Root) -> Option<String> {
    if let Ok(kind) = root.text("/sys/hypervisor/type") {
        return Some(kind);
    }
    let cpuinfo = root.text("/proc/cpuinfo").unwrap_or_default();
    let flags = field(&cpuinfo, "flags").unwrap_or_default();
    let machine = machine(root).unwrap_or_default();
    let named = MACHINES.iter().find(|(part, _)| machine.contains(part)).map(|(_, name)| *name);
    match (named, flags.split_whitespace().any(|flag| flag == "hypervisor")) {
        (Some(name), true) => Some(name.to_owned()),
        (None, true) => Some("hypervisor of unknown kind".to_owned()),
        // Bare-metal instances of clouds carry the name of the cloud and no flag.
        (_, false) => None,
    }
}

/// Parts of what DMI says, and what it means.
const MACHINES: [(&str, &str); 8] = [
    ("VMware", "vmware"),
    ("VirtualBox", "virtualbox"),
    ("Microsoft", "hyper-v"),
    ("Xen", "xen"),
    ("Google", "kvm (google)"),
    ("Amazon EC2", "kvm (amazon)"),
    ("QEMU", "kvm"),
    ("KVM", "kvm"),
];

fn machine(root: &Root) -> Option<String> {
    let read = |name: &str| root.text(&format!("/sys/class/dmi/id/{name}")).ok();
    match (read("sys_vendor"), read("product_name")) {
        (None, None) => None,
        (vendor, product) => {
            Some([vendor, product].into_iter().flatten().collect::<Vec<_>>().join(" "))
        }
    }
}

fn memory_gib(root: &Root) -> Option<u64> {
    let total = field(&root.text("/proc/meminfo").ok()?, "MemTotal")?;
    let kib: u64 = total.split_whitespace().next()?.parse().ok()?;
    Some(kib.saturating_add(1 << 19) >> 20)
}

fn governors(host: &CheckedHost) -> Option<String> {
    let of = |cpu| host.root.text(&CheckedHost::cpu_file(cpu, "cpufreq/scaling_governor")).ok();
    let mut names: Vec<String> = host.online.iter().filter_map(of).collect();
    names.sort();
    names.dedup();
    (!names.is_empty()).then(|| names.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_readings_are_alike_and_survive_json() {
        let root = Root::host();
        let first = Fingerprint::read(&root);
        assert_eq!(first, Fingerprint::read(&root));
        assert_eq!(first.id.len(), 16);
        let json = serde_json::to_string(&first).expect("it becomes JSON");
        assert_eq!(serde_json::from_str::<Fingerprint>(&json).expect("and back"), first);
    }

    #[test]
    fn an_empty_root_has_a_fingerprint_of_its_own() {
        let nothing = Fingerprint::read(&Root::recorded("/no-such-folder"));
        assert_eq!(nothing.cpu, None);
        assert_ne!(nothing.id, Fingerprint::read(&Root::host()).id);
    }
}
