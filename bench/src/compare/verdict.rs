//! What is said of a figure: better, worse, or that it cannot be said.

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use super::classes::common;
use super::request::CompareOptions;
use super::statistics::{Ratio, Undecided, of_pairs, of_samples};
use crate::results::{Class, Figure, Goal};

/// How the rounds of the two sides belong together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rounds {
    /// The n-th of one side ran right before the n-th of the other.
    Paired,
    /// They are of different runs.
    Apart,
}

/// A figure of both sides.
#[derive(Debug)]
pub struct Judged {
    name: String,
    ratio: Result<Ratio, Undecided>,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Worse,
    Better,
    /// Neither is certain.
    Same,
    /// It decides nothing: no goal says which way is good.
    Shown,
}

/// Compares all figures that both sides have, in the order of the second one.
///
/// # Errors
/// No figure can be judged, or there are too few rounds to judge any.
pub fn judge(
    request: &CompareOptions,
    before: &[Figure],
    after: &[Figure],
    rounds: Rounds,
) -> Result<Vec<Judged>> {
    let pairs: Vec<(&Figure, &Figure)> = after
        .iter()
        .filter_map(|b| before.iter().find(|a| a.name == b.name).map(|a| (a, b)))
        .collect();
    if let Some(name) = request.judge.iter().find(|it| !pairs.iter().any(|(_, b)| b.name == **it)) {
        bail!("there is no figure {name} on both sides");
    }
    let is_judged = |figure: &Figure| match request.judge.is_empty() {
        true => matches!(figure.goal, Some(Goal::AtMost(_) | Goal::AtLeast(_))),
        false => request.judge.contains(&figure.name),
    };
    let count = pairs.iter().filter(|(_, figure)| is_judged(figure)).count();
    ensure!(count > 0, "no figure with a goal is on both sides: name one with --judge");
    // The more figures are judged, the surer each of them has to be (Bonferroni).
    let risk = RISK / count as f64;
    let mut judged = Vec::new();
    for (a, b) in pairs {
        let ratio = match rounds {
            Rounds::Paired => of_pairs(&a.rounds, &b.rounds, risk),
            Rounds::Apart => of_runs(a, b, risk),
        };
        let verdict = if is_judged(b) { verdict(b, ratio, request)? } else { Verdict::Shown };
        judged.push(Judged { name: b.name.clone(), ratio, verdict });
    }
    let undecided = |judged: &&Judged| judged.verdict != Verdict::Shown && judged.ratio.is_err();
    if judged.iter().filter(undecided).count() == count {
        let is = |why| judged.iter().any(|judged| judged.ratio == Err(why));
        if is(Undecided::TooMany) {
            bail!("there are too many rounds to judge {count} figures: record fewer (--rounds)");
        }
        if is(Undecided::Classes) {
            bail!("{NO_CLASS}: record again, or longer");
        }
        match is(Undecided::TooFew) {
            true => bail!("there are too few rounds to judge {count} figures: {MORE}"),
            false => bail!("no figure that is judged has values on both sides"),
        }
    }
    Ok(judged)
}

/// Of two recorded runs: in the class that both have, where there are classes.
fn of_runs(a: &Figure, b: &Figure, risk: f64) -> Result<Ratio, Undecided> {
    if a.classes.is_empty() || b.classes.is_empty() {
        return of_samples(&a.rounds, &b.rounds, risk);
    }
    let (in_a, in_b) = common(a, b).ok_or(Undecided::Classes)?;
    of_samples(&values(a, in_a), &values(b, in_b), risk)
}

/// Older records have the values of the first class only.
fn values(figure: &Figure, class: &Class) -> Vec<Option<f64>> {
    match (class.values.is_empty(), figure.classes.first()) {
        (true, Some(first)) if first == class => figure.rounds.clone(),
        (true, _) => vec![Some(class.value)],
        _ => class.values.iter().copied().map(Some).collect(),
    }
}

fn verdict(
    figure: &Figure,
    ratio: Result<Ratio, Undecided>,
    request: &CompareOptions,
) -> Result<Verdict> {
    let less_is_good = match figure.goal {
        Some(Goal::AtMost(_)) => true,
        Some(Goal::AtLeast(_)) => false,
        Some(Goal::OneWithin(_)) => bail!("{} proves the method: no side is better", figure.name),
        None => less_is_good(&figure.name)?,
    };
    let Ok(Ratio { low, high, .. }) = ratio else { return Ok(Verdict::Same) };
    // The same distance on both sides of 1, as ratios have it.
    let bar = 1.0 + request.tolerance / 100.0;
    Ok(match (low > bar, high < 1.0 / bar) {
        (true, _) if less_is_good => Verdict::Worse,
        (_, true) if !less_is_good => Verdict::Worse,
        (false, false) => Verdict::Same,
        _ => Verdict::Better,
    })
}

/// Which way is good, where no goal says it: names end with their unit.
fn less_is_good(name: &str) -> Result<bool> {
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    match (has(&["per_second", "throughput"]), has(&["_ns", "_us", "_ms", "bytes", "p50", "p99"])) {
        (true, _) => Ok(false),
        (_, true) => Ok(true),
        _ => bail!("{name} has no goal, and its name does not say which way is good"),
    }
}

impl Judged {
    /// Whether the figure makes the comparison fail.
    pub fn is_regression(&self) -> bool {
        self.verdict == Verdict::Worse
    }

