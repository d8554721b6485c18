//! Where and with which code a run was made: figures of different hosts must not be compared.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use serde_json::{Value, json};

/// Processor, kernel and number of CPUs; what cannot be found out is `null`.
pub fn fingerprint() -> Value {
    let cpuinfo = read("/proc/cpuinfo").unwrap_or_default();
    json!({
        "cpu": cpu_model(&cpuinfo),
        "kernel": read("/proc/sys/kernel/osrelease"),
        "cpus": available_parallelism().ok().map(usize::from),
    })
}

/// The commit of the working tree, with `-dirty` when files differ from it; `None` outside a
/// repository.
pub fn commit() -> Option<String> {
    let arguments = ["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"];
    let described = Command::new("git").args(arguments).output().ok();
    let text = described.filter(|output| output.status.success()).map(|output| output.stdout);
    text.map(|text| String::from_utf8_lossy(&text).trim().to_string())
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_string())
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, model)| model.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_known_by_its_model() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: Fast CPU\n").unwrap(), "Fast CPU");
        assert_eq!(cpu_model("processor\t: 0\n"), None);
        assert!(fingerprint()["cpus"].as_u64().is_some());
    }
}
