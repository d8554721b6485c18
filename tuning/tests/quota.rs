//! CPU quotas of control groups of both versions, in every place where a process may find itself.

mod recorded;

use potoroo_tuning::Root;
use potoroo_tuning::cgroup::Cgroups;
use recorded::Recorded;

/// A host with these files; the last part of a line is the content.
fn host(test: &str, files: &[(&str, &str)]) -> Recorded {
    let host = Recorded::empty(&format!("quota-{test}"));
    host.write("/proc/self/status", "Cpus_allowed_list:\t0-3\n");
    host.write("/sys/devices/system/cpu/online", "0-3\n");
    files.iter().for_each(|(path, content)| host.write(path, content));
    host
}

/// The quota that is found, as `FILE QUOTA PERIOD`; `none`, or `unknown`.
#[track_caller]
fn check(test: &str, files: &[(&str, &str)], expected: &str) {
    let host = host(test, files);
    let root = Root::recorded(host.path());
    let found = match Cgroups::read(&root).quota(&root) {
        Ok(Some(it)) => format!("{} {} {}", it.file, it.quota_us, it.period_us),
        Ok(None) => "none".to_owned(),
        Err(unread) => format!("unknown {unread}"),
    };
    assert_eq!(found, expected, "{test}");
    let text = recorded::printed(&host.run("doctor"));
    let line = text.lines().find(|line| line.contains("limit.quota")).expect("it is a check");
    let severity = line.split_whitespace().next().expect("a line has words");
    let severity_expected = match expected.split(' ').next() {
        Some("none") => "fine",
        Some("unknown") => "unknown",
        _ => "UNFIT",
    };
    assert_eq!(severity, severity_expected, "{test}: {line}");
}

const V1: &str = "12:pids:/a/b\n4:cpu,cpuacct:/a/b\n1:name=systemd:/a/b\n";
const V1_MOUNT: &str =
    "35 25 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n";
const V1_FOLDER: &str = "/sys/fs/cgroup/cpu,cpuacct";

#[test]
fn a_quota_of_version_1_is_found_in_the_own_group_and_above() {
    let quota = |group: &str| format!("{V1_FOLDER}{group}/cpu.cfs_quota_us");
    let period = |group: &str| format!("{V1_FOLDER}{group}/cpu.cfs_period_us");
    for (test, mounts) in [("mounted", V1_MOUNT), ("usual", "\n")] {
        for group in ["/a/b", "/a", ""] {
            let test = format!("v1-{test}{}", group.replace('/', "-"));
            let files = [
                ("/proc/self/cgroup", V1),
                ("/proc/self/mountinfo", mounts),
                (&quota("/a/b"), "-1\n"),
                (&quota(group), "50000\n"),
                (&period(group), "20000\n"),
            ];
            check(&test, &files, &format!("{} 50000 20000", quota(group)));
        }
    }
    let files =
        [("/proc/self/cgroup", V1), (&quota("/a/b"), "-1\n"), (&period("/a/b"), "100000\n")];
    check("v1-none", &files, "none");
    let files = [("/proc/self/cgroup", V1), (&quota("/a/b"), "many\n")];
    check("v1-odd", &files, &format!("unknown {}: not understood: many of 100000", quota("/a/b")));
}

#[test]
fn a_container_of_version_1_sees_its_own_group_as_the_mounted_one() {
    let quota = format!("{V1_FOLDER}/cpu.cfs_quota_us");
    let mount = V1_MOUNT.replace(" / ", " /docker/7f ");
    for (test, cgroup, mounts) in [
        ("host-path", "4:cpu,cpuacct:/docker/7f\n", mount.as_str()),
        ("namespace", "4:cpuacct,cpu:/\n", V1_MOUNT),
        ("elsewhere", "4:cpu,cpuacct:/../../init\n", V1_MOUNT),
        ("no-table", "4:cpu,cpuacct:/docker/7f\n", "\n"),
    ] {
        let files =
            [("/proc/self/cgroup", cgroup), ("/proc/self/mountinfo", mounts), (&quota, "150000\n")];
        check(test, &files, &format!("{quota} 150000 100000"));
    }
}

#[test]
fn both_versions_beside_each_other_are_read() {
    let hybrid = "4:cpu,cpuacct:/a\n0::/a\n";
    let quota = format!("{V1_FOLDER}/a/cpu.cfs_quota_us");
    let unified = "36 25 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";
    let both = format!("{V1_MOUNT}{unified}");
    let empty = ("/sys/fs/cgroup/unified/a/cgroup.procs", "1\n");
    for (test, mounts) in [("hybrid", both.as_str()), ("hybrid-usual", "\n")] {
        let files = [
            ("/proc/self/cgroup", hybrid),
            ("/proc/self/mountinfo", mounts),
            (&quota, "10000\n"),
            empty,
        ];
        check(test, &files, &format!("{quota} 10000 100000"));
    }
    // The groups of version 2 alone do not say what version 1 has.
    let files = [("/proc/self/cgroup", hybrid), ("/proc/self/mountinfo", unified), empty];
    check("hidden", &files, "unknown /sys/fs/cgroup: is not there");
}

#[test]
fn the_tightest_quota_of_version_2_counts() {
    let folder = "/sys/fs/cgroup";
    let max = |group: &str| format!("{folder}{group}/cpu.max");
    let files = [
        ("/proc/self/cgroup", "0::/a/b\n"),
        (&max("/a/b"), "400000 100000\n"),
        (&max("/a"), "10000 5000\n"),
        (&max(""), "max 100000\n"),
    ];
    check("tightest", &files, &format!("{} 10000 5000", max("/a")));
    let files = [("/proc/self/cgroup", "0::/\n"), (&max(""), "250000 100000\n")];
    check("own-root", &files, &format!("{} 250000 100000", max("")));
    let files = [("/proc/self/cgroup", "0::/a\n"), (&max("/a"), "250000\n")];
    check("no-period", &files, &format!("{} 250000 100000", max("/a")));
    let files = [("/proc/self/cgroup", "0::/a\n"), (&max("/a"), "1000 0\n")];
    check("zero", &files, &format!("unknown {}: not understood: 1000 of 0", max("/a")));
    let files = [("/proc/self/cgroup", "0::/a\n"), (&max("/a"), "max 100000\n")];
    check("max", &files, "none");
    // The mount table may name another place, with a space in it.
    let mount = "36 25 0:31 / /my\\040groups rw - cgroup2 cgroup2 rw\n";
    let files = [
        ("/proc/self/cgroup", "0::/a\n"),
        ("/proc/self/mountinfo", mount),
        ("/my groups/a/cpu.max", "1000 2000\n"),
    ];
    check("place", &files, "/my groups/a/cpu.max 1000 2000");
}

#[test]
fn groups_that_are_hidden_are_not_called_free_of_quotas() {
    check("no-sys", &[("/proc/self/cgroup", "0::/\n")], "unknown /sys/fs/cgroup: is not there");
    check("no-cgroups", &[], "none");
    check("no-controller", &[("/proc/self/cgroup", "0::/a\n"), ("/sys/fs/cgroup/a/", "")], "none");
}
