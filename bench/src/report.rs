//! What a benchmark says: a table for people, one JSON object as the last line of stdout, and the
//! record that is kept.

use std::env;
use std::process::ExitCode;
use std::rc::Rc;

use humantime::format_rfc3339_seconds;
use serde_json::{Map, Value, json};

use crate::budget::Budget;
use crate::effort::Scale;
use crate::host;
use crate::interrupt::{self, Interrupted};
use crate::place::Place;
use crate::progress::Progress;
use crate::results::{Class, Figure, ResultFolder, RunRecord, SCHEMA};
use crate::spread::Spread;
use crate::stamp;
use crate::track::Track;

pub use crate::results::Goal;

/// Everything that one benchmark found out.
#[derive(Clone, Debug)]
pub struct Report {
    record: RunRecord,
    tracks: Vec<Track>,
    details: Map<String, Value>,
    place: Place,
    scale: Scale,
    budget: Budget,
    /// Where it is kept; `None` if nothing is.
    store: Option<Rc<ResultFolder>>,
}

impl Report {
    /// An empty report; its time is that of the call.
    pub fn new(bench: &'static str, place: Place, scale: Scale) -> Self {
        let record = RunRecord {
            schema: SCHEMA,
            bench: bench.into(),
            commit: host::commit(),
            profile: Some(host::profile().into()),
            time: format_rfc3339_seconds(stamp::wall(stamp::now())).to_string(),
            command: env::args_os().map(|text| text.to_string_lossy().into_owned()).collect(),
            host: host::fingerprint(),
            findings: host::findings(&[place.left, place.right]),
            cpus: vec![place.left, place.right],
            fifo: place.fifo,
            scale: scale.name.into(),
            rounds: scale.rounds,
            slice_ms: scale.slice.as_millis() as u64,
            configuration: Map::new(),
            figures: Vec::new(),
            series: Vec::new(),
            checksums: Map::new(),
            notes: Vec::new(),
            failed: Map::new(),
            interrupted: false,
            folder: None,
        };
        let budget = Budget::new(scale.command_max);
        Self { record, tracks: Vec::new(), details: Map::new(), place, scale, budget, store: None }
    }

    /// From now on it is kept there.
    pub fn keep_in(&mut self, store: Option<ResultFolder>) {
        self.store = store.map(Rc::new);
    }

    /// Keeps the report as it is: whatever ends this process, the figures so far are not lost.
    pub fn keep_so_far(&mut self, progress: &Progress) {
        let Some(store) = self.store.clone().filter(|_| !self.record.figures.is_empty()) else {
            return;
        };
        self.record.interrupted = true;
        if let Err(error) = store.keep_so_far(&mut self.record, &self.tracks) {
            progress.warn(format_args!("what was measured so far is not kept: {error:#}"));
        }
        self.record.interrupted = false;
    }

    /// As [`keep_so_far`](Self::keep_so_far), of what it would be if the run ended now.
    pub fn keep_draft(&self, progress: &Progress, tell: impl FnOnce(&mut Self)) {
        if self.store.is_some() {
            let mut draft = self.clone();
            tell(&mut draft);
            draft.keep_so_far(progress);
        }
    }

    /// Keeps the whole report for good.
    ///
    /// # Errors
    /// Something could not be written; the record then says which series are kept.
    pub fn keep(&mut self) -> anyhow::Result<()> {
        let store = self.store.clone();
        store.map_or(Ok(()), |store| store.keep(&mut self.record, &self.tracks))
    }

    /// The run happens elsewhere than where it was going to.
    pub fn relocate(&mut self, place: Place) {
        self.place = place;
        self.record.cpus = vec![place.left, place.right];
        self.record.fifo = place.fifo;
        self.record.findings = host::findings(&self.record.cpus);
    }

    /// Where the run happens.
    pub fn place(&self) -> Place {
        self.place
    }

    /// How long it measures.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// The time of the command.
    pub fn budget(&mut self) -> &mut Budget {
        &mut self.budget
    }

    /// Names something that could not be measured, and why.
    pub fn failed(&mut self, what: impl Into<String>, why: &anyhow::Error) {
        self.record.failed.insert(what.into(), json!(format!("{why:#}")));
    }

