//! How fast the CPUs are beside each other.

use super::cpu::Cpu;
use crate::host::CheckedHost;

/// Fills in the speeds: from the first source that every CPU has, because figures of two sources
/// cannot be compared.
pub(super) fn fill(host: &CheckedHost, cpus: &mut [Cpu]) {
    let efficient = EFFICIENT.map(|path| host.root.cpus(path).unwrap_or_default());
    let read = |cpu: usize, name: &str| host.root.value(&CheckedHost::cpu_file(cpu, name)).ok();
    let speeds = SOURCES.iter().find_map(|name| {
        let known = |cpu: &Cpu| read(cpu.cpu, name).filter(|speed: &u64| *speed > 0);
        cpus.iter().map(known).collect::<Option<Vec<u64>>>()
    });
    for (index, cpu) in cpus.iter_mut().enumerate() {
        cpu.capacity = speeds.as_ref().map(|speeds| speeds[index]);
        cpu.efficient = efficient.iter().any(|cpus| cpus.contains(cpu.cpu));
    }
}

/// What the kernel computed (ARM, RISC-V, POWER); the highest frequency; and what the firmware
/// promises, which comes last because it also ranks equal cores.
const SOURCES: [&str; 3] = ["cpu_capacity", "cpufreq/cpuinfo_max_freq", "acpi_cppc/highest_perf"];
/// Counters of the efficiency cores of hybrid x86 processors; those of the performance cores are
/// at `cpu_core`.
const EFFICIENT: [&str; 2] = ["/sys/devices/cpu_atom/cpus", "/sys/devices/cpu_lowpower/cpus"];
