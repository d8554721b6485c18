//! Whether memory is where it is needed and stays there: huge pages, NUMA, swap.

use crate::cpus::Cpus;
use crate::finding::{Finding, Severity};
use crate::host::{CheckedHost, field};
use crate::remedy::Remedy;

/// Huge pages come when asked for, never by surprise.
pub(super) fn thp(host: &CheckedHost) -> Finding {
    let folder = "/sys/kernel/mm/transparent_hugepage";
    let choice = |name: &str| host.root.choice(&format!("{folder}/{name}"));
    let (enabled, defrag) = match (choice("enabled"), choice("defrag")) {
        (Ok(enabled), Ok(defrag)) => (enabled, defrag),
        (Err(unread), _) if unread.is_absent() => {
            return Finding::fine("the kernel has no transparent huge pages");
        }
        (Err(unread), _) | (_, Err(unread)) => return Finding::unknown(unread),
    };
    let mut remedies = Vec::new();
    if enabled == "always" {
        remedies.push(Remedy::write(&format!("{folder}/enabled"), "always", "madvise"));
    }
    if enabled != "never" && defrag == "always" {
        remedies.push(Remedy::write(&format!("{folder}/defrag"), "always", "madvise"));
    }
    let is = format!("enabled {enabled}, defrag {defrag}");
    if remedies.is_empty() {
        return Finding::fine(is);
    }
    let why = "a first touch may have to find, compact and clear 2 MiB, and khugepaged collapses \
               pages under a running program, with a lock on its memory";
    Finding::advice(is, "enabled madvise or never, defrag madvise or never")
        .thumb(50.0, 1000.0, why)
        .remedy(remedies)
}

/// Reserved huge pages are for programs that ask for them.
pub(super) fn huge_pages(host: &CheckedHost) -> Finding {
    let total = host.root.text("/proc/meminfo").map(|text| field(&text, "HugePages_Total"));
    match total {
        Ok(Some(total)) if total != "0" => Finding::fine(format!("{total} huge pages reserved")),
        Ok(Some(_)) => {
            let path = "/proc/sys/vm/nr_hugepages";
            let (set, unset) = (format!("echo N > {path}"), format!("echo 0 > {path}"));
            Finding::note("no huge page is reserved", "as many as a program of the host asks for")
                .why("Potoroo asks for none: this is for databases and packet drivers beside it")
                .remedy([Remedy::hand(set, unset)])
        }
        Ok(None) => Finding::fine("the kernel has no reserved huge pages"),
        Err(unread) => Finding::unknown(unread),
    }
}

/// The kernel unmaps no pages to see which thread uses them.
pub(super) fn numa_balancing(host: &CheckedHost) -> Finding {
    let path = "/proc/sys/kernel/numa_balancing";
    if host.nodes().len() < 2 {
        return Finding::fine("there is one NUMA node");
    }
    match host.root.text(path) {
        Ok(text) if text == "0" => Finding::fine("automatic NUMA balancing is off"),
        Ok(text) => Finding::advice("automatic NUMA balancing is on", "it is off")
            .thumb(
                5.0,
                500.0,
                "pages are unmapped to see who touches them, and moved on that fault",
            )
            .remedy([Remedy::write(path, &text, "0")]),
        Err(unread) if unread.is_absent() => Finding::fine("the kernel has no NUMA balancing"),
        Err(unread) => Finding::unknown(unread),
    }
}

/// All cores lie on one node.
pub(super) fn numa_placement(host: &CheckedHost) -> Finding {
    let nodes = host.nodes();
    let mut left = host.cores.clone();
    let mut used = Vec::new();
    // Nodes may share CPUs: first those that have the most of what is left.
    while let Some((node, cpus)) =
        nodes.iter().max_by_key(|(node, cpus)| (cpus.and(&left).len(), std::cmp::Reverse(*node)))
    {
        let here = cpus.and(&left);
        if here.is_empty() {
            break;
        }
        left = left.without(&here);
        used.push((*node, here));
    }
    used.sort_by_key(|(node, _)| *node);
    let used: Vec<String> =
        used.into_iter().map(|(node, cpus)| format!("node {node}: {cpus}")).collect();
    if used.len() < 2 {
        return Finding::fine(match used.first() {
            Some(used) => format!("all cores lie on one node ({used})"),
            None => "the kernel lists no NUMA nodes".to_owned(),
        });
    }
    let largest = nodes.iter().map(|(_, cpus)| cpus).max_by_key(|cpus| cpus.len());
    let largest = largest.map(Cpus::to_string).unwrap_or_default();
    let choose = Remedy::hand(
        format!("choose the cores from one node, such as {largest}; `potoroo-tuning topology`"),
        "choose them from all",
    );
    Finding::advice(format!("the cores lie on several nodes ({})", used.join(", ")), "on one node")
        .thumb(0.1, 0.5, "a cache line or a page from another node takes so much longer, each")
        .remedy([choose])
}

/// Nothing is swapped out.
pub(super) fn swap(host: &CheckedHost) -> Finding {
    let swaps = match host.root.text("/proc/swaps") {
        Ok(text) => text.lines().nth(1).is_some(),
        Err(unread) if unread.is_absent() => false,
        Err(unread) => return Finding::unknown(unread),
    };
    if !swaps {
        return Finding::fine("there is no swap");
    }
    let path = "/proc/sys/vm/swappiness";
    let swappiness = host.root.text(path).unwrap_or_default();
    let off = Remedy::hand("swapoff -a (and take it out of /etc/fstab)", "swapon -a");
    let why = "a page that was swapped out comes back from the disk while the event waits";
    let is = format!("pages may be swapped out, vm.swappiness {swappiness}");
    let found = Finding::advice(is, "no swap, or vm.swappiness 1 or less");
    let found = found.thumb(100.0, 10_000.0, why);
    match swappiness.parse() {
        Ok(0 | 1) => Finding { severity: Severity::Note, ..found }.remedy([off]),
        Ok(2..) => found.remedy([Remedy::write(path, &swappiness, "1"), off]),
        _ => found.remedy([off]),
    }
}

/// The kernel merges no pages.
pub(super) fn ksm(host: &CheckedHost) -> Finding {
    let path = "/sys/kernel/mm/ksm/run";
    match host.root.text(path) {
        Ok(run) if run == "1" => {
            Finding::advice("ksmd merges equal pages", "kernel samepage merging is stopped")
                .thumb(5.0, 100.0, "a write to a merged page faults and copies it")
                .remedy([Remedy::write(path, &run, "0")])
        }
        Ok(_) => Finding::fine("pages are not merged"),
        Err(unread) if unread.is_absent() => Finding::fine("the kernel merges no pages"),
        Err(unread) => Finding::unknown(unread),
    }
}
