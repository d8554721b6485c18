//! What lies below and around: virtual machine, steal, quotas, mitigations, watchdogs, real time.

use super::spare::spare_a_cpu;
use crate::cgroup::Quota;
use crate::cpus::Cpus;
use crate::finding::Finding;
use crate::fingerprint::virtualization;
use crate::host::{CheckedHost, field};
use crate::remedy::Remedy;

/// The CPUs are real.
pub(super) fn hypervisor(host: &CheckedHost) -> Finding {
    let what = virtualization(host.root);
    if what == "none" {
        return Finding::fine("the kernel runs on bare metal");
    }
    let is = format!("the host is virtual: {what}");
    if what.starts_with("container") && !what.contains(" on ") {
        return Finding::note(is, "its CPUs are given to it alone (cpuset), without a quota")
            .why("a container shares the kernel: what isolates CPUs is set on the host itself");
    }
    let dedicate = Remedy::hand(
        "have the host pin each virtual CPU to a physical one of its own (dedicated or bare-metal \
         instances)",
        "let them float",
    );
    Finding::advice(is, "bare metal, or virtual CPUs with physical ones of their own")
        .thumb(
            2.0,
            10_000.0,
            "a virtual CPU is taken away whenever its host sees fit, and each \
                               interrupt and timer costs exits to it",
        )
        .remedy([dedicate])
}

/// The files that describe a host are there.
pub(super) fn mounts(host: &CheckedHost) -> Finding {
    let missing: Vec<&str> = hidden(host).collect();
    if missing.is_empty() {
        return Finding::fine("/proc and /sys are there");
    }
    let mount = |folder: &str| match folder {
        "/sys" => Remedy::hand(
            "container: `-v /sys:/sys:ro` (docker, podman), or a read-only hostPath volume; \
             chroot: mount -t sysfs sysfs /sys",
            "take it out; umount /sys",
        ),
        _ => Remedy::hand("mount -t proc proc /proc", "umount /proc"),
    };
    let is = format!("not there: {}", missing.join(", "));
    Finding::advice(is, "/proc and /sys are mounted; read-only is enough")
        .why("whether CPUs, caches, interrupts and limits suit the application is unknown")
        .remedy(missing.into_iter().map(mount))
}

/// Those of the two folders that are not there.
pub(super) fn hidden(host: &CheckedHost) -> impl Iterator<Item = &'static str> {
    let root = host.root;
    ["/proc", "/sys"].into_iter().filter(|folder| root.names(folder).is_empty())
}

/// The hypervisor gave the CPUs what they asked for.
pub(super) fn steal(host: &CheckedHost) -> Finding {
    let text = match host.root.text("/proc/stat") {
        Ok(text) => text,
        Err(unread) => return Finding::unknown(unread),
    };
    // In floating point no odd number can overflow.
    let number = |text: &str| text.parse::<u64>().map_or(0.0, |number| number as f64);
    let (mut stolen, mut total) = (0.0, 0.0);
    for cpu in host.cores.iter() {
        let name = format!("cpu{cpu} ");
        let Some(line) = text.lines().find_map(|line| line.strip_prefix(&name)) else { continue };
        let ticks: Vec<f64> = line.split_whitespace().map(number).collect();
        stolen += ticks.get(STEAL).copied().unwrap_or(0.0);
        // Guest times are counted within user times.
        total += ticks.iter().take(STEAL + 1).sum::<f64>();
    }
    if total <= 0.0 {
        return Finding::unknown("/proc/stat: has none of the CPUs");
    }
    let share = stolen / total;
    let is = format!("{:.2} % of the time of the CPUs was stolen since the start", share * 100.0);
    let found = match share {
        ..=0.0001 => return Finding::fine("no time was stolen"),
        ..=0.01 => Finding::advice(is, "none"),
        _ => Finding::unfit(is, "none"),
    };
    let why = "the hypervisor ran something else while the CPU had work: time slices of its own \
               scheduler";
    let other =
        Remedy::hand("move to a host that is not oversold, with dedicated CPUs", "move back");
    found.thumb(100.0, 10_000.0, why).remedy([other])
}

