//! Contenders one after the other, in a different order each round.
//!
//! Promises: each contender runs once per round, a raw ping-pong runs just before each, and only
//! ratios *inside* a round are formed; the machine's mood changes between rounds. A contender that
//! fails takes only itself out of the run.
//!
//! For readings that stand alone; ratios between contenders come from [`pairs`](crate::pairs).

use std::thread;

use anyhow::Result;

use crate::effort::Scale;
use crate::interrupt;
use crate::pingpong;
use crate::place::Place;
use crate::progress::Progress;
use crate::report::Report;
use crate::spread::{Spread, median};

/// One way to do the work of a benchmark.
pub struct Contender<'a, T> {
    /// Name in reports.
    pub name: &'static str,
    /// Runs one slice.
    pub run: Box<dyn FnMut() -> Result<T> + 'a>,
}

impl<'a, T> Contender<'a, T> {
    /// A contender from a closure.
    pub fn new(name: &'static str, run: impl FnMut() -> Result<T> + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }
}

/// What one contender did in one round.
#[derive(Debug)]
struct Lap<T> {
    outcome: T,
    raw_rtt_ns: f64,
}

/// All laps of all contenders, in the order in which the contenders were given.
#[derive(Debug)]
pub struct Series<T> {
    names: Vec<&'static str>,
    laps: Vec<Vec<Lap<T>>>,
}

/// Runs all contenders in each round, starting with a different one each time.
///
/// A contender that fails is named in the report and takes no further part; the others go on.
/// Once the run has been asked to end, no further lap begins.
///
/// # Errors
/// The run had been asked to end before the first lap.
pub fn alternate<T>(
    report: &mut Report,
    what: &str,
    mut contenders: Vec<Contender<'_, T>>,
) -> Result<Series<T>> {
    interrupt::check()?;
    let (place, scale) = (report.place(), report.scale());
    let names: Vec<_> = contenders.iter().map(|contender| contender.name).collect();
    let mut series = Series { laps: names.iter().map(|_| Vec::new()).collect(), names };
    let mut failed = vec![false; contenders.len()];
    let progress = Progress::new(what, scale.rounds * contenders.len());
    report.keep_so_far(&progress);
    for (round, step) in steps(scale.rounds, contenders.len()) {
        let index = (round + step) % contenders.len();
        let name = series.names[index];
        if failed[index] || interrupt::asked() {
            continue;
        }
        progress.begin(format_args!("round {} of {}: {name}", round + 1, scale.rounds));
        match lap(place, scale, &mut contenders[index]) {
            Ok(lap) => series.laps[index].push(lap),
            Err(error) => {
                progress.warn(format_args!("{what}: {name} failed: {error:#}"));
                report.failed(format!("{what}: {name}"), &error);
                failed[index] = true;
            }
        }
        progress.end();
    }
    series.forget(&failed);
    Ok(series)
}

/// Round by round, all contenders.
fn steps(rounds: usize, contenders: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rounds).flat_map(move |round| (0..contenders).map(move |step| (round, step)))
}

fn lap<T>(place: Place, scale: Scale, contender: &mut Contender<'_, T>) -> Result<Lap<T>> {
    let raw_rtt_ns = pingpong::run(place, scale.raw_slice)?.quantile(0.5);
    let outcome = (contender.run)()?;
    thread::sleep(scale.rest);
    Ok(Lap { outcome, raw_rtt_ns })
}

impl<T> Series<T> {
    /// One contender's value.
    ///
    /// # Panics
    /// When no contender has that name.
    pub fn median(&self, name: &str, value: impl Fn(&T) -> f64) -> Spread {
        self.laps(name).iter().map(|lap| value(&lap.outcome)).collect()
    }

    /// `value` of one contender divided by that of another.
    ///
    /// # Panics
    /// When no contender has one of the names.
    pub fn ratio(&self, above: &str, below: &str, value: impl Fn(&T) -> f64) -> Spread {
        let pairs = self.laps(above).iter().zip(self.laps(below));
        pairs.map(|(a, b)| value(&a.outcome) / value(&b.outcome)).collect()
    }

    /// Median raw round trip before the slices of the named contenders, in nanoseconds.
    pub fn raw_rtt_ns(&self, names: &[&str]) -> f64 {
        let laps = names.iter().flat_map(|name| self.laps(name));
        median(laps.map(|lap| lap.raw_rtt_ns).collect())
    }

    /// Names of all contenders that have a lap.
    pub fn names(&self) -> Vec<&'static str> {
        let laps = self.names.iter().zip(&self.laps);
        laps.filter(|(_, laps)| !laps.is_empty()).map(|(&name, _)| name).collect()
    }

    /// The outcome of the round in the middle by `value`, for details beside a median.
    ///
    /// # Panics
    /// When the contender has no lap: it is not among the [`names`](Self::names).
    pub fn typical(&self, name: &str, value: impl Fn(&T) -> f64) -> &T {
        let mut laps: Vec<_> = self.laps(name).iter().map(|lap| &lap.outcome).collect();
        laps.sort_by(|a, b| value(a).total_cmp(&value(b)));
        laps[laps.len() / 2]
    }

    /// Takes away the laps of those who failed in one of them.
    fn forget(&mut self, failed: &[bool]) {
        let laps = self.laps.iter_mut().zip(failed);
        laps.filter(|(_, failed)| **failed).for_each(|(laps, _)| laps.clear());
    }

    fn laps(&self, name: &str) -> &[Lap<T>] {
        let index = self.names.iter().position(|&known| known == name);
        &self.laps[index.unwrap_or_else(|| panic!("no contender is named {name}"))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::ensure;

    #[test]
    fn each_round_starts_with_another_contender() {
        let order = std::cell::RefCell::new(Vec::new());
        let note = |name| {
            let order = &order;
            Contender::new(name, move || {
                order.borrow_mut().push(name);
                Ok(order.borrow().len() as f64)
            })
        };
        let scale = Scale { rounds: 2, ..Scale::toy() };
        let mut report = Report::new("test", Place::toy(), scale);
        let series = alternate(&mut report, "order", vec![note("a"), note("b")]).unwrap();
        assert_eq!(*order.borrow(), ["a", "b", "b", "a"]);
        assert_eq!(series.median("a", |&at| at).median(), 2.5);
        assert_eq!(series.ratio("b", "a", |&at| at).values(), [2.0, 0.75]);
    }

    #[test]
    fn a_contender_that_fails_leaves_the_others_in_the_run() {
        let mut laps = 0;
        let sound = Contender::new("sound", || Ok(1.0));
        let broken = Contender::new("broken", || {
            laps += 1;
            ensure!(laps < 2, "no more paper");
            Ok(2.0)
        });
        let scale = Scale { rounds: 3, ..Scale::toy() };
        let mut report = Report::new("test", Place::toy(), scale);
        let series = alternate(&mut report, "writing", vec![sound, broken]).unwrap();
        assert_eq!(series.names(), ["sound"]);
        assert_eq!(series.median("sound", |&value| value).median(), 1.0);
        assert!(series.ratio("sound", "broken", |&value| value).median().is_nan());
        assert_eq!(report.json()["failed"]["writing: broken"], "no more paper");
        assert_eq!(laps, 2);
    }
}
