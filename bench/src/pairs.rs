//! Contenders in short windows, each between two probes of the same CPUs.
//!
//! A virtual machine moves its CPUs: near and far, full and half speed follow each other within
//! seconds, so two long slices are measured on two machines. Here contenders are measured in
//! windows of some tens of milliseconds, in turns. Every other round is in reverse, so that none of
//! two contenders is always the first:
//!
//! ```text
//!   set-up · probe A probe · probe B probe · probe B probe · probe A probe · … · set-up · …
//!            └──────────── pair ─────────┘   └──────────── pair ─────────┘
//! ```
//!
//! Where the memory of a contender lies is luck that lasts as long as its set-up. So all of them
//! are ended and set up again, in another order, after a number of rounds (`setup_rounds`), unless
//! the windows since the last set-up took less time than that set-up: set-ups take half of the time
//! at most, the first one not counted.
//!
//! Two windows of one round make a pair if each number of their four probes agrees within the
//! spread of a class (15 %). Pairs whose probes agree form a class; a figure has one median and one
//! interval per class, and the class with most pairs stands for it. Windows follow each other until
//! each ratio has a class with enough pairs, or the series has had its share of the command's time.
//!
//! Must never: compare windows of two classes.

mod classes;
mod entrant;
mod paired;
pub mod probe;

pub use self::entrant::{Entrant, WindowRunner};
pub use self::paired::Paired;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use self::paired::Bracketed;
use crate::interrupt;
use crate::progress::Progress;
use crate::report::Report;

/// Reads the CPUs between two windows: numbers that tell one state of the machine from another.
pub type ProbeFn<'a> = &'a dyn Fn() -> Result<Vec<f64>>;

/// What is measured in one series.
pub struct Contest<'a> {
    /// Name in messages.
    pub what: &'a str,
    /// Reads the CPUs.
    pub probe: ProbeFn<'a>,
    /// Names of contenders whose ratios need enough pairs; none: each contender needs a number of
    /// windows ([`rounds`](crate::effort::Scale::rounds)).
    pub ratios: &'a [[&'a str; 2]],
    /// Its need of the command's time, as announced.
    pub need: f64,
}

/// Measures all contenders in turns until each of the ratios has a class with enough pairs or the
/// time is over.
///
/// A contender that fails is named in the report and takes no further part; the others go on.
///
/// # Errors
/// The run had been asked to end before the first window, or the probe failed.
pub fn alternate<T>(
    report: &mut Report,
    contest: &Contest<'_>,
    entrants: Vec<Entrant<'_, T>>,
) -> Result<Paired<T>> {
    interrupt::check()?;
    let (scale, end) = (report.scale(), report.budget().begin(contest.need));
    let progress = Progress::new(contest.what, scale.windows_max.unwrap_or(scale.pairs_min));
    report.keep_so_far(&progress);
    let mut field = Field::new(report, contest, progress, entrants);
    for round in 0.. {
        let late = Instant::now() >= end;
        let enough = match contest.ratios {
            [] => round >= scale.rounds,
            ratios => field.paired.is_enough(ratios, scale),
        };
        let over = scale.windows_max.map_or(late || enough, |most| round >= most);
        if interrupt::asked() || over && round > 0 {
            break;
        }
        field.set_up_when_due(end);
        if field.running.iter().all(Option::is_none) {
            break;
        }
        field.round(round)?;
    }
    field.finish();
    Ok(field.paired)
}

/// The order of contenders in a round, or at a set-up: another one first every second time, and
/// every other one in reverse.
fn order(round: usize, count: usize) -> impl Iterator<Item = usize> {
    let step = move |step| if round.is_multiple_of(2) { step } else { count - 1 - step };
    (0..count).map(move |number| (round / 2 + step(number)) % count)
}

/// The contenders under measurement.
struct Field<'a, 'r, T> {
    report: &'r mut Report,
    contest: &'r Contest<'r>,
    progress: Progress,
    entrants: Vec<Entrant<'a, T>>,
    /// By contender: whether it failed.
    failed: Vec<bool>,
    running: Vec<Option<Box<dyn WindowRunner<T> + 'a>>>,
    paired: Paired<T>,
    /// Number of set-ups so far.
    setups: usize,
    /// Rounds since the last set-up, and how long they took.
    rounds: usize,
    rounds_took: Duration,
    setup_took: Duration,
}

impl<'a, 'r, T> Field<'a, 'r, T> {
    fn new(
        report: &'r mut Report,
        contest: &'r Contest<'r>,
        progress: Progress,
        entrants: Vec<Entrant<'a, T>>,
    ) -> Self {
        let names: Vec<_> = entrants.iter().map(|entrant| entrant.name).collect();
        let laps = names.iter().map(|_| Vec::new()).collect();
        let spread_max = report.scale().class_spread_max;
        Self {
            report,
            contest,
            progress,
            failed: vec![false; names.len()],
            running: names.iter().map(|_| None).collect(),
            entrants,
            paired: Paired { names, laps, spread_max },
            setups: 0,
            rounds: 0,
            rounds_took: Duration::ZERO,
            setup_took: Duration::ZERO,
        }
    }

