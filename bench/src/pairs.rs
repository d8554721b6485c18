//! Contenders in short windows, each between two probes of the same CPUs.
//!
//! A virtual machine moves its CPUs: near and far, full and half speed follow each other within
//! seconds, so two long slices are measured on two machines. Here a contender is set up once and
//! then measured in windows of some tens of milliseconds, in turns with the others:
//!
//! ```text
//!   probe A probe · probe B probe · probe A probe · probe B probe · …
//!   └──────────── pair ─────────┘   └──────────── pair ─────────┘
//! ```
//!
//! Two windows of one round make a pair if each number of their four probes agrees within the
//! spread of a class (15 %). Pairs whose probes agree form a class; a figure has one median and one
//! interval per class, and the class with most pairs stands for it. Windows follow each other until
//! each ratio has a class with enough pairs, or the time is over.
//!
//! Must never: compare windows of two classes.

mod classes;
pub mod probe;

use std::thread;
use std::time::Instant;

use anyhow::Result;

use self::classes::{Measured, classes};
use crate::effort::Scale;
use crate::interrupt;
use crate::progress::Progress;
use crate::report::Report;
use crate::spread::Spread;
use crate::take::Take;

/// A contender that is set up. Between its windows it takes no CPU that something else wants.
pub trait Windows<T> {
    /// Measures one window.
    ///
    /// # Errors
    /// The contender failed, and takes no further part.
    fn window(&mut self) -> Result<T>;