    /// One row of the table.
    pub fn row(&self) -> String {
        let (ratio, interval) = match self.ratio {
            Ok(Ratio { ratio, low, high }) => {
                (format!("{ratio:.3}"), format!("{low:.3} to {high:.3}"))
            }
            Err(Undecided::Values) => ("-".into(), "no values".into()),
            Err(Undecided::Classes) => ("-".into(), "no common class".into()),
            Err(Undecided::TooFew) => ("-".into(), "too few rounds".into()),
            Err(Undecided::TooMany) => ("-".into(), "too many rounds".into()),
        };
        format!("{:<40} {ratio:>9}  {interval:^19}  {}\n", self.name, self.word())
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let ratio = self.ratio.ok();
        json!({
            "name": self.name,
            "ratio": ratio.map(|it| it.ratio),
            "low": ratio.map(|it| it.low),
            "high": ratio.map(|it| it.high),
            "verdict": self.word(),
        })
    }

    fn word(&self) -> &'static str {
        match self.verdict {
            Verdict::Shown => "",
            _ if self.ratio.is_err() => "undecided",
            Verdict::Worse => "WORSE",
            Verdict::Better => "better",
            Verdict::Same => "no difference is certain",
        }
    }
}

/// The risk that a difference is reported between two sides that do not differ, over all figures.
const RISK: f64 = 0.05;
const NO_CLASS: &str = "the two sides have no class in common: the CPUs were in other states";
const MORE: &str = "run more (--pairs, --rounds), or judge fewer (--judge)";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        request: CompareOptions,
    }

    fn request(more: &[&str]) -> CompareOptions {
        Line::parse_from(["compare", "a", "b"].iter().chain(more)).request
    }

    fn figure(name: &str, goal: Option<Goal>, value: f64) -> Figure {
        let rounds = (0..12).map(|round| Some(value * (1.0 + f64::from(round % 3) / 1000.0)));
        Figure {
            name: name.into(),
            value: Some(value),
            rounds: rounds.collect(),
            raw_rtt_ns: None,
            goal,
            classes: Vec::new(),
        }
    }

    #[track_caller]
    fn check(goal: Option<Goal>, before: f64, after: f64, expected: &str, more: &[&str]) {
        let (a, b) = ([figure("hop_ns", goal, before)], [figure("hop_ns", goal, after)]);
        for rounds in [Rounds::Paired, Rounds::Apart] {
            let judged = judge(&request(more), &a, &b, rounds).unwrap();
            assert_eq!(judged[0].word(), expected, "{rounds:?}");
            assert_eq!(judged[0].is_regression(), expected == "WORSE");
        }
    }

    #[test]
    fn the_goal_says_which_way_is_good() {
        check(Some(Goal::AtMost(1.0)), 100.0, 110.0, "WORSE", &[]);
        check(Some(Goal::AtLeast(1.0)), 100.0, 110.0, "better", &[]);
        check(Some(Goal::AtLeast(1.0)), 100.0, 90.0, "WORSE", &[]);
        check(None, 100.0, 110.0, "WORSE", &["--judge", "hop_ns"]);
    }

    #[test]
    fn a_difference_within_the_tolerance_is_none() {
        check(Some(Goal::AtMost(1.0)), 100.0, 101.5, "no difference is certain", &[]);
        check(Some(Goal::AtMost(1.0)), 100.0, 101.5, "WORSE", &["--tolerance", "1"]);
    }

    #[test]
    fn what_cannot_be_judged_is_refused() {
        let goal = Some(Goal::AtMost(1.0));
        let refusal = |more: &[&str], figure: Figure| {
            let figures = [figure];
            let judged = judge(&request(more), &figures, &figures, Rounds::Paired);
            judged.expect_err("it cannot be judged").to_string()
        };
        assert!(refusal(&[], figure("hop_ns", None, 1.0)).contains("no figure with a goal"));
        let few = Figure { rounds: vec![Some(1.0); 3], ..figure("hop_ns", goal, 1.0) };
        assert!(refusal(&[], few).contains("too few rounds"));
        assert!(refusal(&[], figure("hop_ns", goal, 0.0)).contains("has values on both sides"));
        let other = figure("hop_ns", goal, 1.0);
        assert!(refusal(&["--judge", "nothing"], other).contains("no figure nothing"));
    }

    #[test]
    fn recorded_runs_are_compared_in_the_class_that_both_have() {
        let class = |probe: f64, value: f64| Class {
            probe: vec![probe],
            pairs: 12,
            setups: 2,
            value,
            low: None,
            high: None,
            values: (0..12).map(|round| value * (1.0 + f64::from(round % 3) / 1000.0)).collect(),
        };
        let goal = Some(Goal::AtMost(1.0));
        let of = |classes: &[Class], value: f64| Figure {
            classes: classes.to_vec(),
            ..figure("hop_ns", goal, value)
        };
        // Near first in one run, far first in the other: within a class nothing has changed.
        let a = [of(&[class(100.0, 1.0), class(400.0, 4.0)], 1.0)];
        let b = [of(&[class(400.0, 4.0), class(100.0, 1.0)], 4.0)];
        let judged = judge(&request(&[]), &a, &b, Rounds::Apart).unwrap();
        assert!((judged[0].ratio.unwrap().ratio - 1.0).abs() < 0.01);
        let far = [of(&[class(400.0, 4.0)], 4.0)];
        let near = [of(&[class(100.0, 1.0)], 1.0)];
        let refused = judge(&request(&[]), &near, &far, Rounds::Apart).unwrap_err().to_string();
        assert!(refused.contains("no class in common"), "{refused}");
    }

    #[test]
    fn a_figure_that_proves_the_method_is_not_judged() {
        let itself = figure("over_itself", Some(Goal::OneWithin(0.03)), 1.0);
        let figures = [figure("hop_ns", Some(Goal::AtMost(1.0)), 1.0), itself];
        let judged = judge(&request(&[]), &figures, &figures, Rounds::Paired).unwrap();
        assert_eq!(judged[1].word(), "");
    }
}
