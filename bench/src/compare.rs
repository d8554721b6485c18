//! `compare`: two commits, two programs or two recorded runs, as ratios with confidence intervals.
//!
//! Owns the judgement and its exit code. Promises: two programs are alternated A B A B on this
//! host; a regression is reported only when its whole interval is worse than the tolerance, and the
//! risk of being wrong is shared by all figures that are judged. Must never: compare different
//! hosts without saying so.

mod classes;
mod request;
mod side;
mod statistics;
mod verdict;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use serde_json::{Map, Value, json};

pub use self::request::CompareOptions;

use self::classes::common;
use self::side::{Side, Yard};
use self::verdict::{Judged, Rounds, judge};
use crate::answer::answer;
use crate::interrupt;
use crate::page::words::line;
use crate::progress::Progress;
use crate::results::{self, Figure, Goal, RunRecord};

/// Compares, prints the judgement and returns its exit code.
pub fn compare(request: &CompareOptions, scale: &[&str], as_json: bool) -> ExitCode {
    match attempt(request, scale) {
        Ok(comparison) => {
            let text = if as_json { comparison.json().to_string() } else { comparison.table() };
            print_judgement(&line(text.trim_end()))
                .unwrap_or_else(|| ExitCode::from(comparison.exit_code()))
        }
        Err(error) => {
            eprintln!("{}", line(&format!("cannot compare: {error:#}")));
            if as_json {
                let error = json!({ "error": format!("{error:#}"), "exit_code": 2 });
                return print_judgement(&error.to_string()).unwrap_or_else(|| ExitCode::from(2));
            }
            ExitCode::from(2)
        }
    }
}

/// Writes the judgement; the exit code is that of no comparison if it cannot be written.
fn print_judgement(text: &str) -> Option<ExitCode> {
    let error = answer(text).err()?;
    eprintln!("error: {error:#}");
    Some(ExitCode::from(2))
}

/// Two sides and what came of them.
#[derive(Debug)]
struct Comparison {
    a: String,
    b: String,
    how: String,
    /// What a reader has to know: different hosts, not alternated.
    doubts: Vec<String>,
    judged: Vec<Judged>,
    tolerance: f64,
}

fn attempt(request: &CompareOptions, scale: &[&str]) -> Result<Comparison> {
    ensure!(request.tolerance >= 0.0, "a tolerance is at least 0 percent");
    let is_results = |name: &String| name.ends_with(".jsonl");
    match [&request.a, &request.b].map(is_results) {
        [true, true] => of_results(request),
        [false, false] => of_programs(request, scale),
        _ => bail!("one side is a results file and the other is not"),
    }
}

fn of_results(request: &CompareOptions) -> Result<Comparison> {
    let (a, b) = two_records(request)?;
    let doubts = doubts(&a, &b);
    if let Some(doubt) = doubts.first().filter(|_| !request.force) {
        bail!("{doubt} (--force compares all the same)");
    }
    let named = |record: &RunRecord| {
        let commit = record.commit.as_deref().unwrap_or("unknown commit");
        format!("{} {commit} {}", record.bench, record.time)
    };
    let mut doubts = doubts;
    doubts.push("not alternated: what else changed between the two runs is in the ratios".into());
    let rounds = |figures: &[Figure]| figures.iter().map(|it| it.rounds.len()).max().unwrap_or(0);
    let how = format!(
        "rounds of two recorded runs ({} and {}), \
         intervals of Hodges-Lehmann estimates by rank sums",
        rounds(&a.figures),
        rounds(&b.figures)
    );
    let judged = judge(request, &a.figures, &b.figures, Rounds::Apart);
    finish(request, [named(&a), named(&b)], how, doubts, judged)
}

fn two_records(request: &CompareOptions) -> Result<(RunRecord, RunRecord)> {
    let read = |name: &str| {
        let (records, broken) = results::read(Path::new(name))?;
        broken.iter().for_each(|broken| eprintln!("{}", line(broken)));
        Ok::<_, anyhow::Error>(records)
    };
    let mut after = read(&request.b)?;
    let b = after.pop().expect("a file that is read has a record");
    let before = if request.a == request.b { after.pop() } else { read(&request.a)?.pop() };
    match before {
        Some(a) => Ok((a, b)),
        None => bail!("{} has one run only: there is nothing to compare it with", request.a),
    }
}

