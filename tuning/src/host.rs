//! What every check needs to know of a host, read once.
//!
//! Owns the sets of CPUs and the kernel's command line. Promises that a host which reports nothing
//! still has an answer: sets that cannot be read are empty, except that this program runs on at
//! least one CPU. Must never judge.

use crate::boot::BootLine;
use crate::cgroup::Cgroups;
use crate::cpus::{Cpus, NUMBER_MAX};
use crate::root::{Root, Unread};

/// A host and the CPUs that an application is to have.
#[derive(Clone, Debug)]
pub struct CheckedHost<'a> {
    /// Its files.
    pub root: &'a Root,
    /// The CPUs to judge.
    pub cores: Cpus,
    /// CPUs that there can be.
    pub possible: Cpus,
    /// CPUs that there are, plugged in or not.
    pub present: Cpus,
    /// CPUs that run.
    pub online: Cpus,
    /// CPUs that this process may use.
    pub allowed: Cpus,
    /// CPUs outside the scheduler's balancing, by `isolcpus` or an isolated cpuset partition.
    pub isolated: Cpus,
    /// Why the set may be incomplete.
    pub isolated_unread: Option<Unread>,
    /// CPUs whose tick stops while one task runs.
    pub nohz_full: Cpus,
    /// Why the set may be incomplete.
    pub nohz_full_unread: Option<Unread>,
    /// The kernel's command line.
    pub boot: BootLine,
    /// The control groups of this process.
    pub cgroups: Cgroups,
}

impl<'a> CheckedHost<'a> {
    /// Reads the host; `cores` of `None` are the default of an application.
    pub fn read(root: &'a Root, cores: Option<&Cpus>) -> Self {
        let set = |name: &str| root.cpus(&format!("{CPUS}/{name}")).unwrap_or_default();
        let allowed = allowed(root);
        let online = some(set("online"), || running(root), || allowed.clone());
        let allowed = if allowed.is_empty() { online.clone() } else { allowed.and(&online) };
        let present = set("present").or(&online);
        let possible = set("possible").or(&present);
        let boot = BootLine::read(root);
        let isolated = reported_or(root, "isolated", || {
            Ok(boot.isolation(&possible)?.domain.unwrap_or_default())
        });
        let nohz_full = reported_or(root, "nohz_full", || boot.cpus("nohz_full", &possible));
        let partitions = root.cpus("/sys/fs/cgroup/cpuset.cpus.isolated").unwrap_or_default();
        Self {
            root,
            cores: cores
                .cloned()
                .unwrap_or_else(|| some(allowed.clone(), || online.clone(), Cpus::default)),
            isolated_unread: isolated.clone().err(),
            isolated: isolated.unwrap_or_default().or(&partitions),
            nohz_full_unread: nohz_full.clone().err(),
            nohz_full: nohz_full.unwrap_or_default(),
            boot,
            cgroups: Cgroups::read(root),
            possible,
            present,
            online,
            allowed,
        }
    }

    /// The CPUs left for all other processes.
    pub fn others(&self) -> Cpus {
        self.online.without(&self.cores)
    }

    /// Other threads of the physical core of `cpu`, as far as they are online.
    pub fn siblings(&self, cpu: usize) -> Cpus {
        let set = |list: &str, mask: &str| {
            let file = |name: &str| Self::cpu_file(cpu, &format!("topology/{name}"));
            self.root.cpu_set(&file(list), &file(mask))
        };
        let all = set("core_cpus_list", "core_cpus")
            .or_else(|_| set("thread_siblings_list", "thread_siblings"));
        let this = Cpus::from_iter([cpu]);
        all.unwrap_or_default().and(&self.online).without(&this)
    }

    /// NUMA nodes with their CPUs, some of which may have none, or share some; no nodes where the
    /// kernel reports none.
    pub fn nodes(&self) -> Vec<(usize, Cpus)> {
        let folder = "/sys/devices/system/node";
        let file = |node: usize, name: &str| format!("{folder}/node{node}/{name}");
        let cpus = |node| self.root.cpu_set(&file(node, "cpulist"), &file(node, "cpumap"));
        let nodes = self.root.numbers(folder, "node").into_iter();
        nodes.map(|node| (node, cpus(node).unwrap_or_default())).collect()
    }

    /// The path of a file of one CPU.
    pub(crate) fn cpu_file(cpu: usize, name: &str) -> String {
        format!("/sys/devices/system/cpu/cpu{cpu}/{name}")
    }
}

/// A field of a file of `name: value` lines.
pub(crate) fn field(text: &str, name: &str) -> Option<String> {
    let value =
        |line: &str| Some(line.strip_prefix(name)?.trim_start().strip_prefix(':')?.trim().into());
    text.lines().find_map(value)
}

fn allowed(root: &Root) -> Cpus {
    let text = root.text("/proc/self/status").unwrap_or_default();
    field(&text, "Cpus_allowed_list").and_then(|list| list.parse().ok()).unwrap_or_default()
}

/// CPUs with a line in /proc/stat: those that run, also in a container without /sys.
fn running(root: &Root) -> Cpus {
    let text = root.text("/proc/stat").unwrap_or_default();
    let number = |line: &str| line.strip_prefix("cpu")?.split(' ').next()?.parse().ok();
    text.lines().filter_map(number).filter(|number| *number <= NUMBER_MAX).collect()
}

/// What the kernel reports that it does; where /sys is hidden, what its command line requests.
fn reported_or(
    root: &Root,
    name: &str,
    requested: impl FnOnce() -> Result<Cpus, Unread>,
) -> Result<Cpus, Unread> {
    match root.cpus(&format!("{CPUS}/{name}")) {
        Err(unread) if unread.is_absent() => match root.is_folder(CPUS) {
            // This kernel cannot do it, whatever its command line requests.
            true => Ok(Cpus::default()),
            false => requested(),
        },
        reported => reported,
    }
}

/// The first set that has CPUs; this program runs on one.
fn some(first: Cpus, second: impl FnOnce() -> Cpus, third: impl FnOnce() -> Cpus) -> Cpus {
    let chosen = if first.is_empty() { second() } else { first };
    let chosen = if chosen.is_empty() { third() } else { chosen };
    if chosen.is_empty() { Cpus::from_iter([0]) } else { chosen }
}

/// What the kernel reports about CPUs.
const CPUS: &str = "/sys/devices/system/cpu";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_reports_nothing_has_one_cpu() {
        let root = Root::recorded("/no-such-folder");
        let host = CheckedHost::read(&root, None);
        assert_eq!(host.cores.to_string(), "0");
        assert!(host.others().is_empty() && host.nodes().is_empty());
        assert!(host.isolated_unread.is_some() && host.nohz_full_unread.is_some());
    }
}
