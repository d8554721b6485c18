//! The doctor: looks at everything that costs microseconds on this host.
//!
//! Owns the list of checks. Promises one finding per check, the worst first, and to change
//! nothing. Must never fail: what cannot be found out is a finding, too.

// In reading order; the blank lines keep it.
mod spare;

mod platform;

mod isolation;

mod interrupts;

mod power;

mod clock;

mod memory;

mod network;

mod limits;

use crate::cpus::Cpus;
use crate::finding::{Finding, Severity};
use crate::host::CheckedHost;
use crate::root::Root;

/// Judges the host for an application on `cores`; `None` are the CPUs that it takes by itself.
pub fn doctor(root: &Root, cores: Option<&Cpus>) -> Vec<Finding> {
    examine(&CheckedHost::read(root, cores))
}

/// The same for a host that was read already.
pub fn examine(host: &CheckedHost) -> Vec<Finding> {
    let hidden: Vec<&str> = platform::hidden(host).collect();
    let look = |(check, look): &(&'static str, Look)| {
        // Where the files are hidden, nothing is no news.
        let blind = hidden.iter().find(|folder| needs(folder).contains(check));
        match blind {
            Some(folder) => {
                Finding { check, ..Finding::unknown(format!("{folder}: is not there")) }
            }
            None => Finding { check, ..look(host) },
        }
    };
    let mut findings: Vec<Finding> = CHECKS.iter().map(look).collect();
    findings.sort_by_cached_key(Finding::rank);
    findings
}

/// The worst of all: what the exit code says.
pub fn verdict(findings: &[Finding]) -> Severity {
    let worst = findings.iter().map(|finding| finding.severity).max();
    worst.unwrap_or(Severity::Unknown)
}

/// Looks at one thing.
type Look = fn(&CheckedHost) -> Finding;

/// Checks that take a file which is not there for a host without the feature.
fn needs(folder: &str) -> &'static [&'static str] {
    match folder {
        "/sys" => &[
            "cpu.smt",
            "cpu.governor",
            "cpu.turbo",
            "cpu.idle",
            "memory.thp",
            "memory.numa-balancing",
            "memory.numa-placement",
            "memory.ksm",
            "net.queues",
            "net.coalescing",
            "net.offloads",
            "net.busy-poll",
        ],
        _ => &[
            "cpu.usable",
            "isolation.watchdogs",
            "irq.balance",
            "memory.swap",
            "virtual.hypervisor",
        ],
    }
}

/// All checks, those of a group together.
const CHECKS: &[(&str, Look)] = &[
    ("cpu.usable", isolation::usable),
    ("cpu.housekeeping", isolation::housekeeping),
    ("cpu.smt", power::smt),
    ("cpu.governor", power::governor),
    ("cpu.turbo", power::turbo),
    ("cpu.idle", power::idle),
    ("cpu.mitigations", platform::mitigations),
    ("isolation.scheduler", isolation::scheduler),
    ("isolation.tick", isolation::tick),
    ("isolation.rcu", isolation::rcu),
    ("isolation.managed-irq", isolation::managed_irq),
    ("isolation.workqueues", isolation::workqueues),
    ("isolation.watchdogs", platform::watchdogs),
    ("isolation.vmstat", platform::vmstat),
    ("irq.affinity", interrupts::affinity),
    ("irq.default", interrupts::default_affinity),
    ("irq.balance", interrupts::balance),
    ("memory.thp", memory::thp),
    ("memory.huge-pages", memory::huge_pages),
    ("memory.numa-balancing", memory::numa_balancing),
    ("memory.numa-placement", memory::numa_placement),
    ("memory.swap", memory::swap),
    ("memory.ksm", memory::ksm),
    ("memory.throttle", platform::memory_limit),
    ("clock.source", clock::source),
    ("clock.tsc", clock::tsc),
    ("limit.memlock", limits::memlock),
    ("limit.descriptors", limits::descriptors),
    ("limit.io-uring", limits::io_uring),
    ("limit.quota", platform::quota),
    ("limit.real-time", platform::real_time),
    ("net.queues", network::queues),
    ("net.coalescing", network::coalescing),
    ("net.offloads", network::offloads),
    ("net.busy-poll", network::busy_poll),
    ("virtual.mounts", platform::mounts),
    ("virtual.hypervisor", platform::hypervisor),
    ("virtual.steal", platform::steal),
];
