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

use std::fs;
use std::path::{Component, Path, PathBuf};

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
    let of_process = [(Resource::As, "VmSize", "RLIMIT_AS, `ulimit -v`"), DATA];
    let of_process = of_process.into_iter().filter_map(|(resource, field, name)| {
        let limit = getrlimit(resource).current?;
        left_of("this process", name, limit, kib(Path::new("/proc/self/status"), field)? * 1024)
    });
    available_at(Path::new("/")).into_iter().chain(of_process).min_by_key(|one| one.bytes)
}

const DATA: (Resource, &str, &str) = (Resource::Data, "VmData", "RLIMIT_DATA, `ulimit -d`");

/// What files below `root` say.
fn available_at(root: &Path) -> Option<Available> {
    let host = kib(&root.join("proc/meminfo"), "MemAvailable");
    let host = host.map(|kib| Available { bytes: bytes(kib * 1024), limit: "the host".into() });
    let groups = folders(root).into_iter().flat_map(|(version, folder)| {
        let names: &[&str] = match version {
            Version::One => &["memory.limit_in_bytes"],
            Version::Two => &["memory.max", "memory.high"],
        };
        let shown = Path::new("/").join(folder.strip_prefix(root).unwrap_or(&folder));
        let shown = format!("the cgroup {}", shown.display());
        let left = |name: &&str| {
            // `max` is no number: there is no limit.
            let limit = number(&folder.join(name))?;
            left_of(&shown, name, limit, in_use(version, &folder)?)
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
fn in_use(version: Version, folder: &Path) -> Option<u64> {
    let (used, files): (_, &[&str]) = match version {
        Version::One => ("memory.usage_in_bytes", &["total_active_file", "total_inactive_file"]),
        Version::Two => ("memory.current", &["active_file", "inactive_file", "slab_reclaimable"]),
    };
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let of_files = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        files.contains(&name).then(|| value.trim().parse::<u64>().ok())?
    };
    let cached: u64 = stat.lines().filter_map(of_files).sum();
    Some(number(&folder.join(used))?.saturating_sub(cached))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// The folders of the cgroups that count the memory of this process, its own and those above.
fn folders(root: &Path) -> Vec<(Version, PathBuf)> {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let (ours, mounts) = (read("proc/self/cgroup"), read("proc/self/mountinfo"));
    let mut folders = Vec::new();
    for (version, top, at) in mounts.lines().filter_map(mount) {
        let Some(path) = ours.lines().find_map(|line| path_of(version, line)) else { continue };
        let at = root.join(at.strip_prefix("/").unwrap_or(&at));
        // A namespace shows what is above its own root as `/..`: its mount has all that is visible.
        let plain = path.components().all(|part| part != Component::ParentDir);
        let below = path.strip_prefix(&top).ok().filter(|_| plain).unwrap_or(Path::new(""));
        folders.extend(below.ancestors().map(|below| (version, at.join(below))));
    }
    folders
}

/// The path in a line of `/proc/self/cgroup` if it is of this version, and of memory.
fn path_of(version: Version, line: &str) -> Option<&Path> {
    let (number, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(':')?;
    let fits = match version {
        Version::One => controllers.split(',').any(|one| one == "memory"),
        Version::Two => number == "0" && controllers.is_empty(),
    };
    fits.then_some(Path::new(path))
}

/// Version, root and mount point of a line of `/proc/self/mountinfo` if it is a cgroup of memory.
fn mount(line: &str) -> Option<(Version, PathBuf, PathBuf)> {
    let (before, behind) = line.split_once(" - ")?;
    let (mut before, mut behind) = (before.split(' ').skip(3), behind.split(' '));
    let (top, at) = (before.next()?, before.next()?);
    let version = match behind.next()? {
        "cgroup2" => Version::Two,
        "cgroup" if behind.nth(1)?.split(',').any(|option| option == "memory") => Version::One,
        _ => return None,
    };
    Some((version, unescaped(top), unescaped(at)))
}

/// A path as it is: the kernel writes spaces and backslashes in it as `\040` and `\134`.
fn unescaped(text: &str) -> PathBuf {
    let mut parts = text.split('\\');
    let mut path = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let octal = part.get(..3).and_then(|code| u8::from_str_radix(code, 8).ok());
        match octal {
            Some(byte) => path.extend([char::from(byte).to_string().as_str(), &part[3..]]),
            None => path.extend(["\\", part]),
        }
    }
    path.into()
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The KiB in a line `FIELD: 123 kB`.
fn kib(path: &Path, field: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let value = |line: &str| line.strip_prefix(field)?.strip_prefix(':').map(str::to_owned);
    text.lines().find_map(value)?.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