    /// Sets all contenders up, if they never were, or were for enough rounds and there is time.
    fn set_up_when_due(&mut self, end: Instant) {
        let scale = self.report.scale();
        let is_worth = self.rounds >= scale.setup_rounds && self.rounds_took >= self.setup_took;
        let is_time = scale.windows_max.is_some() || Instant::now() + self.setup_took < end;
        if self.setups > 0 && !(is_worth && is_time) {
            return;
        }
        let begun = Instant::now();
        self.finish();
        for index in order(self.setups, self.entrants.len()) {
            self.start(index);
        }
        (self.setups, self.rounds) = (self.setups + 1, 0);
        (self.setup_took, self.rounds_took) = (begun.elapsed(), Duration::ZERO);
    }

    fn start(&mut self, index: usize) {
        if self.failed[index] || interrupt::asked() {
            return;
        }
        let Entrant { name, start } = &mut self.entrants[index];
        self.progress.begin(format_args!("{name}: set-up {}", self.setups + 1));
        match start() {
            Ok(started) => self.running[index] = Some(started),
            Err(error) => self.fail(index, &error),
        }
    }

    /// One window of each.
    fn round(&mut self, round: usize) -> Result<()> {
        self.progress.begin(format_args!("round {}", round + 1));
        let (begun, rest) = (Instant::now(), self.report.scale().window_rest);
        for index in order(round, self.running.len()) {
            let Some(contender) = &mut self.running[index] else { continue };
            let before = (self.contest.probe)()?;
            let window = Instant::now();
            let outcome = contender.window();
            let took = window.elapsed();
            let after = (self.contest.probe)()?;
            match outcome {
                Ok(outcome) => {
                    let (probes, setup) = ([before, after], self.setups);
                    self.paired.laps[index].push(Bracketed { outcome, probes, setup });
                }
                Err(error) => self.fail(index, &error),
            }
            // Linux stops real-time threads that take more than 95 % of a second.
            thread::sleep(rest.max(took / REST_PART));
        }
        self.progress.end();
        self.rounds += 1;
        self.rounds_took += begun.elapsed();
        Ok(())
    }

    /// Ends all; a contender that cannot prove its work has no windows.
    fn finish(&mut self) {
        for index in 0..self.running.len() {
            let Some(contender) = self.running[index].take() else { continue };
            if let Err(error) = contender.finish() {
                self.fail(index, &error);
            }
        }
    }

    fn fail(&mut self, index: usize, error: &anyhow::Error) {
        let (what, name) = (self.contest.what, self.paired.names[index]);
        self.progress.warn(format_args!("{what}: {name} failed: {error:#}"));
        self.report.failed(format!("{what}: {name}"), error);
        self.running[index] = None;
        self.failed[index] = true;
        self.paired.laps[index].clear();
    }
}

