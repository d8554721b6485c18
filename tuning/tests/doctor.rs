//! The doctor on hosts of several kinds, through the real binary. `INSTA_UPDATE=always cargo test
//! -p potoroo-tuning` writes the expected texts anew.

mod recorded;

use potoroo_tuning::doctor::examine;
use potoroo_tuning::host::CheckedHost;
use potoroo_tuning::plan::TuningPlan;
use potoroo_tuning::topology::{Choice, Topology};
use potoroo_tuning::{Fingerprint, Root};
use recorded::{HOSTS, Recorded, printed};
use serde_json::Value;

#[test]
fn every_kind_of_host_is_judged() {
    for host in HOSTS {
        let recorded = Recorded::unpack(host, "doctor");
        insta::assert_snapshot!(host, printed(&recorded.run("doctor")));
    }
}

#[test]
fn chosen_cores_are_judged_and_no_others() {
    let tuned = Recorded::unpack("bare-metal-tuned", "cores");
    let output = tuned.run("doctor --cores 2-7");
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    insta::assert_snapshot!("bare-metal-tuned-cores", printed(&output));

    let default = Recorded::unpack("bare-metal-default", "cores");
    insta::assert_snapshot!(
        "bare-metal-default-cores",
        printed(&default.run("doctor --cores 1-3"))
    );
}

#[test]
fn json_has_everything_that_text_has() {
    let recorded = Recorded::unpack("cloud-vm", "json");
    let output = recorded.run("doctor --json");
    assert_eq!(output.status.code(), Some(2));
    let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(report["verdict"], "unfit");
    assert_eq!(report["cores"], "0-3");
    assert_eq!(report["fingerprint"]["virtualization"], "kvm (amazon)");
    let findings = report["findings"].as_array().expect("it is a list");
    let steal = findings.iter().find(|finding| finding["check"] == "virtual.steal");
    let steal = steal.expect("steal is a check");
    assert_eq!(steal["severity"], "unfit");
    assert!(steal["cost"]["to_us"].as_f64().is_some());
    for finding in findings.iter().filter(|finding| finding["severity"] != "fine") {
        let steps = |name: &str| finding[name].as_array().map_or(0, Vec::len);
        assert_eq!(steps("change"), steps("undo"), "{finding}");
    }
}

#[test]
fn advice_comes_with_a_change_and_a_reason() {
    for host in HOSTS {
        let recorded = Recorded::unpack(host, "complete");
        let root = Root::recorded(recorded.path());
        for finding in potoroo_tuning::doctor(&root, None) {
            let asks = finding.severity >= potoroo_tuning::Severity::Advice;
            assert!(!asks || !finding.change.is_empty(), "{host}: {}", finding.line());
            assert!(!asks || !finding.why.is_empty(), "{host}: {}", finding.line());
            assert!(!asks || !finding.should.is_empty(), "{host}: {}", finding.line());
        }
    }
}

#[test]
fn cores_that_cannot_be_had_are_named() {
    let laptop = Recorded::unpack("laptop", "unknown");
    let output = laptop.run("doctor --cores 6-7");
    assert_eq!(output.status.code(), Some(2));
    let text = printed(&output);
    assert!(text.contains("CPUs 7 are offline; online are 0-6"), "{text}");
    let text = printed(&laptop.run("doctor --cores 64"));
    assert!(text.contains("CPUs 64 are not there"), "{text}");
    assert!(text.contains("choose `--cores` among those that are online"), "{text}");
    for (cores, words) in [("2-", "`2-` is no list"), ("0-99999", "no list of CPUs"), ("x", "`x`")]
    {
        let output = laptop.run(&format!("doctor --cores {cores}"));
        assert_eq!(output.status.code(), Some(3));
        assert!(printed(&output).contains(words), "{}", printed(&output));
    }
}

