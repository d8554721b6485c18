//! What the host doctor says about the cores of an application when it starts.
//!
//! Owns the choice of findings that get a line. Promises few lines: on CPUs that all processes may
//! use only those that spoil every latency, on chosen or spinning ones also those that spoil some.
//! Must never stop a start, or change the host.

use potoroo_runtime::Idle;
use potoroo_tuning::{Cpus, Root, Severity, doctor};

use super::config::{Config, cpus_allowed, cpus_of_cores};

/// The worst findings, one line each, and where to read on; nothing if there is none.
pub(super) fn lines(config: &Config) -> Vec<String> {
    let chosen = config.idle == Idle::Spin || config.cores != cpus_of_cores(&cpus_allowed());
    let least = if chosen { Severity::Advice } else { Severity::Unfit };
    let cores: Cpus = config.cores.iter().copied().collect();
    let findings = doctor(&Root::host_files(), Some(&cores));
    let worth = findings.iter().filter(|finding| finding.severity >= least).take(LINES_MAX);
    let mut lines: Vec<String> = worth.map(|finding| format!("host: {}", finding.line())).collect();
    if !lines.is_empty() {
        let command = format!("`potoroo-tuning doctor --cores {cores}`");
        lines.push(format!("host: {command} has all findings, and how to change and undo each"));
    }
    lines
}

/// More would hide what else is said at the start.
const LINES_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_few_lines_and_the_last_names_the_doctor() {
        for idle in [Idle::Adaptive, Idle::Spin] {
            let lines = lines(&Config { idle, ..Config::default() });
            assert!(lines.len() <= LINES_MAX + 1, "{lines:?}");
            let named = lines.last().is_none_or(|line| line.contains("`potoroo-tuning doctor"));
            assert!(named, "{lines:?}");
        }
    }

    #[test]
    fn chosen_cores_are_judged_more_strictly() {
        let lines = |idle| lines(&Config { idle, ..Config::default() }).len();
        assert!(lines(Idle::Spin) >= lines(Idle::Adaptive));
    }
}
