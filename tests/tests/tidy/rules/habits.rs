//! Habits: names that say something, tests that wait for nothing, no notes to self.

use crate::finding::Findings;
use crate::source::{Source, word_starts};

const EMPTY_NAMES: [&str; 5] = ["util", "utils", "common", "helpers", "misc"];
const LEFTOVERS: [&str; 3] = ["todo!", "unimplemented!", "dbg!"];

/// Reports bad habits.
pub fn check(source: &Source, findings: &mut Findings) {
    check_name(source, findings);
    check_opening(source, findings);
    for (index, line) in source.lines.iter().enumerate() {
        check_leftovers(source, index, &line.code, findings);
        if source.is_test(index) {
            check_waiting(source, index, &line.code, findings);
        }
    }
}

fn check_name(source: &Source, findings: &mut Findings) {
    if source.path.contains("src/") && source.path.ends_with("/mod.rs") {
        let remedy = "name a module's file after the module, beside its folder: `flow.rs`, `flow/`";
        findings.add(source, 0, "module-file", remedy);
    }
    let parts = source.path.trim_end_matches(".rs").split('/');
    for name in parts.filter(|part| EMPTY_NAMES.contains(part)) {
        let remedy = format!("`{name}` says nothing: name what it is about");
        findings.add(source, 0, "module-name", remedy);
    }
}

fn check_opening(source: &Source, findings: &mut Findings) {
    let opens = source.lines.first().is_some_and(|line| line.text.starts_with("//!"));
    if source.path.contains("src/") && !opens {
        let remedy = "open with `//!`: what the module owns, promises and must never do";
        findings.add(source, 0, "module-docs", remedy);
    }
}

fn check_leftovers(source: &Source, index: usize, code: &str, findings: &mut Findings) {
    for leftover in LEFTOVERS.iter().filter(|leftover| code.contains(*leftover)) {
        findings.add(source, index, "leftover", format!("`{leftover}`: finish it"));
    }
}

/// Tests wait for what they wait for, with a limit, and never judge by the clock of the machine.
fn check_waiting(source: &Source, index: usize, code: &str, findings: &mut Findings) {
    if code.contains("#[ignore") {
        findings.add(source, index, "ignored-test", "a test that does not run is none: repair it");
    }
    if word_starts(code, "sleep").next().is_some() {
        findings.add(source, index, "sleep", "wait for the thing itself, with a limit");
    }
    if code.contains("assert") && word_starts(code, "elapsed").next().is_some() {
        findings.add(source, index, "wall-clock", "busy machines are slow: measure in bench");
    }
}
