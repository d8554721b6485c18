//! Whether devices interrupt the cores.

use super::spare::spare_a_cpu;
use crate::cpus::Cpus;
use crate::finding::Finding;
use crate::host::CheckedHost;
use crate::remedy::Remedy;

/// No device sends its interrupts to the cores.
pub(super) fn affinity(host: &CheckedHost) -> Finding {
    let here: Vec<Irq> = irqs(host).into_iter().filter(|irq| irq.hits(&host.cores)).collect();
    if !host.root.exists("/proc/irq") {
        return Finding::unknown("/proc/irq: is not there");
    }
    if here.is_empty() {
        return Finding::fine("no device interrupts the cores");
    }
    let mut names: Vec<String> = here.iter().map(Irq::name).collect();
    let more = names.len().saturating_sub(NAMES_MAX);
    names.truncate(NAMES_MAX);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let is = format!("interrupts {}{more} may come to the cores", names.join(", "));
    let why = "each interrupt takes the core away for the handler and for softirqs behind it";
    let found = Finding::advice(is, "all interrupts go to the housekeeping CPUs");
    let found = found.thumb(2.0, 50.0, why);
    let others = host.others();
    match others.is_empty() {
        true => found.remedy([spare_a_cpu()]),
        false => found.remedy(here.iter().map(|irq| irq.moved(&others))),
    }
}

/// New interrupts stay away as well.
pub(super) fn default_affinity(host: &CheckedHost) -> Finding {
    let path = "/proc/irq/default_smp_affinity";
    let others = host.others();
    match host.root.mask(path) {
        Ok(mask) if mask.and(&host.cores).is_empty() => {
            Finding::fine("new interrupts go elsewhere")
        }
        Ok(_) => {
            let found = Finding::note("new interrupts may come to the cores", "they go elsewhere")
                .why("a driver that is loaded later takes this mask for its interrupts");
            if others.is_empty() {
                return found.remedy([spare_a_cpu()]);
            }
            let before = host.root.text(path).unwrap_or_default();
            let boot = Remedy::Boot(format!("irqaffinity={others}"));
            found.remedy([Remedy::write(path, &before, &others.mask()), boot])
        }
        Err(unread) => Finding::unknown(unread),
    }
}

/// No daemon moves interrupts back.
pub(super) fn balance(host: &CheckedHost) -> Finding {
    let runs = |process: &usize| {
        host.root.text(&format!("/proc/{process}/comm")).is_ok_and(|name| name == "irqbalance")
    };
    if !host.root.numbers("/proc", "").iter().any(runs) {
        return Finding::fine("irqbalance does not run");
    }
    // irqbalance itself leaves these alone.
    let spared = host.isolated.or(&host.nohz_full).or(&banned(host));
    let open = host.cores.without(&spared);
    if open.is_empty() {
        return Finding::fine("irqbalance runs, and leaves the cores alone");
    }
    Finding::advice(
        format!("irqbalance moves interrupts to CPUs {open}"),
        "it does not run, or the cores are banned from it (IRQBALANCE_BANNED_CPULIST)",
    )
    .thumb(2.0, 50.0, "it spreads interrupts anew every ten seconds, also those moved by hand")
    .remedy([Remedy::Stop("irqbalance".to_owned())])
}

struct Irq {
    number: usize,
    /// The name of the driver that requested it; empty if there is none.
    action: String,
    /// CPUs that were requested.
    wanted: Cpus,
    /// CPUs that it goes to; `wanted` where the kernel does not report them.
    effective: Cpus,
}

impl Irq {
    fn hits(&self, cores: &Cpus) -> bool {
        !self.action.is_empty()
            && (!self.effective.and(cores).is_empty() || !self.wanted.and(cores).is_empty())
    }

    fn name(&self) -> String {
        format!("{} ({})", self.number, self.action)
    }

    /// To the others among those wanted if there are any, so that queues stay spread.
    fn moved(&self, others: &Cpus) -> Remedy {
        let kept = self.wanted.and(others);
        let cpus = if kept.is_empty() { others } else { &kept };
        let path = format!("/proc/irq/{}/smp_affinity_list", self.number);
        Remedy::write(&path, &self.wanted.to_string(), &cpus.to_string())
    }
}

fn irqs(host: &CheckedHost) -> Vec<Irq> {
    let irq = |number: usize| {
        let folder = format!("/proc/irq/{number}");
        let wanted = host.root.cpus(&format!("{folder}/smp_affinity_list")).ok()?;
        let effective = host.root.cpus(&format!("{folder}/effective_affinity_list"));
        // The driver that requested the interrupt has a folder of its name.
        let names = host.root.names(&folder).into_iter();
        let actions: Vec<_> =
            names.filter(|name| host.root.is_folder(&format!("{folder}/{name}"))).collect();
        let effective = effective.ok().filter(|cpus| !cpus.is_empty());
        let effective = effective.unwrap_or_else(|| wanted.clone());
        Some(Irq { number, action: actions.join(" "), wanted, effective })
    };
    host.root.numbers("/proc/irq", "").into_iter().filter_map(irq).collect()
}

fn banned(host: &CheckedHost) -> Cpus {
    let files = ["/etc/default/irqbalance", "/etc/sysconfig/irqbalance"];
    let text = files.iter().find_map(|file| host.root.text(file).ok()).unwrap_or_default();
    let value = |name: &str| {
        let line = text.lines().rev().find_map(|line| line.trim().strip_prefix(name))?;
        Some(line.strip_prefix('=')?.trim_matches(['"', '\'']).to_owned())
    };
    let list = value("IRQBALANCE_BANNED_CPULIST").and_then(|list| list.parse().ok());
    let mask = || Cpus::from_mask(&value("IRQBALANCE_BANNED_CPUS")?).ok();
    list.or_else(mask).unwrap_or_default()
}

const NAMES_MAX: usize = 4;