/// Why two records should not be compared.
fn doubts(a: &RunRecord, b: &RunRecord) -> Vec<String> {
    let mut doubts = Vec::new();
    let host = |record: &RunRecord| record.host.get("id").cloned().unwrap_or(Value::Null);
    if host(a) != host(b) || host(a).is_null() {
        doubts.push(format!("DIFFERENT HOSTS: {} and {}", host(a), host(b)));
    }
    if a.bench != b.bench {
        doubts.push(format!("different benchmarks: {} and {}", a.bench, b.bench));
    }
    let setting = |record: &RunRecord| {
        let RunRecord { profile, cpus, fifo, scale, slice_ms, configuration, .. } = record;
        json!({ "profile": profile, "cpus": cpus, "fifo": fifo, "scale": scale,
                "slice_ms": slice_ms, "configuration": configuration })
    };
    if setting(a) != setting(b) {
        doubts.push(format!("different settings: {} and {}", setting(a), setting(b)));
    }
    doubts
}

fn of_programs(request: &CompareOptions, scale: &[&str]) -> Result<Comparison> {
    interrupt::listen()?;
    let yard = Yard::new()?;
    let side = |name: &str, letter| match Path::new(name).is_file() {
        true => Side::program(name),
        false => Side::commit(name, letter, request, &yard),
    };
    let (a, b) = (side(&request.a, "a")?, side(&request.b, "b")?);
    drop(yard);
    let mut rounds = [Vec::new(), Vec::new()];
    let progress = Progress::new(&format!("compare {}", request.bench), 2 * request.pairs as usize);
    for pair in 1..=request.pairs {
        for (side, rounds) in [&a, &b].into_iter().zip(&mut rounds) {
            interrupt::check()?;
            progress.begin(format_args!("pair {pair} of {}: {}", request.pairs, side.name));
            rounds.push(figures(&side.measure(request, scale)?));
            progress.end();
        }
    }
    drop(progress);
    let [mut before, mut after] = rounds;
    before.iter_mut().zip(&mut after).for_each(|(a, b)| match_classes(a, b));
    let (before, after) = (joined(before), joined(after));
    let how = format!(
        "{} pairs of {} on this host, alternated A B A B, \
         intervals of Hodges-Lehmann estimates by signed ranks",
        request.pairs, request.bench
    );
    let judged = judge(request, &before, &after, Rounds::Paired);
    finish(request, [a.name, b.name], how, Vec::new(), judged)
}

fn finish(
    request: &CompareOptions,
    [a, b]: [String; 2],
    how: String,
    doubts: Vec<String>,
    judged: Result<Vec<Judged>>,
) -> Result<Comparison> {
    Ok(Comparison { a, b, how, doubts, judged: judged?, tolerance: request.tolerance })
}

/// Lets the figures of two runs that follow each other stand for the class that both have. Without
/// one, the pair has no value.
fn match_classes(before: &mut [Figure], after: &mut [Figure]) {
    for a in before {
        let Some(b) = after.iter_mut().find(|b| b.name == a.name) else { continue };
        if a.classes.is_empty() || b.classes.is_empty() {
            continue;
        }
        let values = common(a, b).map(|(in_a, in_b)| (in_a.value, in_b.value));
        (a.value, b.value) = values.unzip();
        (a.rounds, b.rounds) = (vec![a.value], vec![b.value]);
    }
}

/// The figures in an object that a benchmark printed, also one that keeps no records.
fn figures(object: &Map<String, Value>) -> Vec<Figure> {
    let raw = object.get("raw_rtt_ns").and_then(Value::as_object);
    let names = raw.into_iter().flatten();
    let records = object.get("figures").cloned().map(serde_json::from_value::<Vec<Figure>>);
    let records = records.and_then(Result::ok).unwrap_or_default();
    let classes = |name: &str| {
        let record = records.iter().find(|record| record.name == name);
        record.map(|record| record.classes.clone()).unwrap_or_default()
    };
    let figure = |(name, raw): (&String, &Value)| Figure {
        name: name.clone(),
        value: object.get(name).and_then(Value::as_f64),
        rounds: vec![object.get(name).and_then(Value::as_f64)],
        raw_rtt_ns: raw.as_f64(),
        goal: object.get("goals").and_then(|goals| goal(goals[name]["goal"].as_str()?)),
        classes: classes(name),
    };
    names.map(figure).collect()
}

