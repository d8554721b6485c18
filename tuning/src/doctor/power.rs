//! Whether the CPUs run at full speed and wake up at once: frequency, idle states, SMT.

use crate::cpus::Cpus;
use crate::finding::Finding;
use crate::host::CheckedHost;
use crate::remedy::Remedy;

/// The clock does not follow the load.
pub(super) fn governor(host: &CheckedHost) -> Finding {
    let mut slow = Vec::new();
    let mut seen = 0;
    for cpu in host.cores.iter() {
        let path = CheckedHost::cpu_file(cpu, "cpufreq/scaling_governor");
        let Ok(governor) = host.root.text(&path) else { continue };
        seen += 1;
        if governor != "performance" {
            slow.push(Remedy::write(&path, &governor, "performance"));
        }
    }
    let driver = |cpu| host.root.text(&CheckedHost::cpu_file(cpu, "cpufreq/scaling_driver")).ok();
    let driver = host.cores.iter().find_map(driver).unwrap_or_else(|| "no driver".to_owned());
    match (seen, &slow[..]) {
        (0, _) => Finding::note("the kernel does not set the frequency", "decided by the host")
            .why(
                "in a virtual machine the host decides; on bare metal the BIOS does: set its \
                  profile to maximum performance",
            ),
        (_, []) => Finding::fine(format!("governor performance ({driver})")),
        (_, [Remedy::Write { before, .. }, ..]) => {
            let is = format!("governor {before} ({driver}) on {} CPUs", slow.len());
            let why = "after a pause the core runs at a low clock until the governor has seen \
                       load for its sampling period; `powersave` of intel_pstate and amd-pstate \
                       leaves the choice to the processor, which reacts faster";
            Finding::advice(is, "governor performance").thumb(10.0, 10_000.0, why).remedy(slow)
        }
        _ => unreachable!("only writes are pushed"),
    }
}

/// Turbo is a matter of choice.
pub(super) fn turbo(host: &CheckedHost) -> Finding {
    let intel = "/sys/devices/system/cpu/intel_pstate/no_turbo";
    let boost = "/sys/devices/system/cpu/cpufreq/boost";
    let (path, on, off) = match (host.root.text(intel), host.root.text(boost)) {
        (Ok(text), _) => (intel, text == "0", "1"),
        (_, Ok(text)) => (boost, text == "1", "0"),
        _ => return Finding::fine("the kernel lists no turbo"),
    };
    if !on {
        return Finding::fine("turbo is off: one clock for all, lower than it could be");
    }
    let why = "with turbo the clock depends on how many cores are busy and how warm they are, and \
               each change of it halts the core; without it every event is slower by the ratio of \
               the clocks. Keep it for the lowest median, switch it off for repeatable figures";
    let before = if off == "1" { "0" } else { "1" };
    let choice = Remedy::hand(format!("echo {off} > {path}"), format!("echo {before} > {path}"));
    Finding::note("turbo is on", "decided on purpose").thumb(5.0, 30.0, why).remedy([choice])
}

/// An idle core wakes up fast.
pub(super) fn idle(host: &CheckedHost) -> Finding {
    if host.boot.value("idle") == Some("poll") {
        return Finding::fine("idle=poll: an idle CPU never sleeps");
    }
    let mut deep: Vec<Remedy> = Vec::new();
    let (mut known, mut worst, mut name) = (false, 0_u64, String::new());
    for cpu in host.cores.iter() {
        for state in host.root.numbers(&CheckedHost::cpu_file(cpu, "cpuidle"), "state") {
            let file =
                |what: &str| CheckedHost::cpu_file(cpu, &format!("cpuidle/state{state}/{what}"));
            let Ok(latency_us) = host.root.value::<u64>(&file("latency")) else { continue };
            known = true;
            let enabled = host.root.text(&file("disable")).is_ok_and(|text| text == "0");
            if latency_us <= IDLE_US_MAX || !enabled {
                continue;
            }
            deep.push(Remedy::write(&file("disable"), "0", "1"));
            if latency_us > worst {
                worst = latency_us;
                name = host.root.text(&file("name")).unwrap_or_default();
            }
        }
    }
    if deep.is_empty() {
        return match known {
            true => Finding::fine(format!("idle states wake within {IDLE_US_MAX} µs")),
            false => Finding::note("the kernel lists no idle states", "decided by the host").why(
                "in a virtual machine a halted CPU goes back to the host, and comes back \
                      when that pleases: only a core that spins is spared",
            ),
        };
    }
    let is = format!("idle CPUs fall as deep as {name}, {worst} µs to wake up");
    let why = "the wake-up comes on top of the first event after a pause; a core that spins never \
               idles. A program may hold /dev/cpu_dma_latency open instead";
    let should = format!("states slower than {IDLE_US_MAX} µs are disabled");
    Finding::advice(is, should).reported(IDLE_US_MAX as f64, worst as f64, why).remedy(deep)
}

/// The other thread of a physical core stands still.
pub(super) fn smt(host: &CheckedHost) -> Finding {
    let of = |cpu| host.siblings(cpu);
    let all = host.cores.iter().fold(Cpus::default(), |all, cpu| all.or(&of(cpu)));
    if all.is_empty() {
        return Finding::fine("no core has a second thread that runs");
    }
    let twins = all.and(&host.cores);
    let busy = all.without(&host.cores).without(&host.isolated);
    let why = "two threads of one physical core share its execution units and first-level caches: \
               each event takes up to twice as long while the other thread works";
    if !twins.is_empty() {
        let is = format!("CPUs {twins} are threads of the same physical cores");
        let fewer =
            Remedy::hand("leave one thread of each pair out of `--cores`", "choose them again");
        return Finding::advice(is, "one core of the application per physical core")
            .thumb(0.1, 1.0, why)
            .remedy([fewer]);
    }
    if busy.is_empty() {
        return Finding::fine(format!("the second threads ({all}) are isolated and idle"));
    }
    // By hand: an unplugged CPU leaves cpusets and affinities that plugging in does not restore.
    let off = |cpu| {
        let file = CheckedHost::cpu_file(cpu, "online");
        Remedy::hand(format!("echo 0 > {file}"), format!("echo 1 > {file}"))
    };
    Finding::advice(
        format!("the second threads of the cores, CPUs {busy}, run anything"),
        "they are offline, or isolated and left idle",
    )
    .thumb(0.1, 1.0, why)
    .remedy(busy.iter().map(off))
}

/// C1 wakes within a microsecond or two; everything deeper is tens to hundreds away.
const IDLE_US_MAX: u64 = 2;
