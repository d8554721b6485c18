//! What the process of a test takes.

/// The most memory in KiB that this process ever had.
///
/// # Panics
/// The system does not report it.
pub fn most_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("it is Linux");
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux reports it");
    let number = line.trim().trim_end_matches(" kB");
    number.parse().expect("it is a number")
}
