//! What a check found: what is, what should be, what it costs and how to change it.
//!
//! Owns the words and the order of findings. Promises that every finding which asks for a change
//! says how to make it and how to undo it. Must never read the host.

use serde::Serialize;

use crate::remedy::{Remedy, changes, undos};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Fine,
    /// Could not be found out.
    Unknown,
    /// A matter of choice: worth knowing, not worth an alarm.
    Note,
    /// Costs latency; the remedy is known.
    Advice,
    /// Latencies on this host mean nothing until it is changed, or the engine does not start.
    Unfit,
}

/// Where the figures of a cost come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Read from this host, or computed from what it says.
    Host,
    /// An order of magnitude that people who tune hosts expect; it was not measured here.
    #[serde(rename = "rule of thumb")]
    Thumb,
}

/// How long one occurrence holds an event up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Microseconds of a usual occurrence.
    pub from_us: f64,
    /// Microseconds of a bad one.
    pub to_us: f64,
    /// Where the two come from.
    pub basis: Basis,
}

/// The outcome of one check.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Which check: `group.subject`, the same for ever.
    pub check: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What is.
    pub is: String,
    /// What should be; empty when it is so.
    pub should: String,
    /// What it costs, once per occurrence.
    pub cost: Option<Cost>,
    /// When and why it costs that.
    pub why: String,
    /// Commands and steps that change it.
    pub change: Vec<String>,
    /// Commands and steps that undo the change.
    pub undo: Vec<String>,
    /// The change in a form that `plan` and `apply` use.
    #[serde(skip)]
    pub(crate) remedies: Vec<Remedy>,
}

impl Finding {
    /// All is well.
    pub(crate) fn fine(is: impl Into<String>) -> Self {
        Self::new(Severity::Fine, is, "")
    }

    /// It cannot be said.
    pub(crate) fn unknown(why: impl ToString) -> Self {
        Self::new(Severity::Unknown, why.to_string(), "")
    }

    /// A matter of choice.
    pub(crate) fn note(is: impl Into<String>, should: impl Into<String>) -> Self {
        Self::new(Severity::Note, is, should)
    }

    /// Something to better.
    pub(crate) fn advice(is: impl Into<String>, should: impl Into<String>) -> Self {
        Self::new(Severity::Advice, is, should)
    }

    /// Something that has to be bettered.
    pub(crate) fn unfit(is: impl Into<String>, should: impl Into<String>) -> Self {
        Self::new(Severity::Unfit, is, should)
    }

    fn new(severity: Severity, is: impl Into<String>, should: impl Into<String>) -> Self {
        Self {
            check: "",
            severity,
            is: is.into(),
            should: should.into(),
            cost: None,
            why: String::new(),
            change: Vec::new(),
            undo: Vec::new(),
            remedies: Vec::new(),
        }
    }

    /// Microseconds by rule of thumb.
    pub(crate) fn thumb(self, from_us: f64, to_us: f64, why: &str) -> Self {
        self.costs(Cost { from_us, to_us, basis: Basis::Thumb }, why)
    }

    /// Microseconds that this host reports.
    pub(crate) fn reported(self, from_us: f64, to_us: f64, why: &str) -> Self {
        self.costs(Cost { from_us, to_us, basis: Basis::Host }, why)
    }

    fn costs(self, cost: Cost, why: &str) -> Self {
        Self { cost: Some(cost), why: why.to_owned(), ..self }
    }

    /// A reason without microseconds.
    pub(crate) fn why(self, why: &str) -> Self {
        Self { why: why.to_owned(), ..self }
    }

    /// What changes it.
    pub(crate) fn remedy(mut self, remedies: impl IntoIterator<Item = Remedy>) -> Self {
        self.remedies.extend(remedies);
        self.change = changes(&self.remedies);
        self.undo = undos(&self.remedies);
        self
    }

    /// The finding in one line, for logs.
    pub fn line(&self) -> String {
        let cost = self.cost.map(|cost| format!(" (up to {})", micros(cost.to_us)));
        let should = if self.should.is_empty() { "" } else { "; should be: " };
        format!("{}: {}{}{should}{}", self.check, self.is, cost.unwrap_or_default(), self.should)
    }

    /// What to sort by: the worst first.
    pub(crate) fn rank(&self) -> std::cmp::Reverse<(Severity, u64)> {
        let nanos = self.cost.map_or(0, |cost| (cost.to_us * 1000.0) as u64);
        std::cmp::Reverse((self.severity, nanos))
    }
}

/// Microseconds as people read them.
pub fn micros(us: f64) -> String {
    if us < 10.0 { format!("{us:.1} µs") } else { format!("{us:.0} µs") }
}
