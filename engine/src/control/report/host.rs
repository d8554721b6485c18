//! The name of the machine in reports.

use std::fs;

/// The name and CPU of this machine: no latency means anything without them.
pub fn host_label() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let name = read("/proc/sys/kernel/hostname");
    label(name.trim(), &read("/proc/cpuinfo"))
}

fn label(name: &str, cpuinfo: &str) -> String {
    let name = if name.is_empty() { "unknown host" } else { name };
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    match model.and_then(|line| line.split_once(':')) {
        Some((_, model)) => format!("{name} ({})", model.trim()),
        None => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_as_far_as_known() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Fast CPU @ 3 GHz\n";
        assert_eq!(label("lab", cpuinfo), "lab (Fast CPU @ 3 GHz)");
        assert_eq!(label("", ""), "unknown host");
    }
}
