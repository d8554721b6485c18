//! A guess at what held the core up, from what the kernel counted meanwhile.
//!
//! The counters also hold what happened since the look before, so the guess goes from what is
//! certain to what is usual: time that another task ran is measured by the kernel; a device's
//! interrupt is rare; a tick is always near.

use super::counters::{IRQ, SOFTIRQ, STEAL, WAITED};

/// The most likely cause of a gap, given what has grown.
pub(super) fn guess(gap_ns: u64, grown: &[(String, u64)]) -> String {
    let count = |name: &str| grown.iter().find(|(known, _)| known == name).map_or(0, |(_, n)| *n);
    let first = |kind: &str, fits: fn(&str) -> bool| {
        let mut names = grown.iter().filter_map(|(name, _)| name.strip_prefix(kind));
        names.find(|name| fits(name.trim())).map(|name| format!("{kind}{name}"))
    };
    if count(WAITED) >= gap_ns / 2 {
        return "another task".to_owned();
    }
    if count(STEAL) > 0 {
        return "stolen by the hypervisor".to_owned();
    }
    if let Some(device) = first(IRQ, |name| name.starts_with(|first: char| first.is_ascii_digit()))
    {
        return device;
    }
    if let Some(softirq) = first(SOFTIRQ, |name| LONG_SOFTIRQS.contains(&name)) {
        return softirq;
    }
    // No tick takes so long: the hypervisor or firmware had the core.
    if gap_ns > TICK_NS_MAX {
        return BELOW.to_owned();
    }
    if count("irq LOC") > 0 {
        return "timer tick".to_owned();
    }
    let kernel = first(IRQ, |_| true).or_else(|| first(SOFTIRQ, |_| true));
    kernel.unwrap_or_else(|| BELOW.to_owned())
}

/// Nothing in the kernel accounts for it.
const BELOW: &str = "below the kernel (hypervisor, firmware)";
/// Those that a device or a program causes; the others belong to the tick.
const LONG_SOFTIRQS: [&str; 4] = ["NET_RX", "NET_TX", "BLOCK", "TASKLET"];
const TICK_NS_MAX: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(gap_us: u64, grown: &[(&str, u64)], cause: &str) {
        let grown: Vec<_> = grown.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        assert_eq!(guess(gap_us * 1000, &grown), cause);
    }

    #[test]
    fn causes_are_guessed_from_what_has_grown() {
        check(2000, &[("irq LOC", 2), ("waited ns", 1_900_000)], "another task");
        check(2000, &[("irq LOC", 2), ("waited ns", 1000)], BELOW);
        check(15_000, &[("stolen ns", 10_000_000), ("irq LOC", 1)], "stolen by the hypervisor");
        check(20, &[("irq 41 eth0", 1), ("irq LOC", 1)], "irq 41 eth0");
        check(20, &[("irq LOC", 1), ("softirq NET_RX", 1)], "softirq NET_RX");
        check(12, &[("irq LOC", 1), ("softirq SCHED", 1)], "timer tick");
        check(12, &[("irq RES", 1)], "irq RES");
        check(12, &[], BELOW);
    }
}
