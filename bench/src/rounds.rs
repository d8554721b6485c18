//! Contenders one after the other, in a different order each round.
//!
//! Promises: each contender runs once per round, a raw ping-pong runs just before each, and only
//! ratios *inside* a round are formed; the machine's mood changes between rounds. A contender that
//! fails takes only itself out of the run.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::interrupt;
use crate::pingpong;
use crate::place::Place;
use crate::progress::Progress;
use crate::report::Report;
use crate::take::Take;

/// How long and how often; one value for all benchmarks.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Number of rounds; at least 1.
    pub rounds: usize,
    /// Length of one contender's measured part; below 0.9 s, or the kernel throttles SCHED_FIFO.
    pub slice: Duration,
    /// Length of the raw ping-pong before each slice.
    pub raw_slice: Duration,
    /// Pause after each slice, in which the rest of the machine catches up.
    pub rest: Duration,
    /// Larger key counts are left out.
    pub keys_max: u64,
    /// Length of a load at a fixed rate, without its warm-up.
    pub load: Duration,
    /// Length of a soak, likewise.
    pub soak: Duration,
    /// Bytes of the memory that is read and copied; full and quick ones are beyond all caches.
    pub memory_bytes: usize,
    /// New keys that come in while the length of turns is measured.
    pub growth_keys: u64,
    /// Name of this scale in results.
    pub name: &'static str,
}

impl Scale {
    /// What the published figures are made with.
    pub fn full() -> Self {
        Self {
            rounds: 7,
            slice: Duration::from_millis(500),
            raw_slice: Duration::from_millis(40),
            rest: Duration::from_millis(200),
            keys_max: u64::MAX,
            load: Duration::from_secs(10),
            soak: Duration::from_secs(600),
            memory_bytes: 256 << 20,
            growth_keys: 2_000_000,
            name: "full",
        }
    }

    /// A look in seconds: fewer rounds, shorter slices, no table beyond a million keys.
    pub fn quick() -> Self {
        Self {
            rounds: 5,
            slice: Duration::from_millis(120),
            raw_slice: Duration::from_millis(15),
            rest: Duration::from_millis(40),
            keys_max: 1_000_000,
            load: Duration::from_secs(2),
            soak: Duration::from_secs(15),
            memory_bytes: 256 << 20,
            growth_keys: 2_000_000,
            name: "quick",
        }
    }

    /// Without meaning as a measurement: everything runs once and proves its checksum.
    pub fn toy() -> Self {
        Self {
            rounds: 1,
            slice: Duration::from_millis(10),
            raw_slice: Duration::from_millis(1),
            rest: Duration::ZERO,
            keys_max: 10_000,
            load: Duration::from_millis(200),
            soak: Duration::from_millis(500),
            memory_bytes: 1 << 20,
            growth_keys: 10_000,
            name: "toy",
        }
    }
}

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
    let raw_rtt_ns = pingpong::run(place, scale.raw_slice).quantile(0.5);
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

    /// `value` of one contender less that of another.
    ///
    /// # Panics
    /// When no contender has one of the names.
    pub fn difference(&self, above: &str, below: &str, value: impl Fn(&T) -> f64) -> Spread {
        let pairs = self.laps(above).iter().zip(self.laps(below));
        pairs.map(|(a, b)| value(&a.outcome) - value(&b.outcome)).collect()
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

    /// What one contender recorded, in the order of the rounds.
    ///
    /// # Panics
    /// When no contender has that name.
    pub fn takes<'a>(&'a self, name: &str, take: impl Fn(&'a T) -> &'a Take) -> Vec<Take> {
        self.laps(name).iter().map(|lap| take(&lap.outcome).clone()).collect()
    }

    fn laps(&self, name: &str) -> &[Lap<T>] {
        let index = self.names.iter().position(|&known| known == name);
        &self.laps[index.unwrap_or_else(|| panic!("no contender is named {name}"))]
    }
}

/// One value for each round; what stands for all of them is their median.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread(Vec<f64>);

impl Spread {
    /// The median over the rounds.
    pub fn median(&self) -> f64 {
        median(self.0.clone())
    }

    /// The values in the order of the rounds.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// Every value divided by the same number.
    #[must_use]
    pub fn divided_by(mut self, divisor: f64) -> Self {
        self.0.iter_mut().for_each(|value| *value /= divisor);
        self
    }
}

impl FromIterator<f64> for Spread {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// What is measured once.
impl From<f64> for Spread {
    fn from(value: f64) -> Self {
        Self(vec![value])
    }
}

/// The middle value; the mean of the middle two for an even number; not a number without values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
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

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }
}