    /// Ends the contender and proves that all of its windows did the work.
    ///
    /// # Errors
    /// They did not.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// A contender without anything to set up.
impl<T, F: FnMut() -> Result<T>> Windows<T> for F {
    fn window(&mut self) -> Result<T> {
        self()
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// Sets a contender up.
type Start<'a, T> = Box<dyn FnOnce() -> Result<Box<dyn Windows<T> + 'a>> + 'a>;

/// One way to do the work.
pub struct Entrant<'a, T> {
    name: &'static str,
    start: Start<'a, T>,
}

impl<'a, T: 'a> Entrant<'a, T> {
    /// A contender that is set up once.
    pub fn new<W: Windows<T> + 'a>(
        name: &'static str,
        start: impl FnOnce() -> Result<W> + 'a,
    ) -> Self {
        let start = move || start().map(|windows| Box::new(windows) as Box<dyn Windows<T> + 'a>);
        Self { name, start: Box::new(start) }
    }

    /// A contender that is set up and proves its work in each window.
    pub fn of_window(name: &'static str, window: impl FnMut() -> Result<T> + 'a) -> Self {
        Self::new(name, move || Ok(window))
    }
}

/// Reads the CPUs between two windows: numbers that tell one state of the machine from another.
pub type ProbeFn<'a> = &'a dyn Fn() -> Result<Vec<f64>>;

/// What one contender did in one window, and what the probes read before and after.
#[derive(Debug)]
struct Bracketed<T> {
    outcome: T,
    probes: [Vec<f64>; 2],
}

/// All windows of all contenders.
#[derive(Debug)]
pub struct Paired<T> {
    names: Vec<&'static str>,
    laps: Vec<Vec<Bracketed<T>>>,
    spread_max: f64,
}

/// Measures all contenders in turns, starting with a different one each round, until each of the
/// `ratios` has a class with enough pairs or the time is over.
///
/// A contender that fails is named in the report and takes no further part; the others go on.
///
/// # Errors
/// The run had been asked to end before the first window, or the probe failed.
pub fn alternate<T>(
    report: &mut Report,
    what: &str,
    probe: ProbeFn<'_>,
    ratios: &[[&str; 2]],
    entrants: Vec<Entrant<'_, T>>,
) -> Result<Paired<T>> {
    interrupt::check()?;
    let scale = report.scale();
    let progress = Progress::new(what, scale.windows_max.unwrap_or(scale.pairs_min));
    report.keep_so_far(&progress);
    let names: Vec<_> = entrants.iter().map(|entrant| entrant.name).collect();
    let laps = names.iter().map(|_| Vec::new()).collect();
    let mut paired = Paired { names, laps, spread_max: scale.class_spread_max };
    let mut field = Field { report, what, progress, running: Vec::new() };
    for entrant in entrants {
        let started = field.start(entrant);
        field.running.push(started);
    }
    let begin = Instant::now();
    for round in 0.. {
        let late = begin.elapsed() >= scale.series_max;
        let enough = match ratios {
            [] => round >= scale.rounds,
            ratios => paired.is_enough(ratios, scale),
        };
        let over = scale.windows_max.map_or(late || enough, |most| round >= most);
        if interrupt::asked() || field.running.iter().all(Option::is_none) || over && round > 0 {
            break;
        }
        field.round(round, probe, &mut paired)?;
    }
    field.finish(&mut paired);
    Ok(paired)
}

/// The contenders under measurement.
struct Field<'a, 'r, T> {
    report: &'r mut Report,
    what: &'r str,
    progress: Progress,
    running: Vec<Option<Box<dyn Windows<T> + 'a>>>,
}

impl<'a, T> Field<'a, '_, T> {
    fn start(&mut self, entrant: Entrant<'a, T>) -> Option<Box<dyn Windows<T> + 'a>> {
        if interrupt::asked() {
            return None;
        }
        self.progress.begin(format_args!("{}: set-up", entrant.name));
        (entrant.start)().map_err(|error| self.fail(entrant.name, &error)).ok()
    }

    /// One window of each.
    fn round(&mut self, round: usize, probe: ProbeFn<'_>, paired: &mut Paired<T>) -> Result<()> {
        self.progress.begin(format_args!("round {}", round + 1));
        let rest = self.report.scale().window_rest;
        for step in 0..self.running.len() {
            let index = (round + step) % self.running.len();
            let Some(contender) = &mut self.running[index] else { continue };
            let before = probe()?;
            let outcome = contender.window();
            let after = probe()?;
            match outcome {
                Ok(outcome) => {
                    paired.laps[index].push(Bracketed { outcome, probes: [before, after] });
                }
                Err(error) => {
                    self.fail(paired.names[index], &error);
                    self.running[index] = None;
                    paired.laps[index].clear();
                }
            }
            thread::sleep(rest);
        }
        self.progress.end();
        Ok(())
    }

    /// Ends all; who cannot prove its work has no windows.
    fn finish(mut self, paired: &mut Paired<T>) {
        for index in 0..self.running.len() {
            let Some(contender) = self.running[index].take() else { continue };
            if let Err(error) = contender.finish() {
                self.fail(paired.names[index], &error);
                paired.laps[index].clear();
            }
        }
    }

    fn fail(&mut self, name: &str, error: &anyhow::Error) {
        let Self { report, what, progress, .. } = self;
        progress.warn(format_args!("{what}: {name} failed: {error:#}"));
        report.failed(format!("{what}: {name}"), error);
    }
}

impl<T> Paired<T> {
    /// One contender's value, by class.
    ///
    /// # Panics
    /// When no contender has that name.
    pub fn median(&self, name: &str, value: impl Fn(&T) -> f64) -> Spread {
        self.spread(self.laps(name).iter().map(|lap| Measured {
            value: value(&lap.outcome),
            probes: lap.probes.iter().map(Vec::as_slice).collect(),
        }))
    }

    /// `value` of one contender divided by that of another, in pairs.
    ///
    /// # Panics
    /// When no contender has one of the names.
    pub fn ratio(&self, above: &str, below: &str, value: impl Fn(&T) -> f64) -> Spread {
        self.pairs([above, below], |above, below| value(above) / value(below))
    }

    /// `value` of one contender less that of another, in pairs.
    ///
    /// # Panics
    /// When no contender has one of the names.
    pub fn difference(&self, above: &str, below: &str, value: impl Fn(&T) -> f64) -> Spread {
        self.pairs([above, below], |above, below| value(above) - value(below))
    }

    /// Names of all contenders that have a window.
    pub fn names(&self) -> Vec<&'static str> {
        let laps = self.names.iter().zip(&self.laps);
        laps.filter(|(_, laps)| !laps.is_empty()).map(|(&name, _)| name).collect()
    }

    /// The outcome in the middle by `value`, for details beside a median.
    ///
    /// # Panics
    /// When the contender has no window: it is not among the [`names`](Self::names).
    pub fn typical(&self, name: &str, value: impl Fn(&T) -> f64) -> &T {
        let mut laps: Vec<_> = self.laps(name).iter().map(|lap| &lap.outcome).collect();
        laps.sort_by(|a, b| value(a).total_cmp(&value(b)));
        laps[laps.len() / 2]
    }