#[test]
fn odd_files_are_reported_and_stop_nothing() {
    let odd = Recorded::unpack("laptop", "odd");
    odd.write("/sys/devices/system/cpu/online", "0-3,8,10-11\n");
    odd.write("/sys/devices/system/cpu/nohz_full", "zero to three\n");
    odd.write("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise never\n");
    odd.write("/sys/devices/virtual/workqueue/cpumask", "\u{0}\u{1}\n");
    odd.remove("/proc/self/limits");
    odd.write("/proc/self/limits/", "");
    odd.remove("/proc/stat");
    odd.write("/proc/stat", "");
    insta::assert_snapshot!("odd", printed(&odd.run("doctor --cores 0-3,8,10-11")));

    let empty = Recorded::empty("nothing");
    insta::assert_snapshot!("nothing", printed(&empty.run("doctor")));
    let gone = printed(&empty.run("doctor --root /no-such-folder"));
    assert!(gone.contains("exit 3"), "{gone}");
}

/// Everything that only reads, in this process: a panic fails the test and names the file.
fn read_all(root: &Root) {
    let cores = "0-1".parse().expect("it is a list");
    let host = CheckedHost::read(root, Some(&cores));
    let plan = TuningPlan::new(&host, &examine(&host)).to_string();
    assert!(plan.contains("== 6."), "{plan}");
    Choice::new(&Topology::read(&host));
    Fingerprint::read(root);
}

#[test]
fn no_file_can_stop_it_whatever_it_holds() {
    let odd: [&[u8]; 4] = [b"", b"18446744073709551615", b"-1 [", b"\x00\xff"];
    // Between them they have files of all kinds.
    for host in ["bare-metal-default", "container"] {
        let recorded = Recorded::unpack(host, "any");
        let root = Root::recorded(recorded.path());
        for path in recorded.files() {
            // The files of the first CPUs stand for those of the others.
            let name = path.display().to_string();
            if (2..64).any(|cpu| name.contains(&format!("/cpu{cpu}/"))) {
                continue;
            }
            let before = std::fs::read(&path).expect("it can be read");
            let all = odd.iter().map(|odd| odd.to_vec()).chain([grown(&before)]);
            for content in all {
                std::fs::write(&path, content).expect("it can be written");
                read_all(&root);
            }
            std::fs::write(&path, before).expect("it can be written");
        }
    }
}

/// The same file with every number as large as numbers get.
fn grown(content: &[u8]) -> Vec<u8> {
    let words = String::from_utf8_lossy(content).into_owned();
    let grow = |word: &str| match word.trim().parse::<u64>() {
        Ok(_) => word.replace(word.trim(), "18446744073709551615"),
        Err(_) => word.to_owned(),
    };
    words.split_inclusive([' ', '\n']).map(grow).collect::<String>().into_bytes()
}

#[test]
fn a_closed_standard_output_is_no_success() {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "exec \"$0\" doctor >&-"]).arg(env!("CARGO_BIN_EXE_potoroo-tuning"));
    let text = printed(&shell.output().expect("a shell runs"));
    assert!(text.contains("standard output cannot be written"), "{text}");
    assert!(text.ends_with("exit 3\n"), "{text}");
}

#[test]
fn this_host_is_judged_without_an_accident() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_potoroo-tuning"));
    let output = command.args(["doctor", "--json"]).output().expect("the binary runs");
    assert!(matches!(output.status.code(), Some(0..=2)), "{}", printed(&output));
    serde_json::from_slice::<Value>(&output.stdout).expect("it is JSON");
}

#[test]
fn the_guide_has_every_check_and_no_other() {
    let guide = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let guide = std::fs::read_to_string(guide).expect("there is a guide");
    let knobs = guide.split_once("## Every knob").expect("it has a table of knobs").1;
    let rows = knobs.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let rows: std::collections::BTreeSet<&str> = rows.collect();
    let empty = Recorded::empty("guide");
    let root = Root::recorded(empty.path());
    let findings = potoroo_tuning::doctor(&root, None);
    let checks = findings.iter().map(|finding| finding.check).collect();
    assert_eq!(rows, checks);
    for command in ["doctor", "topology", "jitter", "plan", "apply", "revert", "unit"] {
        assert!(guide.contains(&format!("| `{command}")), "{command} is missing");
        let output = empty.run(&format!("{command} --help"));
        assert!(output.status.success(), "{}", printed(&output));
    }
}

/// A finding of a recorded host, as `severity: what is`.
fn finding(recorded: &Recorded, check: &str) -> String {
    let root = Root::recorded(recorded.path());
    let findings = potoroo_tuning::doctor(&root, None);
    let found = findings.into_iter().find(|it| it.check == check).expect("it is a check");
    assert!(found.severity < potoroo_tuning::Severity::Advice || !found.change.is_empty());
    format!("{:?}: {}", found.severity, found.is).to_lowercase()
}

