//! Hosts as folders of files: every way in which cgroups are mounted.

use std::fs;
use std::path::PathBuf;

use super::*;

const GIB: u64 = 1 << 30;

/// A host with these files, which goes away with the test.
struct FakeHost(PathBuf);

impl FakeHost {
    fn new(test: &str, cgroup: &str, mountinfo: &str) -> Self {
        let name = format!("potoroo-memory-{test}-{}", std::process::id());
        let host = Self(std::env::temp_dir().join(name));
        host.write("proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n");
        host.write("proc/self/cgroup", cgroup);
        host.write("proc/self/mountinfo", mountinfo);
        host
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder");
        fs::write(path, text).expect("it is ours");
    }

    #[track_caller]
    fn leaves(&self, bytes: u64, limit: &str) {
        let expected = Available { bytes: bytes as usize, limit: limit.to_owned() };
        assert_eq!(available_at(&Root::recorded(&self.0)), Some(expected));
    }
}

impl Drop for FakeHost {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

#[test]
fn without_a_cgroup_the_host_counts() {
    let host = FakeHost::new("none", "0::/\n", V2);
    host.leaves(8 * GIB, "the host");
}

#[test]
fn each_cgroup_up_to_the_root_counts() {
    let host = FakeHost::new("two", "0::/a/b\n", V2);
    host.write("sys/fs/cgroup/a/b/memory.max", "max\n");
    host.write("sys/fs/cgroup/a/b/memory.high", "max\n");
    host.write("sys/fs/cgroup/a/b/memory.current", "1000\n");
    host.leaves(8 * GIB, "the host");
    host.write("sys/fs/cgroup/a/memory.max", &format!("{}\n", 4 * GIB));
    host.write("sys/fs/cgroup/a/memory.current", &format!("{}\n", 3 * GIB));
    host.write("sys/fs/cgroup/a/memory.stat", &format!("anon 1\ninactive_file {GIB}\n"));
    host.leaves(2 * GIB, "the cgroup /sys/fs/cgroup/a (memory.max)");
    let slab = GIB / 2;
    let stat = format!("inactive_file {GIB}\nslab_reclaimable {slab}\nslab_unreclaimable 1\n");
    host.write("sys/fs/cgroup/a/memory.stat", &stat);
    host.leaves(2 * GIB + slab, "the cgroup /sys/fs/cgroup/a (memory.max)");
    host.write("sys/fs/cgroup/a/b/memory.high", "2000\n");
    host.leaves(1000, "the cgroup /sys/fs/cgroup/a/b (memory.high)");
    host.write("sys/fs/cgroup/a/b/memory.max", "500\n");
    host.leaves(0, "the cgroup /sys/fs/cgroup/a/b (memory.max)");
}

/// A container sees its own cgroup as the root, or the path of the host with a mount of a part.
#[test]
fn a_container_sees_its_own_limit() {
    for (test, cgroup, top) in [
        ("namespace", "0::/\n", "/"),
        ("above", "0::/../..\n", "/../.."),
        ("outside", "0::/../other\n", "/"),
        ("part", "0::/docker/abc\n", "/docker/abc"),
        ("other", "0::/elsewhere\n", "/docker/abc"),
    ] {
        let mount = format!("30 23 0:26 {top} /sys/fs/cgroup ro shared:1 - cgroup2 cgroup2 rw\n");
        let host = FakeHost::new(test, cgroup, &mount);
        host.write("sys/fs/cgroup/memory.max", "3000\n");
        host.write("sys/fs/cgroup/memory.current", "1000\n");
        host.leaves(2000, "the cgroup /sys/fs/cgroup (memory.max)");
    }
}

#[test]
fn version_one_counts_alone_and_beside_version_two() {
    let cgroup = "4:cpu,memory:/api/x\n3:cpuset:/\n0::/\n";
    let mounts = "35 31 0:32 / /sys/fs/cgroup/mem\\040ory rw - cgroup cgroup rw,cpu,memory\n\
                  34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
                  41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    let host = FakeHost::new("one", cgroup, mounts);
    let folder = "sys/fs/cgroup/mem ory";
    host.write(&format!("{folder}/memory.limit_in_bytes"), "9223372036854771712\n");
    host.write(&format!("{folder}/memory.usage_in_bytes"), "123\n");
    host.leaves(8 * GIB, "the host");
    host.write(&format!("{folder}/api/x/memory.limit_in_bytes"), "5000\n");
    host.write(&format!("{folder}/api/x/memory.usage_in_bytes"), "3000\n");
    host.write(&format!("{folder}/api/x/memory.stat"), "cache 9\ntotal_inactive_file 1000\n");
    host.leaves(3000, "the cgroup /sys/fs/cgroup/mem ory/api/x (memory.limit_in_bytes)");
}

#[test]
fn this_process_may_take_something() {
    assert!(available().is_some_and(|available| available.bytes > 0));
}
