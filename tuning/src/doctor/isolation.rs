//! Whether the CPUs belong to the application alone: scheduler, tick, RCU, kernel threads.

use super::spare::spare_a_cpu;
use crate::cpus::Cpus;
use crate::finding::Finding;
use crate::host::CheckedHost;
use crate::remedy::Remedy;
use crate::root::Unread;

/// The CPUs run, and this process may use them.
pub(super) fn usable(host: &CheckedHost) -> Finding {
    let cores = &host.cores;
    let off = cores.without(&host.online);
    if !off.is_empty() {
        return offline(host, &off);
    }
    let barred = cores.without(&host.allowed);
    if barred.is_empty() {
        return Finding::fine(format!("CPUs {cores} are online and allowed"));
    }
    let is = format!("this process may not use CPUs {barred} (allowed: {})", host.allowed);
    // Its threads that open files and connections use the others.
    let cpus = cores.or(&host.others());
    let start = Remedy::hand(
        format!(
            "start the application with `taskset -c {cpus}`, or CPUAffinity={cpus} in its service"
        ),
        "start it without",
    );
    let widen = Remedy::hand(
        "if that is refused: widen the cpuset of its cgroup (AllowedCPUs=)",
        "set the former cpuset",
    );
    let should = "the application is started on its CPUs";
    let found = match barred.without(&host.isolated).is_empty() {
        true => Finding::note(is, should),
        false => Finding::advice(is, should),
    };
    found.why("isolated CPUs are given only to threads that ask for them").remedy([start, widen])
}

fn offline(host: &CheckedHost, off: &Cpus) -> Finding {
    let (there, strange) = (off.and(&host.present), off.without(&host.present));
    let which = if strange.is_empty() { "offline" } else { "not there" };
    let online = |cpu| {
        let file = CheckedHost::cpu_file(cpu, "online");
        Remedy::hand(format!("echo 1 > {file}"), format!("echo 0 > {file}"))
    };
    let choose = Remedy::hand("choose `--cores` among those that are online", "choose them again");
    let is = format!("CPUs {off} are {which}; online are {}", host.online);
    Finding::unfit(is, "every core of the application is an online CPU")
        .why("the engine refuses to start on a CPU that does not run")
        .remedy(there.iter().map(online).chain([choose]))
}

/// No CPU is shared with what the kernel places by itself.
pub(super) fn scheduler(host: &CheckedHost) -> Finding {
    let shared = host.cores.without(&host.isolated);
    if shared.is_empty() {
        return Finding::fine(format!("CPUs {} are isolated", host.cores));
    }
    if let Some(unread) = &host.isolated_unread {
        return not_understood(unread);
    }
    let is = match host.isolated.is_empty() {
        true => "no CPU is isolated: the scheduler puts any task on any of them".to_owned(),
        false => format!("CPUs {shared} are not isolated (isolated: {})", host.isolated),
    };
    let should = "the scheduler places nothing on the cores of the application";
    let found = Finding::advice(is, should).thumb(
        3.0,
        4000.0,
        "another task that runs on the core keeps it for a time slice of the scheduler (0.7 to 4 \
         ms, many in a row on a busy host) and leaves cold caches behind",
    );
    let found = found.remedy([boot(host, "isolcpus", "managed_irq,domain,")]);
    // Where version 1 has the cpusets there are no partitions.
    match host.others().is_empty() || host.cgroups.is_first_version("cpuset") {
        true => found,
        false => found.remedy([partition(host)]),
    }
}

/// `isolcpus` without its flag `managed_irq` leaves the interrupts that drivers manage.
pub(super) fn managed_irq(host: &CheckedHost) -> Finding {
    let isolation = match host.boot.isolation(&host.possible) {
        Ok(isolation) => isolation,
        Err(unread) => return not_understood(&unread),
    };
    let managed = isolation.managed_irq.unwrap_or_default();
    let missing = host.cores.without(&managed);
    let isolcpus = boot(host, "isolcpus", "managed_irq,domain,");
    if missing.is_empty() {
        return Finding::fine("managed interrupts avoid the isolated CPUs");
    }
    let named = isolation.domain.unwrap_or_default().or(&managed);
    let found = match (named.and(&host.cores).is_empty(), managed.is_empty()) {
        (true, _) => Finding::note("isolcpus=managed_irq is not set", "it is, for the cores"),
        (false, true) => {
            Finding::advice("isolcpus has no `managed_irq`", "isolcpus=managed_irq,domain,…")
        }
        (false, false) => {
            let is = format!("isolcpus=managed_irq leaves out CPUs {missing}");
            Finding::advice(is, "it names all cores")
        }
    };
    found.thumb(2.0, 10.0, MANAGED).remedy([isolcpus])
}

const MANAGED: &str = "queues of NVMe disks and network cards have interrupts whose affinity the \
     kernel manages and root cannot write; each one that falls on the core delays it";

/// The tick is off while one task runs.
pub(super) fn tick(host: &CheckedHost) -> Finding {
    let ticking = host.cores.without(&host.nohz_full);
    if ticking.is_empty() {
        return Finding::fine(format!("the tick stops on CPUs {}", host.cores));
    }
    if let Some(unread) = &host.nohz_full_unread {
        return not_understood(unread);
    }
    let hertz = hertz(host).map_or("100 to 1000".to_owned(), |hertz| hertz.to_string());
    let is = format!("the tick runs on CPUs {ticking}, {hertz} times a second");
    let why = "each tick interrupts the core; what hangs on it (RCU, timers, balancing) takes the \
               longer times. Only a core with a single runnable task, such as one that spins, is \
               spared by nohz_full; system calls get slower by it (by some 100 ns)";
    Finding::advice(is, "nohz_full covers the cores").thumb(1.0, 15.0, why).remedy([boot(
        host,
        "nohz_full",
        "",
    )])
}