    /// Takes the end of the benchmark in: the figures until then count whatever it was.
    pub fn end(&mut self, outcome: anyhow::Result<()>) {
        self.record.interrupted = interrupt::asked();
        match outcome {
            Err(error) if !error.is::<Interrupted>() => {
                self.failed(self.record.bench.clone(), &error);
            }
            _ => {}
        }
    }

    /// 0; 1 when something could not be measured; 130 when the run was asked to end early.
    pub fn exit_code(&self) -> ExitCode {
        match (self.record.interrupted, self.record.failed.is_empty()) {
            (true, _) => ExitCode::from(interrupt::EXIT_CODE),
            (false, false) => ExitCode::FAILURE,
            (false, true) => ExitCode::SUCCESS,
        }
    }

    /// Adds a figure without a goal.
    pub fn figure(&mut self, name: impl Into<String>, value: impl Into<Spread>, raw_rtt_ns: f64) {
        self.figure_toward(name, value, raw_rtt_ns, None);
    }

    /// Adds a figure with a goal.
    pub fn goal(
        &mut self,
        name: impl Into<String>,
        value: impl Into<Spread>,
        raw_rtt_ns: f64,
        goal: Goal,
    ) {
        self.figure_toward(name, value, raw_rtt_ns, Some(goal));
    }

    /// Adds a figure with the goal that it may have.
    pub fn figure_toward(
        &mut self,
        name: impl Into<String>,
        value: impl Into<Spread>,
        raw_rtt_ns: f64,
        goal: Option<Goal>,
    ) {
        let spread = value.into();
        let raw_rtt_ns = spread.classes().first().map_or(raw_rtt_ns, |class| class.probe[0]);
        let figure = Figure {
            name: name.into(),
            value: finite(spread.median()),
            rounds: spread.values().iter().map(|&value| finite(value)).collect(),
            raw_rtt_ns: finite(raw_rtt_ns),
            goal,
            classes: spread.classes().to_vec(),
        };
        self.record.figures.push(figure);
    }

    /// Adds recorded latencies: they become a series of the record, with files of their own.
    ///
    /// # Panics
    /// When there is a track of that name, or files cannot be named so.
    pub fn track(&mut self, track: Track) {
        let named = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        assert!(track.name.chars().all(named), "{:?} names no file", track.name);
        let taken = self.tracks.iter().any(|other| other.name == track.name);
        assert!(!taken, "there are two tracks named {}", track.name);
        self.record.series.push(track.series());
        self.tracks.push(track);
    }

    /// Adds something that only the JSON line shows.
    pub fn detail(&mut self, name: impl Into<String>, value: Value) {
        self.details.insert(name.into(), value);
    }

    /// Adds a setting of the run, such as a rate.
    pub fn configure(&mut self, name: impl Into<String>, value: Value) {
        self.record.configuration.insert(name.into(), value);
    }

    /// Adds a contender's proof of work.
    pub fn checksum(&mut self, name: impl Into<String>, checksum: u64) {
        self.record.checksums.insert(name.into(), json!(format!("{checksum:016x}")));
    }

    /// Adds a sentence on how to read the figures.
    pub fn note(&mut self, note: &str) {
        self.record.notes.push(note.into());
    }

    /// The value of a figure, when it was measured.
    #[cfg(test)]
    pub fn value(&self, name: &str) -> Option<f64> {
        let figure = self.record.figures.iter().find(|figure| figure.name == name);
        figure.map(|figure| figure.value.unwrap_or(f64::NAN))
    }

    /// One object: the record, and each figure as a field of its own with raw round trips and
    /// goals beside.
    pub fn json(&self) -> Value {
        let mut object = match serde_json::to_value(&self.record) {
            Ok(Value::Object(object)) => object,
            other => unreachable!("a record is an object, not {other:?}"),
        };
        let mut raw = Map::new();
        let mut goals = Map::new();
        for figure in &self.record.figures {
            object.insert(figure.name.clone(), json!(figure.value.map(rounded)));
            raw.insert(figure.name.clone(), json!(figure.raw_rtt_ns.map(rounded)));
            if let Some(goal) = figure.goal {
                let verdict = json!({ "goal": goal.to_string(), "met": figure.is_met() });
                goals.insert(figure.name.clone(), verdict);
            }
        }
        object.insert("raw_rtt_ns".into(), Value::Object(raw));
        object.insert("goals".into(), Value::Object(goals));
        object.insert("details".into(), Value::Object(self.details.clone()));
        Value::Object(object)
    }

