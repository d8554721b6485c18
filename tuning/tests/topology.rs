//! Which CPUs are proposed on hosts of unusual shapes.

mod recorded;

use potoroo_tuning::host::CheckedHost;
use potoroo_tuning::topology::{Choice, Topology};
use potoroo_tuning::{Cpus, Root, Severity};
use recorded::{Recorded, printed};

/// The CPUs proposed for `--cores`.
fn cores(recorded: &Recorded) -> String {
    let root = Root::recorded(recorded.path());
    Choice::new(&Topology::read(&CheckedHost::read(&root, None))).cores.to_string()
}

/// A host of this number of CPUs, each with its own core.
fn host(test: &str, online: &str) -> Recorded {
    let host = Recorded::empty(&format!("shape-{test}"));
    host.write("/sys/devices/system/cpu/online", &format!("{online}\n"));
    host.write("/proc/self/status", &format!("Cpus_allowed_list:\t{online}\n"));
    host
}

/// Writes a file of each CPU.
fn each(host: &Recorded, cpus: &str, name: &str, content: &str) {
    let cpus: Cpus = cpus.parse().expect("it is a list");
    cpus.iter()
        .for_each(|cpu| host.write(&format!("/sys/devices/system/cpu/cpu{cpu}/{name}"), content));
}

#[test]
fn efficiency_cores_are_distinguished_from_fast_ones() {
    let hybrid = Recorded::unpack("hybrid", "shape");
    insta::assert_snapshot!("topology-hybrid", printed(&hybrid.run("topology")));
    // Frequencies say the same.
    hybrid.remove("/sys/devices/cpu_atom/cpus");
    assert_eq!(cores(&hybrid), "2,4,6");
    // And so does the firmware.
    for cpu in 0..16 {
        let file = format!("/sys/devices/system/cpu/cpu{cpu}");
        hybrid.remove(&format!("{file}/cpufreq/cpuinfo_max_freq"));
        let perf = match cpu {
            0..4 => "68\n",
            4..8 => "65\n",
            _ => "41\n",
        };
        hybrid.write(&format!("{file}/acpi_cppc/highest_perf"), perf);
    }
    assert_eq!(cores(&hybrid), "2,4,6");
    // CPUs of both kinds are isolated.
    hybrid.write("/sys/devices/system/cpu/isolated", "6-9\n");
    assert_eq!(cores(&hybrid), "6");
    hybrid.write("/sys/devices/cpu_atom/cpus", "8-15\0");
    hybrid.write("/sys/devices/system/cpu/isolated", "8-9\n\0");
    assert_eq!(cores(&hybrid), "8-9", "there is nothing faster among those chosen");
}

#[test]
fn cores_that_differ_by_a_hair_are_equal() {
    for (file, most, hair) in [
        ("cpu_capacity", "1024\n", "1023\n"),
        ("acpi_cppc/highest_perf", "236\n", "231\n"),
        ("cpufreq/cpuinfo_max_freq", "5881000\n", "5663000\n"),
    ] {
        let host = host(&format!("hair-{}", file.replace('/', "-")), "0-10");
        each(&host, "0-10", file, hair);
        each(&host, "7", file, most);
        assert_eq!(cores(&host), "1-10", "{file}");
        // A value that one CPU does not have is not used to judge the others.
        each(&host, "3", file, "fast\n");
        each(&host, "8-10", file, "1\n");
        assert_eq!(cores(&host), "1-10", "{file}");
    }
}

#[test]
fn a_host_without_cpu_0_spares_its_first_one() {
    let host = host("no-0", "4-7");
    each(&host, "4-5", "topology/core_cpus_list", "4-5\n");
    each(&host, "6-7", "topology/core_cpus_list", "6-7\n");
    assert_eq!(cores(&host), "6");
    let text = printed(&host.run("topology"));
    assert!(text.contains("CPU 4 and its core stay for the rest"), "{text}");
    let text = printed(&host.run("doctor --cores 4"));
    assert!(text.contains("CPU 4 is a core of the application"), "{text}");
}

#[test]
fn nodes_may_have_no_cpus_or_share_some() {
    let host = host("nodes", "0-7");
    let node = |number: usize, name: &str, content: &str| {
        host.write(&format!("/sys/devices/system/node/node{number}/{name}"), content);
    };
    node(0, "cpulist", "0-3\n");
    node(1, "cpulist", "\n");
    node(2, "cpulist", "2-7\n");
    let text = printed(&host.run("topology"));
    assert!(text.contains("node 1: no CPUs, memory unknown"), "{text}");
    assert!(!text.contains("CPUs ,"), "{text}");
    let placement = |cores: &str| {
        let root = Root::recorded(host.path());
        let findings = potoroo_tuning::doctor(&root, Some(&cores.parse().expect("a list")));
        let finding = findings.into_iter().find(|it| it.check == "memory.numa-placement");
        finding.expect("it is a check")
    };
    for cores in ["0-3", "2-3", "2-7", "4-7"] {
        assert_eq!(placement(cores).severity, Severity::Fine, "{cores}");
    }
    let apart = placement("0-7");
    assert_eq!(apart.is, "the cores lie on several nodes (node 0: 0-1, node 2: 2-7)");
}

#[test]
fn masks_are_read_where_there_are_no_lists() {
    for end in ["\n", "\n\0", "\0"] {
        let host = host("masks", "0-7");
        host.write("/sys/devices/system/node/node0/cpumap", &format!("0f{end}"));
        host.write("/sys/devices/system/node/node1/cpumap", &format!("00000000,000000f0{end}"));
        for (cpus, mask) in [("0-1", "3"), ("2-3", "c"), ("4-5", "30"), ("6-7", "c0")] {
            each(&host, cpus, "topology/thread_siblings", &format!("{mask}{end}"));
        }
        for (cpus, mask) in [("0-5", "3f"), ("6-7", "c0")] {
            each(&host, cpus, "cache/index3/level", "3\n");
            each(&host, cpus, "cache/index3/type", "Unified\n");
            each(&host, cpus, "cache/index3/shared_cpu_map", &format!("{mask}{end}"));
        }
        let text = printed(&host.run("topology"));
        for line in ["0+1 2+3 4+5 6+7", "node 0: CPUs 0-3", "node 1: CPUs 4-7", "CPUs 0-5"] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert_eq!(cores(&host), "2,4");
    }
}

#[test]
fn lists_may_end_with_a_zero_byte() {
    let host = host("zero", "0-3");
    host.write("/sys/devices/system/cpu/online", "0-3\n\0");
    host.write("/sys/devices/system/cpu/isolated", "2-3\0\0");
    assert_eq!(cores(&host), "2-3");
}

#[test]
fn a_container_without_sys_still_has_its_cpus() {
    let host = Recorded::empty("shape-no-sys");
    host.write("/proc/self/status", "Cpus_allowed_list:\t4-7\n");
    let text = printed(&host.run("doctor"));
    assert!(text.contains("CPUs 4-7 are online and allowed"), "{text}");
    host.write("/proc/stat", "cpu  1 2 3 4\ncpu0 1 2 3 4\ncpu5 1 2 3 4\nintr 1\n");
    let text = printed(&host.run("doctor"));
    assert!(text.contains("CPUs 5 are online and allowed"), "{text}");
}