/// Callbacks of RCU run elsewhere.
pub(super) fn rcu(host: &CheckedHost) -> Finding {
    let named = match host.boot.cpus("rcu_nocbs", &host.possible) {
        Ok(named) => named,
        Err(unread) => return not_understood(&unread),
    };
    let here = host.cores.without(&named).without(&host.nohz_full);
    if here.is_empty() {
        let implied = host.cores.without(&named);
        return Finding::fine(match implied.is_empty() {
            true => "RCU callbacks are offloaded".to_owned(),
            false => format!("RCU callbacks of CPUs {implied} are offloaded, by nohz_full"),
        });
    }
    let why = "memory that the kernel frees later is freed in a softirq on the core that gave it \
               up, in batches; offloaded callbacks run in threads that can be kept on other CPUs";
    Finding::advice(
        format!("RCU callbacks run on CPUs {here} themselves"),
        "rcu_nocbs (or nohz_full, which implies it) covers the cores",
    )
    .thumb(1.0, 50.0, why)
    .remedy([boot(host, "rcu_nocbs", "")])
}

/// CPUs are left for all other processes, among them the CPU that starts the host.
pub(super) fn housekeeping(host: &CheckedHost) -> Finding {
    let others = host.others();
    if others.is_empty() {
        let is = format!("the application has all CPUs ({}): none is left", host.cores);
        return Finding::advice(is, "one physical core or more does the housekeeping")
            .thumb(10.0, 4000.0, "kernel threads, interrupts and daemons have nowhere else to run")
            .remedy([Remedy::hand(
                "give the application fewer CPUs: `--cores`",
                "give it all of them",
            )]);
    }
    if let Some(first) = host.online.first().filter(|first| host.cores.contains(*first)) {
        let is = format!("CPU {first} is a core of the application");
        let why = format!("timekeeping, and work that names no CPU, land on CPU {first}");
        let leave = format!("leave CPU {first} out of `--cores`");
        return Finding::note(is, format!("CPU {first} does the housekeeping"))
            .thumb(1.0, 20.0, &why)
            .remedy([Remedy::hand(leave, "choose them again")]);
    }
    Finding::fine(format!("CPUs {others} are left for housekeeping"))
}

/// Unbound kernel work stays away.
pub(super) fn workqueues(host: &CheckedHost) -> Finding {
    let path = "/sys/devices/virtual/workqueue/cpumask";
    let (mask, others) = match host.root.mask(path) {
        Ok(mask) => (mask, host.others()),
        Err(unread) => return Finding::unknown(unread),
    };
    let here = mask.and(&host.cores);
    if here.is_empty() {
        return Finding::fine("unbound kernel work runs elsewhere");
    }
    let found = Finding::advice(
        format!("unbound kernel work may run on CPUs {here}"),
        "the mask of unbound work holds the housekeeping CPUs only",
    )
    .thumb(
        5.0,
        500.0,
        "writeback, file systems and drivers queue work for any CPU of the mask",
    );
    match others.is_empty() {
        true => found.remedy([spare_a_cpu()]),
        false => {
            let before = host.root.text(path).unwrap_or_default();
            found.remedy([Remedy::write(path, &before, &others.mask())])
        }
    }
}

/// A setting that the kernel may have understood otherwise, or not at all.
fn not_understood(unread: &Unread) -> Finding {
    let correct = Remedy::hand(
        "correct it: `/proc/cmdline` has the parameter, `dmesg` what the kernel says of it",
        "set the former value",
    );
    Finding::unknown(unread).remedy([correct])
}

/// The parameter for all cores, if that leaves a CPU for housekeeping: without one the kernel
/// ignores it.
fn boot(host: &CheckedHost, name: &str, flags: &str) -> Remedy {
    let isolated = || {
        let isolation = host.boot.isolation(&host.possible).ok()?;
        Some(isolation.domain.unwrap_or_default().or(&isolation.managed_irq.unwrap_or_default()))
    };
    let known = match name {
        "isolcpus" => isolated().unwrap_or_default(),
        _ => host.boot.cpus(name, &host.possible).unwrap_or_default(),
    };
    let cpus = known.or(&host.cores);
    match host.present.without(&cpus).is_empty() {
        true => spare_a_cpu(),
        false => Remedy::Boot(format!("{name}={flags}{cpus}")),
    }
}

/// The same without a new start, since Linux 5.19 with cgroup v2.
fn partition(host: &CheckedHost) -> Remedy {
    let (folder, cores) = ("/sys/fs/cgroup/potoroo", &host.cores);
    Remedy::hand(
        format!(
            "or, until the next start (cgroup v2): mkdir {folder}; echo {cores} > \
             {folder}/cpuset.cpus; echo isolated > {folder}/cpuset.cpus.partition; start the \
             application in it (all of its threads then share these CPUs)"
        ),
        format!("echo member > {folder}/cpuset.cpus.partition; rmdir {folder}"),
    )
}

/// How often the tick comes, where the kernel's configuration is at hand.
fn hertz(host: &CheckedHost) -> Option<u32> {
    let release = host.root.text("/proc/sys/kernel/osrelease").ok()?;
    let config = host.root.text(&format!("/boot/config-{release}")).ok()?;
    config.lines().find_map(|line| line.strip_prefix("CONFIG_HZ=")?.parse().ok())
}