#[test]
fn parameters_of_the_kernel_are_understood_or_unknown() {
    let host = Recorded::unpack("bare-metal-tuned", "parameters");
    let check = |line: &str, check: &str, expected: &str| {
        host.write("/proc/cmdline", &format!("ro {line}\n"));
        assert!(finding(&host, check).starts_with(expected), "{line}: {}", finding(&host, check));
    };
    // Its application has CPUs 0-1 by default.
    for line in [
        "isolcpus=managed_irq,domain,0-1",
        "isolcpus=managed_irq,0-N",
        "isolcpus=nohz,domain,managed_irq,0-7:1/1",
    ] {
        check(line, "isolation.managed-irq", "fine");
    }
    check("isolcpus=0-1", "isolation.managed-irq", "advice: isolcpus has no");
    check("isolcpus=managed_irq,0", "isolation.managed-irq", "advice: isolcpus=managed_irq leaves");
    check("isolcpus=managed-irq,0-1", "isolation.managed-irq", "unknown: /proc/cmdline");
    check("isolcpus=managed_irq,domain,all", "isolation.managed-irq", "unknown: /proc/cmdline");
    host.write("/sys/devices/system/cpu/nohz_full", "\n");
    let check = |line: &str, expected: &str| {
        host.write("/proc/cmdline", &format!("ro {line}\n"));
        let found = finding(&host, "isolation.rcu");
        assert!(found.starts_with(expected), "{line}: {found}");
    };
    for line in ["rcu_nocbs=all", "rcu-nocbs=0-N", "rcu_nocbs=\"0-7:2/4\"", "rcu_nocbs=0-1"] {
        check(line, "fine");
    }
    check("rcu_nocbs=0-N:1/2", "advice: rcu callbacks run on cpus 1 themselves");
    check("rcu_nocbs=0-1 rcu_nocbs=2", "advice: rcu callbacks run on cpus 0-1 themselves");
    check("rcu_nocbs=0..1", "unknown: /proc/cmdline: not understood: rcu_nocbs=0..1");
    check("-- rcu_nocbs=0-1", "advice");
}

#[test]
fn where_sys_is_hidden_the_command_line_tells() {
    let host = Recorded::empty("no-sys");
    host.write("/proc/self/status", "Cpus_allowed_list:\t0-3\n");
    host.write("/proc/cmdline", "isolcpus=domain,0-N nohz-full=0-3:1/1\n");
    assert_eq!(finding(&host, "isolation.scheduler"), "fine: cpus 0-3 are isolated");
    assert_eq!(finding(&host, "isolation.tick"), "fine: the tick stops on cpus 0-3");
    assert_eq!(finding(&host, "virtual.mounts"), "advice: not there: /sys");
    assert_eq!(finding(&host, "memory.ksm"), "unknown: /sys: is not there");
    host.write("/proc/cmdline", "isolcpus=domain,zero\n");
    assert!(finding(&host, "isolation.scheduler").starts_with("unknown"));
}

#[test]
fn what_a_container_lacks_is_reported_with_its_remedy() {
    let host = Recorded::unpack("container", "lacks");
    let change = |check: &str| {
        let root = Root::recorded(host.path());
        let findings = potoroo_tuning::doctor(&root, None);
        findings.into_iter().find(|it| it.check == check).expect("it is a check").change.join("\n")
    };
    assert!(finding(&host, "limit.io-uring").starts_with("note: system calls are filtered"));
    assert_eq!(finding(&host, "limit.descriptors"), "fine: 1048576 open files");
    assert!(change("limit.io-uring").contains("--security-opt seccomp="));
    assert!(finding(&host, "limit.memlock").starts_with("advice: 64 kib of locked memory"));
    assert!(change("limit.memlock").contains("--ulimit memlock=-1"));
    host.write("/proc/sys/kernel/io_uring_disabled", "2\n");
    assert_eq!(finding(&host, "limit.io-uring"), "advice: io_uring is disabled");
    let empty = Recorded::empty("lacks-all");
    assert_eq!(finding(&empty, "virtual.mounts"), "advice: not there: /proc, /sys");
}
