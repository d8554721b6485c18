//! Whether time can be read fast and never jumps.

use crate::finding::Finding;
use crate::host::{CheckedHost, field};
use crate::remedy::Remedy;

/// Reading the time takes no system call.
pub(super) fn source(host: &CheckedHost) -> Finding {
    let folder = "/sys/devices/system/clocksource/clocksource0";
    let path = format!("{folder}/current_clocksource");
    let current = match host.root.text(&path) {
        Ok(current) => current,
        Err(unread) => return Finding::unknown(unread),
    };
    if FAST.contains(&current.as_str()) {
        return Finding::fine(format!("clock source {current}"));
    }
    let available = host.root.text(&format!("{folder}/available_clocksource")).unwrap_or_default();
    let tsc = available.split_whitespace().any(|name| name == "tsc");
    if PARAVIRTUAL.contains(&current.as_str()) {
        let note = Finding::note(format!("clock source {current}"), "tsc, if it is invariant")
            .thumb(0.01, 0.05, "read without a system call, with a few steps more than tsc");
        // By hand: whether the counter keeps its pace over a migration only the host knows.
        let choose = |name: &str| format!("echo {name} > {path}");
        return match tsc {
            true => note.remedy([Remedy::hand(choose("tsc"), choose(&current))]),
            false => note,
        };
    }
    let is = format!("clock source {current} (available: {available})");
    let why = "each reading of the time enters the kernel and asks a slow device";
    let found = Finding::unfit(is, "clock source tsc").thumb(0.5, 5.0, why);
    if tsc {
        return found.remedy([Remedy::write(&path, &current, "tsc")]);
    }
    let look = "the kernel has found the time stamp counter unstable: see `dmesg | grep -i tsc`, \
                update the firmware; as a last resort, if you know that it is stable, tsc=reliable \
                on the kernel's command line";
    found.remedy([Remedy::hand(look, "take tsc=reliable off the command line")])
}

/// The time stamp counter runs evenly in all states of the processor.
pub(super) fn tsc(host: &CheckedHost) -> Finding {
    let flags = match host.root.text("/proc/cpuinfo") {
        Ok(text) => field(&text, "flags"),
        Err(unread) => return Finding::unknown(unread),
    };
    // Other architectures list `Features`, and have an even counter by definition.
    let Some(flags) = flags else { return Finding::fine("no x86: the counter is even") };
    let has = |flag: &str| flags.split_whitespace().any(|word| word == flag);
    let missing: Vec<_> = ["constant_tsc", "nonstop_tsc"].into_iter().filter(|f| !has(f)).collect();
    if missing.is_empty() {
        return Finding::fine("the time stamp counter is constant and never stops");
    }
    let is = format!("the processor lacks {}", missing.join(" and "));
    let machine = Remedy::hand(
        "bare metal: use a processor of this century's second decade or later; virtual machine: \
         have the host pass an invariant counter through (libvirt: feature invtsc)",
        "take the feature away",
    );
    Finding::unfit(is, "constant_tsc and nonstop_tsc")
        .why(
            "the counter changes its pace or stops when the CPU idles: latencies measured with \
              it mean nothing",
        )
        .remedy([machine])
}

const FAST: [&str; 2] = ["tsc", "arch_sys_counter"];
/// Read in user space, too, since Linux 4.12.
const PARAVIRTUAL: [&str; 3] =
    ["kvm-clock", "hyperv_clocksource_tsc_page", "hyperv_clocksource_msr"];