/// The part of a window's length that nothing runs after it.
const REST_PART: u32 = 8;

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use anyhow::{anyhow, ensure};

    use super::*;
    use crate::effort::Scale;
    use crate::place::Place;

    fn scale(windows: usize) -> Scale {
        Scale { windows_max: Some(windows), class_spread_max: 1.15, ..Scale::toy() }
    }

    fn contest<'a>(probe: ProbeFn<'a>, ratios: &'a [[&'a str; 2]]) -> Contest<'a> {
        Contest { what: "w", probe, ratios, need: 1.0 }
    }

    const A_OVER_B: [[&str; 2]; 1] = [["a", "b"]];

    #[test]
    fn every_other_round_is_in_reverse_between_two_probes() {
        let order = RefCell::new(String::new());
        let note = |name: &'static str| {
            let order = &order;
            Entrant::of_window(name, move || {
                order.borrow_mut().push_str(name);
                Ok(order.borrow().len() as f64)
            })
        };
        let probe = || {
            order.borrow_mut().push('.');
            Ok(vec![1.0])
        };
        let mut report = Report::new("test", Place::toy(), scale(2));
        let entrants = vec![note("a"), note("b")];
        let paired = alternate(&mut report, &contest(&probe, &A_OVER_B), entrants).unwrap();
        assert_eq!(*order.borrow(), ".a..b..b..a.");
        assert_eq!(paired.median("a", |&at| at).values(), [2.0, 11.0]);
        assert_eq!(paired.ratio("b", "a", |&at| at).values(), [2.5, 8.0 / 11.0]);
    }

    #[test]
    fn each_of_two_contenders_is_first_as_often() {
        for count in 2..6 {
            for (one, other) in (0..count).flat_map(|it| (it + 1..count).map(move |to| (it, to))) {
                let is_first = |round: &usize| {
                    let order: Vec<_> = order(*round, count).collect();
                    let place = |of| order.iter().position(|it| *it == of);
                    place(one) < place(other)
                };
                assert_eq!((0..2 * count).filter(is_first).count(), count, "{one}, {other}");
            }
        }
    }

    struct Counted<'a>(&'a RefCell<String>);

    impl WindowRunner<f64> for Counted<'_> {
        fn window(&mut self) -> Result<f64> {
            self.0.borrow_mut().push('w');
            Ok(1.0)
        }

        fn finish(self: Box<Self>) -> Result<()> {
            self.0.borrow_mut().push(')');
            Ok(())
        }
    }

    #[test]
    fn contenders_are_set_up_again() {
        let log = RefCell::new(String::new());
        let entrant = Entrant::new("a", || {
            log.borrow_mut().push('(');
            // A round takes longer than a set-up.
            Ok(Counted(&log))
        });
        let scale = Scale { setup_rounds: 2, window_rest: Duration::from_millis(5), ..scale(5) };
        let mut report = Report::new("test", Place::toy(), scale);
        let probe = || Ok(vec![1.0]);
        let paired = alternate(&mut report, &contest(&probe, &[]), vec![entrant]).unwrap();
        assert_eq!(*log.borrow(), "(ww)(ww)(w)");
        assert_eq!(paired.median("a", |&value| value).classes()[0].setups, 3);
    }

    #[test]
    fn windows_of_two_classes_are_no_pair() {
        // Near for the first round, far from the middle of the second on.
        let probes = Cell::new(0);
        let probe = || {
            probes.set(probes.get() + 1);
            Ok(vec![if probes.get() <= 6 { 100.0 } else { 400.0 }])
        };
        let windows = || {
            let windows = ["a", "b"].map(|name| Entrant::of_window(name, || Ok(1.0)));
            windows.into_iter().collect()
        };
        let mut report = Report::new("test", Place::toy(), scale(4));
        let paired = alternate(&mut report, &contest(&probe, &A_OVER_B), windows()).unwrap();
        let ratio = paired.ratio("a", "b", |&value: &f64| value);
        let found: Vec<_> = ratio.classes().iter().map(|it| (it.probe[0], it.pairs)).collect();
        assert_eq!(found, [(400.0, 2), (100.0, 1)]);
        // Each window of the second round lies within a class: one near, one far.
        assert_eq!(paired.median("a", |&value| value).classes()[0].pairs, 3);
    }

    #[test]
    fn it_ends_when_there_are_enough_pairs() {
        let scale = Scale {
            pairs_min: 3,
            windows_max: None,
            command_max: Duration::from_secs(3600),
            ..Scale::toy()
        };
        let mut report = Report::new("test", Place::toy(), scale);
        let entrants =
            vec![Entrant::of_window("a", || Ok(1.0)), Entrant::of_window("b", || Ok(2.0))];
        let probe = || Ok(vec![1.0]);
        let paired = alternate(&mut report, &contest(&probe, &A_OVER_B), entrants).unwrap();
        assert_eq!(paired.ratio("a", "b", |&value| value).values(), [0.5; 3]);
    }

    struct Unproven;

    impl WindowRunner<f64> for Unproven {
        fn window(&mut self) -> Result<f64> {
            Ok(1.0)
        }

        fn finish(self: Box<Self>) -> Result<()> {
            Err(anyhow!("nothing was counted"))
        }
    }

    #[test]
    fn who_fails_or_proves_nothing_has_no_figure() {
        let windows = Cell::new(0);
        let broken = Entrant::of_window("broken", || {
            windows.set(windows.get() + 1);
            ensure!(windows.get() < 2, "no more paper");
            Ok(2.0)
        });
        let sound = Entrant::of_window("sound", || Ok(1.0));
        let unproven = Entrant::new("unproven", || Ok(Unproven));
        let absent = Entrant::new("absent", || Err::<Unproven, _>(anyhow!("no licence")));
        let mut report = Report::new("test", Place::toy(), scale(3));
        let entrants = vec![sound, broken, unproven, absent];
        let paired = alternate(&mut report, &contest(&|| Ok(vec![1.0]), &[]), entrants).unwrap();
        assert_eq!(paired.names(), ["sound"]);
        assert_eq!(paired.median("sound", |&value| value).values().len(), 3);
        assert!(paired.ratio("sound", "broken", |&value| value).median().is_nan());
        let failed = &report.json()["failed"];
        assert_eq!(failed["w: broken"], "no more paper");
        assert_eq!(failed["w: unproven"], "nothing was counted");
        assert_eq!(failed["w: absent"], "no licence");
    }
}