/// A goal as it is printed.
fn goal(text: &str) -> Option<Goal> {
    let bar = |text: &str| text.trim().parse().ok();
    let read =
        |start: &str, goal: fn(f64) -> Goal| text.strip_prefix(start).and_then(bar).map(goal);
    let goal = read("<=", Goal::AtMost).or_else(|| read(">=", Goal::AtLeast));
    goal.or_else(|| read("1 +-", Goal::OneWithin))
}

/// The figures of several runs of one round each, as rounds of one run.
fn joined(runs: Vec<Vec<Figure>>) -> Vec<Figure> {
    let mut runs = runs.into_iter();
    let mut all = runs.next().unwrap_or_default();
    for run in runs {
        for figure in &mut all {
            let same = run.iter().find(|other| other.name == figure.name);
            figure.rounds.push(same.and_then(|same| same.value));
        }
    }
    all
}

impl Comparison {
    fn exit_code(&self) -> u8 {
        u8::from(self.judged.iter().any(Judged::is_regression))
    }

    fn json(&self) -> Value {
        json!({
            "a": self.a, "b": self.b, "how": self.how, "doubts": self.doubts,
            "tolerance_percent": self.tolerance,
            "figures": self.judged.iter().map(Judged::json).collect::<Vec<_>>(),
            "exit_code": self.exit_code(),
        })
    }

    fn table(&self) -> String {
        let mut text = format!("A: {}\nB: {}\n{}\n", self.a, self.b, self.how);
        self.doubts.iter().for_each(|doubt| text += &format!("{doubt}\n"));
        text += &format!("\n{:<40} {:>9}  {:^19}  verdict\n", "figure", "B / A", "interval");
        self.judged.iter().for_each(|judged| text += &judged.row());
        let regressions = self.judged.iter().filter(|judged| judged.is_regression()).count();
        let tolerance = self.tolerance;
        text + &match regressions {
            0 => format!("\nno regression of more than {tolerance} %\n"),
            count => format!("\n{count} figures are worse by more than {tolerance} %\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_read_as_they_are_printed() {
        for printed in [Goal::AtMost(1.15), Goal::AtLeast(20e6), Goal::OneWithin(0.03)] {
            assert_eq!(goal(&printed.to_string()), Some(printed));
        }
        assert_eq!(goal("soon"), None);
    }

    #[test]
    fn a_program_without_records_has_figures() {
        let object = json!({ "hop_ns": 70.5, "raw_rtt_ns": { "hop_ns": 60.0, "gone": 1.0 },
                             "goals": { "hop_ns": { "goal": "<= 80", "met": true } } });
        let found = figures(object.as_object().unwrap());
        let hop = found.iter().find(|figure| figure.name == "hop_ns").unwrap();
        assert_eq!((hop.value, hop.goal), (Some(70.5), Some(Goal::AtMost(80.0))));
        assert!(found.iter().any(|figure| figure.value.is_none()));
    }

    #[test]
    fn two_runs_of_a_pair_stand_for_the_class_that_both_have() {
        let run = |classes: &[(f64, f64)]| {
            let class = |(probe, value): &(f64, f64)| {
                let class = json!({ "probe": [probe], "pairs": 5, "low": null, "high": null });
                let mut class = class.as_object().unwrap().clone();
                class.insert("value".into(), json!(value));
                Value::Object(class)
            };
            let classes: Vec<Value> = classes.iter().map(class).collect();
            let record = json!({ "name": "hop_ns", "value": 1.0, "rounds": [1.0],
                                 "raw_rtt_ns": 60.0, "goal": null, "classes": classes });
            let object = json!({ "hop_ns": 1.0, "raw_rtt_ns": { "hop_ns": 60.0 },
                                 "figures": [record] });
            figures(object.as_object().unwrap())
        };
        let (mut a, mut b) = (run(&[(100.0, 1.0), (400.0, 4.0)]), run(&[(410.0, 5.0)]));
        match_classes(&mut a, &mut b);
        assert_eq!((a[0].value, b[0].value), (Some(4.0), Some(5.0)));
        let (mut a, mut b) = (run(&[(100.0, 1.0)]), run(&[(410.0, 5.0)]));
        match_classes(&mut a, &mut b);
        assert_eq!((a[0].value, b[0].value), (None, None));
    }
}
