//! What a rule reports.

use std::fmt;

use crate::source::Source;

/// A place that breaks a rule, and what to do about it.
#[derive(Debug)]
pub struct Finding {
    /// File, relative to the root of the workspace.
    pub path: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Name of the rule.
    pub rule: &'static str,
    /// What is wrong and what to do.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.remedy)
    }
}

/// Collects findings.
#[derive(Default)]
pub struct Findings {
    /// In the order of discovery.
    pub all: Vec<Finding>,
}

impl Findings {
    /// Reports line `index` (from 0) of `source`.
    pub fn add(
        &mut self,
        source: &Source,
        index: usize,
        rule: &'static str,
        remedy: impl Into<String>,
    ) {
        self.add_file(&source.path, index + 1, rule, remedy);
    }

    /// Reports `line` (from 1) of the file at `path`.
    pub fn add_file(
        &mut self,
        path: &str,
        line: usize,
        rule: &'static str,
        remedy: impl Into<String>,
    ) {
        self.all.push(Finding { path: path.into(), line, rule, remedy: remedy.into() });
    }
}
