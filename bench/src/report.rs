//! What a benchmark says: a table for people, or one JSON object as the last line of stdout.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::host;
use crate::interrupt::{self, Interrupted};
use crate::place::Place;
use crate::rounds::Scale;

/// One number with the goal that it is held against.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Field name in the JSON object; names the unit or says `over` for a ratio.
    pub name: String,
    /// Median over the rounds.
    pub value: f64,
    /// The bar, where there is one.
    pub goal: Option<Goal>,
    /// Median raw core-to-core round trip of the slices behind this figure, in nanoseconds.
    pub raw_rtt_ns: f64,
}

/// A bar, on the good side of which a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// Good is this or less.
    AtMost(f64),
    /// Good is this or more.
    AtLeast(f64),
}

impl Goal {
    /// Whether a value reaches the bar.
    pub fn met(self, value: f64) -> bool {
        match self {
            Self::AtMost(bar) => value <= bar,
            Self::AtLeast(bar) => value >= bar,
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(bar) => write!(f, "<= {bar}"),
            Self::AtLeast(bar) => write!(f, ">= {bar}"),
        }
    }
}

/// Everything that one benchmark found out.
#[derive(Debug)]
pub struct Report {
    bench: &'static str,
    place: Place,
    scale: Scale,
    figures: Vec<Figure>,
    details: Map<String, Value>,
    notes: Vec<&'static str>,
    failed: Map<String, Value>,
    interrupted: bool,
}

impl Report {
    /// An empty report.
    pub fn new(bench: &'static str, place: Place, scale: Scale) -> Self {
        Self {
            bench,
            place,
            scale,
            figures: Vec::new(),
            details: Map::new(),
            notes: Vec::new(),
            failed: Map::new(),
            interrupted: false,
        }
    }

    /// Where the run happens.
    pub fn place(&self) -> Place {
        self.place
    }

    /// How long it measures.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// Names something that could not be measured, and why.
    pub fn failed(&mut self, what: impl Into<String>, why: &anyhow::Error) {
        self.failed.insert(what.into(), json!(format!("{why:#}")));
    }

    /// Takes the end of the benchmark in: the figures until then count whatever it was.
    pub fn end(&mut self, outcome: anyhow::Result<()>) {
        self.interrupted = interrupt::asked();
        match outcome {
            Err(error) if !error.is::<Interrupted>() => self.failed(self.bench, &error),
            _ => {}
        }
    }

    /// 0; 1 when something could not be measured; 130 when the run was asked to end early.
    pub fn exit_code(&self) -> ExitCode {
        match (self.interrupted, self.failed.is_empty()) {
            (true, _) => ExitCode::from(interrupt::EXIT_CODE),
            (false, false) => ExitCode::FAILURE,
            (false, true) => ExitCode::SUCCESS,
        }
    }

    /// Adds a figure without a goal.
    pub fn figure(&mut self, name: impl Into<String>, value: f64, raw_rtt_ns: f64) {
        self.figures.push(Figure { name: name.into(), value, goal: None, raw_rtt_ns });
    }

    /// Adds a figure with a goal.
    pub fn goal(&mut self, name: impl Into<String>, value: f64, raw_rtt_ns: f64, goal: Goal) {
        self.figures.push(Figure { name: name.into(), value, goal: Some(goal), raw_rtt_ns });
    }

    /// Adds a figure with the goal that it may have.
    pub fn figure_toward(
        &mut self,
        name: impl Into<String>,
        value: f64,
        raw_rtt_ns: f64,
        goal: Option<Goal>,
    ) {
        self.figures.push(Figure { name: name.into(), value, goal, raw_rtt_ns });
    }

    /// Adds something that only the JSON shows, such as the percentiles of a contender.
    pub fn detail(&mut self, name: impl Into<String>, value: Value) {
        self.details.insert(name.into(), value);
    }

    /// Adds a sentence on how to read the figures.
    pub fn note(&mut self, note: &'static str) {
        self.notes.push(note);
    }