    /// What one contender recorded, in the order of time, whatever the class.
    ///
    /// # Panics
    /// When no contender has that name.
    pub fn takes<'a>(&'a self, name: &str, take: impl Fn(&'a T) -> &'a Take) -> Vec<Take> {
        self.laps(name).iter().map(|lap| take(&lap.outcome).clone()).collect()
    }

    fn pairs(&self, [above, below]: [&str; 2], value: impl Fn(&T, &T) -> f64) -> Spread {
        let pairs = self.laps(above).iter().zip(self.laps(below));
        self.spread(pairs.map(|(above, below)| Measured {
            value: value(&above.outcome, &below.outcome),
            probes: above.probes.iter().chain(&below.probes).map(Vec::as_slice).collect(),
        }))
    }

    fn spread<'p>(&self, measured: impl Iterator<Item = Measured<'p>>) -> Spread {
        Spread::of_classes(classes(measured, self.spread_max))
    }

    /// Whether each ratio whose contenders take part has a class with enough pairs.
    fn is_enough(&self, ratios: &[[&str; 2]], scale: Scale) -> bool {
        let alive = |names: &&[&str; 2]| names.iter().all(|name| !self.laps(name).is_empty());
        ratios
            .iter()
            .filter(alive)
            .all(|names| self.pairs(*names, |_, _| 1.0).values().len() >= scale.pairs_min)
    }

    fn laps(&self, name: &str) -> &[Bracketed<T>] {
        let index = self.names.iter().position(|&known| known == name);
        &self.laps[index.unwrap_or_else(|| panic!("no contender is named {name}"))]
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use anyhow::{anyhow, ensure};

    use super::*;
    use crate::place::Place;

    fn scale(windows: usize) -> Scale {
        Scale { windows_max: Some(windows), class_spread_max: 1.15, ..Scale::toy() }
    }

    #[test]
    fn each_round_starts_with_another_contender_between_two_probes() {
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
        let paired = alternate(&mut report, "order", &probe, &[["a", "b"]], entrants).unwrap();
        assert_eq!(*order.borrow(), ".a..b..b..a.");
        assert_eq!(paired.median("a", |&at| at).values(), [2.0, 11.0]);
        assert_eq!(paired.ratio("b", "a", |&at| at).values(), [2.5, 8.0 / 11.0]);
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
        let paired = alternate(&mut report, "classes", &probe, &[["a", "b"]], windows()).unwrap();
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
            series_max: std::time::Duration::from_secs(3600),
            ..Scale::toy()
        };
        let mut report = Report::new("test", Place::toy(), scale);
        let entrants =
            vec![Entrant::of_window("a", || Ok(1.0)), Entrant::of_window("b", || Ok(2.0))];
        let probe = || Ok(vec![1.0]);
        let paired = alternate(&mut report, "pairs", &probe, &[["a", "b"]], entrants).unwrap();
        assert_eq!(paired.ratio("a", "b", |&value| value).values(), [0.5; 3]);
    }

    struct Unproven;

    impl Windows<f64> for Unproven {
        fn window(&mut self) -> Result<f64> {
            Ok(1.0)
        }

        fn finish(self: Box<Self>) -> Result<()> {
            Err(anyhow!("nothing was counted"))
        }
    }

    #[test]
    fn who_fails_or_proves_nothing_has_no_figure() {
        let mut windows = 0;
        let broken = Entrant::of_window("broken", || {
            windows += 1;
            ensure!(windows < 2, "no more paper");
            Ok(2.0)
        });
        let sound = Entrant::of_window("sound", || Ok(1.0));
        let unproven = Entrant::new("unproven", || Ok(Unproven));
        let absent = Entrant::new("absent", || Err::<Unproven, _>(anyhow!("no licence")));
        let mut report = Report::new("test", Place::toy(), scale(3));
        let entrants = vec![sound, broken, unproven, absent];
        let paired = alternate(&mut report, "w", &|| Ok(vec![1.0]), &[], entrants).unwrap();
        assert_eq!(paired.names(), ["sound"]);
        assert_eq!(paired.median("sound", |&value| value).values().len(), 3);
        assert!(paired.ratio("sound", "broken", |&value| value).median().is_nan());
        let failed = &report.json()["failed"];
        assert_eq!(failed["w: broken"], "no more paper");
        assert_eq!(failed["w: unproven"], "nothing was counted");
        assert_eq!(failed["w: absent"], "no licence");
    }
}
