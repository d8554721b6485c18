//! Memory: how much this process may still take, and which limit says so.
//!
//! ```text
//!   least of   MemAvailable of the host
//!              each cgroup from ours to the root: memory.max, memory.high less what is in use
//!              (in version 1: memory.limit_in_bytes)
//!              limits of the process: RLIMIT_AS, RLIMIT_DATA less what it has
//! ```
//!
//! A cgroup counts the pages of files that it has read as in use, and what the kernel remembers of
//! files (in version 1 apart), and takes them back before it kills anything: they count as left.

use potoroo_tuning::Root;
use potoroo_tuning::cgroup::{Cgroups, Version};
use rustix::process::{Resource, getrlimit};

/// The tightest limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Available {
    /// Bytes that it leaves.
    pub bytes: usize,
    /// Whose limit it is, for a message.
    pub limit: String,
}

/// What this process may still take; `None` where nothing says so.
pub fn available() -> Option<Available> {
    let root = Root::host_files();
    let of_process = [(Resource::As, "VmSize", "RLIMIT_AS, `ulimit -v`"), DATA];
    let of_process = of_process.into_iter().filter_map(|(resource, field, name)| {
        let limit = getrlimit(resource).current?;
        let used = kib(&root, "/proc/self/status", field)? * 1024;
        left_of("this process", name, limit, used)
    });
    available_at(&root).into_iter().chain(of_process).min_by_key(|one| one.bytes)
}

const DATA: (Resource, &str, &str) = (Resource::Data, "VmData", "RLIMIT_DATA, `ulimit -d`");

/// What files below `root` say.
fn available_at(root: &Root) -> Option<Available> {
    let host = kib(root, "/proc/meminfo", "MemAvailable");
    let host = host.map(|kib| Available { bytes: bytes(kib * 1024), limit: "the host".into() });
    let cgroups = Cgroups::read(root);
    let groups = cgroups.folders("memory").flat_map(|(version, folder)| {
        let names: &[&str] = match version {
            Version::One => &["memory.limit_in_bytes"],
            Version::Two => &["memory.max", "memory.high"],
        };
        let left = |name: &&str| {
            // `max` is no number: there is no limit.
            let limit = root.value(&format!("{folder}/{name}")).ok()?;
            let used = in_use(root, version, folder)?;
            left_of(&format!("the cgroup {folder}"), name, limit, used)
        };
        names.iter().filter_map(left).collect::<Vec<_>>()
    });
    host.into_iter().chain(groups).min_by_key(|one| one.bytes)
}

fn left_of(who: &str, name: &str, limit: u64, used: u64) -> Option<Available> {
    let bytes = bytes(limit.saturating_sub(used));
    (limit < NO_LIMIT).then(|| Available { bytes, limit: format!("{who} ({name})") })
}

fn bytes(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// More than any host has: version 1 has no other word for no limit.
const NO_LIMIT: u64 = 1 << 60;

/// What a cgroup cannot take back.
fn in_use(root: &Root, version: Version, folder: &str) -> Option<u64> {
    let (used, files): (_, &[&str]) = match version {
        Version::One => ("memory.usage_in_bytes", &["total_active_file", "total_inactive_file"]),
        Version::Two => ("memory.current", &["active_file", "inactive_file", "slab_reclaimable"]),
    };
    let stat = root.text(&format!("{folder}/memory.stat")).unwrap_or_default();
    let of_files = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        files.contains(&name).then(|| value.trim().parse::<u64>().ok())?
    };
    let cached: u64 = stat.lines().filter_map(of_files).sum();
    let used: u64 = root.value(&format!("{folder}/{used}")).ok()?;
    Some(used.saturating_sub(cached))
}

/// The KiB in a line `FIELD: 123 kB`.
fn kib(root: &Root, path: &str, field: &str) -> Option<u64> {
    let text = root.text(path).ok()?;
    let value = |line: &str| line.strip_prefix(field)?.strip_prefix(':').map(str::to_owned);
    text.lines().find_map(value)?.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
