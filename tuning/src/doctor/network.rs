//! Whether packets reach the application at once: queues, coalescing, offloads, busy polling.
//!
//! Only cards with a device behind them count: loopback, bridges and tunnels have no interrupts.

use crate::finding::Finding;
use crate::host::CheckedHost;
use crate::remedy::{Remedy, word};

/// No more receive queues than CPUs that may serve their interrupts, and no steering to the cores.
pub(super) fn queues(host: &CheckedHost) -> Finding {
    let cards = cards(host);
    if cards.is_empty() {
        return Finding::fine("there is no network card");
    }
    let others = host.others();
    let mut remedies = Vec::new();
    let mut is = Vec::new();
    for card in &cards {
        let folder = format!("/sys/class/net/{card}/queues");
        let queues = host.root.numbers(&folder, "rx-");
        if queues.len() > others.len().max(1) {
            is.push(format!("{card} has {} receive queues", queues.len()));
            let set = |count| format!("ethtool -L {} combined {count}", word(card));
            remedies.push(Remedy::hand(set(others.len().max(1)), set(queues.len())));
        }
        for queue in queues {
            let path = format!("{folder}/rx-{queue}/rps_cpus");
            let steered = host.root.mask(&path).unwrap_or_default();
            if !steered.and(&host.cores).is_empty() {
                let before = host.root.text(&path).unwrap_or_default();
                is.push(format!("{card} steers packets of queue {queue} to the cores"));
                remedies.push(Remedy::write(&path, &before, &steered.and(&others).mask()));
            }
        }
    }
    if is.is_empty() {
        return Finding::fine(format!("the queues of {} suit the host", cards.join(", ")));
    }
    let should = format!("as many queues as housekeeping CPUs ({}), none steered", others.len());
    Finding::advice(is.join(", "), should)
        .thumb(2.0, 50.0, "each queue interrupts a CPU of its own, and works in softirqs there")
        .remedy(remedies)
}

/// Cards do not wait for more packets.
pub(super) fn coalescing(host: &CheckedHost) -> Finding {
    let mut is = Vec::new();
    let mut remedies = Vec::new();
    let mut worst_us = 0_u32;
    let mut unread = None;
    for card in cards(host) {
        let answer = match host.root.ask("ethtool", &["-c", &card]) {
            Ok(answer) => answer,
            Err(error) => {
                unread.get_or_insert(error);
                continue;
            }
        };
        let adaptive = answer.lines().any(|line| line.starts_with("Adaptive RX: on"));
        let usecs = line_value(&answer, "rx-usecs").and_then(|text| text.parse().ok()).unwrap_or(0);
        if !adaptive && usecs == 0 {
            continue;
        }
        worst_us = worst_us.max(usecs).max(if adaptive { ADAPTIVE_US } else { 0 });
        let before = if adaptive { "on" } else { "off" };
        is.push(format!("{card}: rx-usecs {usecs}, adaptive {before}"));
        let card = word(&card);
        remedies.push(Remedy::hand(
            format!("ethtool -C {card} adaptive-rx off rx-usecs 0 rx-frames 1"),
            format!("ethtool -C {card} adaptive-rx {before} rx-usecs {usecs}"),
        ));
    }
    match (is.is_empty(), unread) {
        (true, Some(unread)) => Finding::unknown(unread),
        (true, None) => Finding::fine("no card waits before it interrupts"),
        _ => Finding::advice(is.join("; "), "rx-usecs 0, adaptive off")
            .reported(0.0, f64::from(worst_us), "a card waits so long for more packets")
            .remedy(remedies),
    }
}

/// Packets are not held back to be merged.
pub(super) fn offloads(host: &CheckedHost) -> Finding {
    let mut merging = Vec::new();
    let mut remedies = Vec::new();
    let mut unread = None;
    for card in cards(host) {
        let answer = match host.root.ask("ethtool", &["-k", &card]) {
            Ok(answer) => answer,
            Err(error) => {
                unread.get_or_insert(error);
                continue;
            }
        };
        for (feature, short) in
            [("large-receive-offload", "lro"), ("generic-receive-offload", "gro")]
        {
            if line_value(&answer, feature) != Some("on") {
                continue;
            }
            merging.push(format!("{card}: {short}"));
            let set = |to| format!("ethtool -K {} {short} {to}", word(&card));
            remedies.push(Remedy::hand(set("off"), set("on")));
        }
    }
    match (merging.is_empty(), unread) {
        (true, Some(unread)) => Finding::unknown(unread),
        (true, None) => Finding::fine("no card merges packets"),
        _ => Finding::note(format!("merging of packets is on ({})", merging.join(", ")), "off")
            .thumb(
                0.5,
                10.0,
                "merging saves work under load and holds a packet until its burst ends",
            )
            .remedy(remedies),
    }
}

/// A core that asks its sockets looks into the card itself.
pub(super) fn busy_poll(host: &CheckedHost) -> Finding {
    if cards(host).is_empty() {
        return Finding::fine("there is no network card");
    }
    let path = "/proc/sys/net/core/busy_read";
    match host.root.text(path) {
        Ok(text) if text == "0" => Finding::advice("net.core.busy_read is 0", "50")
            .thumb(
                2.0,
                20.0,
                "a core that polls its sockets waits for interrupt and softirq of \
                               another CPU instead of looking into the queue of the card itself",
            )
            .remedy([Remedy::write(path, &text, "50")]),
        Ok(text) => Finding::fine(format!("net.core.busy_read is {text}")),
        Err(unread) => Finding::unknown(unread),
    }
}

/// Interfaces that are up and have a device.
fn cards(host: &CheckedHost) -> Vec<String> {
    let folder = "/sys/class/net";
    let is_card = |name: &String| {
        let down = host.root.text(&format!("{folder}/{name}/operstate")).is_ok_and(|s| s == "down");
        host.root.exists(&format!("{folder}/{name}/device")) && !down
    };
    host.root.names(folder).into_iter().filter(is_card).collect()
}

/// The value of a line such as `rx-usecs: 3` or `generic-receive-offload: on [fixed]`; nothing
/// where it cannot be changed.
fn line_value<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let line = answer.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'))?;
    (!line.contains("[fixed]")).then_some(line.trim())
}

/// What adaptive coalescing of common drivers rises to under load.
const ADAPTIVE_US: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_ethtool_are_read() {
        let answer = "Features for eth0:\ngeneric-receive-offload: on\n\
                      \tlarge-receive-offload: off [fixed]\nrx-usecs:\t3\n";
        assert_eq!(line_value(answer, "generic-receive-offload"), Some("on"));
        assert_eq!(line_value(answer, "large-receive-offload"), None);
        assert_eq!(line_value(answer, "rx-usecs"), Some("3"));
    }
}
