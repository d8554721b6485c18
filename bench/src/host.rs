//! Where and with which code a run was made: figures of different hosts must not be compared.

use std::process::Command;

use potoroo_tuning::{Cpus, Fingerprint, Root, Severity, doctor};
use serde_json::{Value, json};

/// What tells this host from others.
pub fn fingerprint() -> Value {
    json!(Fingerprint::read(&Root::host()))
}

/// What the doctor has to say about these CPUs, the worst first; what is fine is left out.
pub fn findings(cpus: &[usize]) -> Vec<Value> {
    let cores: Cpus = cpus.iter().copied().collect();
    let findings = doctor(&Root::host(), Some(&cores));
    let reported = findings.iter().filter(|finding| finding.severity > Severity::Fine);
    reported.map(|finding| json!(finding)).collect()
}

/// Whether AMD made the processor: its caches and prefetches set other bounds than those of others.
pub fn is_amd() -> bool {
    Root::host().text("/proc/cpuinfo").is_ok_and(|text| text.contains("AuthenticAMD"))
}

/// The Cargo profile that figures are made with: all that optimises, whatever it costs to build.
pub const PROFILE_TO_MEASURE: &str = "latency";

/// The Cargo profile that this program was built with.
pub fn profile() -> &'static str {
    env!("POTOROO_BENCH_PROFILE")
}

/// The commit of the source tree, with `-dirty` when files differ from it; `None` when the tree
/// is gone or no repository.
pub fn commit() -> Option<String> {
    // The tree may belong to another user, and the run may be started anywhere.
    let tree = ["-c", "safe.directory=*", "-C", env!("CARGO_MANIFEST_DIR")];
    let arguments = ["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"];
    let described = Command::new("git").args(tree).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&described.stdout).trim().to_string();
    described.status.success().then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_has_a_fingerprint() {
        assert_eq!(fingerprint()["id"].as_str().unwrap().len(), 16);
        assert_eq!(fingerprint(), fingerprint());
    }

    #[test]
    fn the_profile_is_the_folder_that_this_test_lies_in() {
        let program = std::env::current_exe().unwrap();
        let folder = program.ancestors().nth(2).unwrap().file_name().unwrap().to_str().unwrap();
        assert_eq!(profile(), if folder == "debug" { "dev" } else { folder });
    }

    #[test]
    fn findings_are_about_something_that_is_not_fine() {
        assert!(findings(&[0]).iter().all(|finding| finding["severity"] != "fine"));
    }
}