    /// The value of a figure, when it was measured.
    #[cfg(test)]
    pub fn value(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == name).map(|figure| figure.value)
    }

    /// One object: each figure is a field of its own, raw round trips and goals stand beside.
    pub fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("bench".into(), json!(self.bench));
        object.insert("commit".into(), host::commit());
        object.insert("host".into(), host::fingerprint());
        object.insert("fifo".into(), json!(self.place.fifo));
        object.insert("cpus".into(), json!([self.place.left, self.place.right]));
        object.insert("rounds".into(), json!(self.scale.rounds));
        object.insert("slice_ms".into(), json!(self.scale.slice.as_millis() as u64));
        let mut raw = Map::new();
        let mut goals = Map::new();
        for figure in &self.figures {
            object.insert(figure.name.clone(), json!(rounded(figure.value)));
            raw.insert(figure.name.clone(), json!(rounded(figure.raw_rtt_ns)));
            if let Some(goal) = figure.goal {
                let met = goal.met(figure.value);
                let verdict = json!({ "goal": goal.to_string(), "met": met });
                goals.insert(figure.name.clone(), verdict);
            }
        }
        object.insert("raw_rtt_ns".into(), Value::Object(raw));
        object.insert("goals".into(), Value::Object(goals));
        object.insert("details".into(), Value::Object(self.details.clone()));
        object.insert("notes".into(), json!(self.notes));
        object.insert("failed".into(), Value::Object(self.failed.clone()));
        object.insert("interrupted".into(), json!(self.interrupted));
        Value::Object(object)
    }

    /// The same as lines of text.
    pub fn table(&self) -> String {
        let priority = if self.place.fifo { "SCHED_FIFO" } else { "normal priority (not FIFO)" };
        let mut text = format!(
            "{}: medians of {} rounds, {} ms slices, CPUs {} and {}, {priority}\n",
            self.bench,
            self.scale.rounds,
            self.scale.slice.as_millis(),
            self.place.left,
            self.place.right,
        );
        text += &format!("{:<44} {:>14} {:>12} {:>14}\n", "figure", "value", "goal", "raw RTT ns");
        for figure in &self.figures {
            text += &self.table_row(figure);
        }
        for note in &self.notes {
            text += &format!("- {note}\n");
        }
        for (what, why) in &self.failed {
            text += &format!("failed: {what}: {}\n", why.as_str().unwrap_or_default());
        }
        if self.interrupted {
            text += &format!("{Interrupted}\n");
        }
        text
    }

    fn table_row(&self, figure: &Figure) -> String {
        let goal = figure.goal.map(|goal| goal.to_string()).unwrap_or_default();
        let missed = figure.goal.is_some_and(|goal| !goal.met(figure.value));
        let missed = missed && !figure.value.is_nan();
        format!(
            "{:<44} {:>14} {goal:>12} {:>14}{}\n",
            figure.name,
            shown(figure.value),
            shown(figure.raw_rtt_ns),
            if missed { "  missed" } else { "" },
        )
    }
}

/// As people read it; what was not measured is a dash.
fn shown(value: f64) -> String {
    if value.is_nan() { "-".into() } else { rounded(value).to_string() }
}

/// Three digits are more than the machine can repeat.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_fields_of_the_object() {
        let mut report = Report::new("hop", Place::toy(), Scale::toy());
        report.goal("ring_over_raw_p50", 1.1, 120.0, Goal::AtMost(1.15));
        let json = report.json();
        assert_eq!(json["ring_over_raw_p50"], 1.1);
        assert_eq!(json["raw_rtt_ns"]["ring_over_raw_p50"], 120.0);
        assert_eq!(json["goals"]["ring_over_raw_p50"]["met"], true);
        assert_eq!(json["fifo"], false);
        assert!(json["host"]["kernel"].is_string());
    }

    #[test]
    fn a_missed_goal_is_visible_in_the_table() {
        let mut report = Report::new("hop", Place::toy(), Scale::toy());
        report.goal("good", 2.0, 1.0, Goal::AtLeast(1.0));
        report.goal("bad", 0.5, 1.0, Goal::AtLeast(1.0));
        let table = report.table();
        assert!(!table.lines().find(|line| line.starts_with("good")).unwrap().contains("missed"));
        assert!(table.lines().find(|line| line.starts_with("bad")).unwrap().contains("missed"));
    }
}