/// No quota stops the application in the middle of a period.
pub(super) fn quota(host: &CheckedHost) -> Finding {
    let Quota { file, quota_us, period_us } = match host.cgroups.quota(host.root) {
        Ok(Some(quota)) => quota,
        Ok(None) => return Finding::fine("no CPU quota"),
        Err(unread) => return Finding::unknown(unread),
    };
    let (folder, name) = file.rsplit_once('/').unwrap_or_default();
    let is = format!("{name} of {folder} is {quota_us} of {period_us} µs");
    // Only what is left when one CPU would spend all of the quota alone and the rest waits.
    let pause = period_us.saturating_sub(quota_us / host.cores.len().max(1) as u64);
    let why = "when the quota is used up, all threads stop until the period ends";
    let lift = Remedy::hand(
        "give it whole CPUs instead: AllowedCPUs= and no CPUQuota= in the service; a cpuset \
         and no CPU limit for the container",
        "set the limit again",
    );
    Finding::unfit(is, "no quota").reported(0.0, pause as f64, why).remedy([lift])
}

/// What the mitigations cost is known.
pub(super) fn mitigations(host: &CheckedHost) -> Finding {
    let folder = "/sys/devices/system/cpu/vulnerabilities";
    let state = |name: &String| host.root.text(&format!("{folder}/{name}")).ok();
    let names = host.root.names(folder);
    if names.is_empty() {
        return Finding::unknown(format!("{folder}: is not there"));
    }
    let active = |name: &&String| state(name).is_some_and(|text| text.starts_with("Mitigation"));
    let active: Vec<&str> = names.iter().filter(active).map(String::as_str).collect();
    if active.is_empty() {
        return Finding::fine("no mitigation is active");
    }
    let why = "system calls, interrupts and indirect jumps are slower. Switch them off only on a \
               host that runs only code that you trust";
    Finding::note(format!("mitigations against {}", active.join(", ")), "decided on purpose")
        .thumb(0.05, 1.0, why)
        .remedy([Remedy::hand(
            "`mitigations=off` on the kernel's command line",
            "take it off the kernel's command line",
        )])
}

/// No watchdog looks after the cores.
pub(super) fn watchdogs(host: &CheckedHost) -> Finding {
    let nmi = "/proc/sys/kernel/nmi_watchdog";
    let mask = "/proc/sys/kernel/watchdog_cpumask";
    let watched = host.root.cpus(mask).unwrap_or_else(|_| host.online.clone());
    let on = |path: &str| host.root.text(path).is_ok_and(|text| text == "1");
    let soft = on("/proc/sys/kernel/watchdog");
    if (!on(nmi) && !soft) || watched.and(&host.cores).is_empty() {
        return Finding::fine("no watchdog interrupts the cores");
    }
    let mut remedies = vec![match host.others().is_empty() {
        true => spare_a_cpu(),
        false => {
            let before = host.root.text(mask).unwrap_or_default();
            Remedy::write(mask, &before, &host.others().to_string())
        }
    }];
    if on(nmi) {
        remedies.push(Remedy::write(nmi, "1", "0"));
    }
    let which = if on(nmi) { "hard and soft lock-ups" } else { "soft lock-ups" };
    Finding::advice(format!("watchdogs for {which} run on the cores"), "on other CPUs, or off")
        .thumb(
            2.0,
            20.0,
            "every few seconds a timer, a thread and an NMI look whether the CPU lives",
        )
        .remedy(remedies)
}

/// Statistics of memory are folded rarely.
pub(super) fn vmstat(host: &CheckedHost) -> Finding {
    let path = "/proc/sys/vm/stat_interval";
    match host.root.value::<u64>(path) {
        Ok(seconds) if seconds < STAT_SECONDS_MIN => {
            Finding::note(format!("vm.stat_interval is {seconds} s"), "10 s or more")
                .thumb(2.0, 20.0, "so often each CPU that touched memory counters folds them")
                .remedy([Remedy::write(path, &seconds.to_string(), "120")])
        }
        Ok(seconds) => Finding::fine(format!("vm.stat_interval is {seconds} s")),
        Err(unread) => Finding::unknown(unread),
    }
}

