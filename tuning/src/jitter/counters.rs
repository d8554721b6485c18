//! What the kernel counts for one CPU and for the thread on it.

use std::collections::BTreeMap;

use crate::host::field;
use crate::root::Root;

/// Readings by name; see the constants for those that are not from a table of the kernel.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters(BTreeMap<String, u64>);

impl Counters {
    /// Reads all that can be read: interrupts, softirqs, steal, and the thread that asks.
    pub(super) fn read(root: &Root, cpu: usize) -> Self {
        let text = |path| root.text(path).unwrap_or_default();
        let mut counts = BTreeMap::new();
        counts.extend(table(&text("/proc/interrupts"), cpu, IRQ));
        counts.extend(table(&text("/proc/softirqs"), cpu, SOFTIRQ));
        counts.insert(STEAL.to_owned(), steal_ns(&text("/proc/stat"), cpu).unwrap_or(0));
        let waited = text("/proc/thread-self/schedstat");
        let waited = waited.split_whitespace().nth(1).and_then(|text| text.parse().ok());
        counts.insert(WAITED.to_owned(), waited.unwrap_or(0));
        let switches = field(&text("/proc/thread-self/status"), "nonvoluntary_ctxt_switches");
        let switches = switches.and_then(|text| text.parse().ok());
        counts.insert(SWITCHES.to_owned(), switches.unwrap_or(0));
        Self(counts)
    }

    /// What was counted since `before`, without what was not.
    pub(super) fn since(&self, before: &Self) -> Vec<(String, u64)> {
        let grown = |(name, count): (&String, &u64)| {
            let past = before.0.get(name).copied().unwrap_or(0);
            Some((name.clone(), count.checked_sub(past).filter(|more| *more > 0)?))
        };
        self.0.iter().filter_map(grown).collect()
    }
}

/// The column of one CPU of a table whose header names the CPUs that are online.
fn table(text: &str, cpu: usize, kind: &str) -> Vec<(String, u64)> {
    let header = text.lines().next().unwrap_or_default();
    let names: Vec<&str> = header.split_whitespace().collect();
    let wanted = format!("CPU{cpu}");
    let Some(column) = names.iter().position(|name| *name == wanted) else { return Vec::new() };
    let row = |line: &str| {
        let (name, rest) = line.split_once(':')?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let count = words.get(column)?.parse().ok()?;
        let name = name.trim();
        // A numbered interrupt is called by what asked for it: the last word.
        let device = words.last().filter(|_| name.parse::<u32>().is_ok());
        let device = device.map(|device| format!(" {device}")).unwrap_or_default();
        Some((format!("{kind} {name}{device}"), count))
    };
    text.lines().skip(1).filter_map(row).collect()
}

/// Steal is the eighth number behind the name, in hundredths of a second.
fn steal_ns(text: &str, cpu: usize) -> Option<u64> {
    let name = format!("cpu{cpu} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name))?;
    let ticks: u64 = line.split_whitespace().nth(7)?.parse().ok()?;
    ticks.checked_mul(10_000_000)
}

/// In front of the name of an interrupt.
pub(super) const IRQ: &str = "irq";
/// In front of the name of a softirq.
pub(super) const SOFTIRQ: &str = "softirq";
/// Nanoseconds that the hypervisor kept the CPU.
pub(super) const STEAL: &str = "stolen ns";
/// Nanoseconds that the thread was ready to run and another one ran.
pub(super) const WAITED: &str = "waited ns";
/// How often the thread had to give the CPU up.
pub(super) const SWITCHES: &str = "involuntary switches";

#[cfg(test)]
mod tests {
    use super::*;

    const INTERRUPTS: &str = "\
           CPU0       CPU2
  8:          1          7  IO-APIC   8-edge      rtc0
LOC:        100        200  Local timer interrupts
ERR:          0
";

    #[test]
    fn columns_go_by_the_names_of_cpus() {
        let two = table(INTERRUPTS, 2, IRQ);
        assert_eq!(two, [("irq 8 rtc0".to_owned(), 7), ("irq LOC".to_owned(), 200)]);
        assert!(table(INTERRUPTS, 1, IRQ).is_empty());
        assert!(table("", 0, IRQ).is_empty());
    }

    #[test]
    fn only_growth_is_reported() {
        let counters = |count| Counters(BTreeMap::from([("irq LOC".to_owned(), count)]));
        assert_eq!(counters(5).since(&counters(3)), [("irq LOC".to_owned(), 2)]);
        assert_eq!(counters(3).since(&counters(3)), []);
        assert_eq!(counters(3).since(&counters(5)), []);
    }

    #[test]
    fn steal_is_the_eighth_number() {
        assert_eq!(steal_ns("cpu0 1 2 3 4 5 6 7 8 0 0\n", 0), Some(80_000_000));
        assert_eq!(steal_ns("cpu0 1 2 3 4\n", 0), None);
    }
}