    /// The same as lines of text.
    pub fn table(&self) -> String {
        let record = &self.record;
        let priority = if record.fifo { "SCHED_FIFO" } else { "normal priority (not FIFO)" };
        let mut text = format!(
            "{}: {} rounds of {} ms slices or pairs of {} ms windows, CPUs {:?}, {priority}, \
             profile {}\n",
            record.bench,
            record.rounds,
            record.slice_ms,
            self.scale.window.as_millis(),
            record.cpus,
            record.profile.as_deref().unwrap_or("unknown"),
        );
        text += &format!(
            "{:<44} {:>14} {:>12} {:>14}  {}\n",
            "figure", "value", "goal", "raw RTT ns", "95 % interval, pairs"
        );
        for figure in &record.figures {
            text += &table_row(figure, self.scale.pairs_min);
        }
        record.notes.iter().for_each(|note| text += &format!("- {note}\n"));
        for (what, why) in &record.failed {
            text += &format!("failed: {what}: {}\n", why.as_str().unwrap_or_default());
        }
        if record.interrupted {
            text += &format!("{Interrupted}\n");
        }
        text
    }
}

fn table_row(figure: &Figure, pairs_min: usize) -> String {
    let goal = figure.goal.map(|goal| goal.to_string()).unwrap_or_default();
    format!(
        "{:<44} {:>14} {goal:>12} {:>14}{}{}\n",
        figure.name,
        shown(figure.value),
        shown(figure.raw_rtt_ns),
        figure.classes.first().map(|class| sureness(class, figure, pairs_min)).unwrap_or_default(),
        verdict(figure),
    )
}

fn verdict(figure: &Figure) -> &'static str {
    match (figure.goal, figure.value) {
        (Some(_), None) => "  not measured",
        (Some(_), Some(_)) if figure.is_met() => "  met",
        (Some(_), Some(_)) => "  missed",
        (None, _) => "",
    }
}

/// Interval and number of pairs of the class that stands for the figure, and how many others
/// there are.
fn sureness(class: &Class, figure: &Figure, pairs_min: usize) -> String {
    let (low, high) = (shown(class.low), shown(class.high));
    let (pairs, classes) = (class.pairs, figure.classes.len());
    let few = if pairs < pairs_min { format!(" (below {pairs_min})") } else { String::new() };
    let setups = class.setups;
    format!("  [{low}, {high}] {pairs} pairs{few}, {setups} set-ups, {classes} classes")
}

/// As people read it; what was not measured is a dash.
fn shown(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| rounded(value).to_string())
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
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
        assert_eq!(json["profile"], host::profile());
        assert!(report.table().contains(&format!("profile {}\n", host::profile())));
    }

    #[test]
    fn the_object_is_a_record_too() {
        let mut report = Report::new("hop", Place::toy(), Scale::toy());
        report.figure("nothing", f64::NAN, 0.0);
        let record: RunRecord = serde_json::from_value(report.json()).unwrap();
        assert_eq!((record.figures[0].value, record.figures[0].rounds.len()), (None, 1));
    }

    #[test]
    fn what_is_reported_is_where_it_happened() {
        let mut report = Report::new("load", Place::toy(), Scale::toy());
        report.relocate(Place { left: 0, right: 7, fifo: true });
        let json = report.json();
        assert_eq!((&json["cpus"], &json["fifo"]), (&json!([0, 7]), &json!(true)));
    }

    #[test]
    fn the_table_says_whether_goals_are_met() {
        let mut report = Report::new("hop", Place::toy(), Scale::toy());
        report.goal("good", 2.0, 1.0, Goal::AtLeast(1.0));
        report.goal("bad", 0.5, 1.0, Goal::AtLeast(1.0));
        report.goal("none", f64::NAN, 1.0, Goal::AtLeast(1.0));
        report.goal("same", 0.98, 1.0, Goal::OneWithin(0.03));
        let table = report.table();
        let verdicts = [("good", "met"), ("bad", "missed"), ("none", "not measured")];
        for (name, verdict) in verdicts.into_iter().chain([("same", "met")]) {
            let line = table.lines().find(|line| line.starts_with(name)).unwrap();
            assert!(line.ends_with(&format!("  {verdict}")), "{line}");
        }
    }
}