/// Threads with real-time priority are stopped for a part of each period.
pub(super) fn real_time(host: &CheckedHost) -> Finding {
    let path = |name: &str| format!("/proc/sys/kernel/sched_rt_{name}_us");
    let value = |name: &str| host.root.value::<i64>(&path(name));
    let (runtime, period) = match (value("runtime"), value("period")) {
        (Ok(runtime), Ok(period)) => (runtime, period),
        (Err(unread), _) | (_, Err(unread)) => return Finding::unknown(unread),
    };
    let mut is = Vec::new();
    let mut remedies = Vec::new();
    let mut pause_us = 0;
    if (0..period).contains(&runtime) {
        is.push(format!("real-time tasks get {runtime} of each {period} µs"));
        pause_us = period - runtime;
        let set = |value: i64| format!("echo {value} > {}", path("runtime"));
        remedies.push(Remedy::hand(set(-1), set(runtime)));
    }
    if let Some((cpus, fair_ns)) = fair_server(host) {
        is.push(format!(
            "the fair server gives others up to {} µs a period on {cpus}",
            fair_ns / 1000
        ));
        pause_us = pause_us.max(fair_ns / 1000);
        let set = |ns: i64| format!("echo {ns} > {FAIR_SERVER}/cpuN/runtime, N in {cpus}");
        remedies.push(Remedy::hand(set(0), set(fair_ns)));
    }
    if is.is_empty() {
        return Finding::fine("real-time tasks are not throttled");
    }
    let why = "a thread under SCHED_FIFO or SCHED_RR that never sleeps is stopped for the rest of \
               each period; since Linux 6.12 a fair server does it for each CPU, when other tasks \
               wait (only root can look). Potoroo runs at normal priority unless you raise it. \
               Without any limit a spinning thread can lock up its CPU";
    Finding::note(is.join(", "), "decided on purpose")
        .reported(0.0, pause_us as f64, why)
        .remedy(remedies)
}

/// Cores of the application that have to give time to others, and the most nanoseconds of it.
fn fair_server(host: &CheckedHost) -> Option<(Cpus, i64)> {
    let runtime = |cpu| host.root.value(&format!("{FAIR_SERVER}/cpu{cpu}/runtime")).ok();
    let given = |cpu| Some((cpu, runtime(cpu).filter(|ns: &i64| *ns > 0)?));
    let given: Vec<(usize, i64)> = host.cores.iter().filter_map(given).collect();
    let longest_ns = given.iter().map(|(_, ns)| *ns).max()?;
    Some((given.into_iter().map(|(cpu, _)| cpu).collect(), longest_ns))
}

const FAIR_SERVER: &str = "/sys/kernel/debug/sched/fair_server";

/// What a container gets is what its cgroup says.
pub(super) fn memory_limit(host: &CheckedHost) -> Finding {
    if let Some(unread) = host.cgroups.unread() {
        return Finding::unknown(unread);
    }
    for folder in host.cgroups.unified() {
        let Ok(text) = host.root.text(&format!("{folder}/memory.high")) else { continue };
        if text == "max" {
            continue;
        }
        let lift = Remedy::hand("MemoryHigh=infinity; bound it by MemoryMax=", "set it again");
        return Finding::advice(format!("memory.high of {folder} is {text}"), "max")
            .thumb(1000.0, 2_000_000.0, "above it every allocation is made to wait for reclaim")
            .remedy([lift]);
    }
    let total = host.root.text("/proc/meminfo").ok().and_then(|text| field(&text, "MemTotal"));
    let total = total.map(|total| format!(" ({total} in all)")).unwrap_or_default();
    Finding::fine(format!("memory is not throttled{total}"))
}

/// The place of steal in a line of /proc/stat, behind user, nice, system, idle, iowait, irq and
/// softirq.
const STEAL: usize = 7;
const STAT_SECONDS_MIN: u64 = 10;
