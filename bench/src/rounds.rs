//! Contenders one after the other, in a different order each round.
//!
//! Promises: each contender runs once per round, a raw ping-pong runs just before each, and only
//! ratios *inside* a round are formed; the machine's mood changes between rounds.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::pingpong;
use crate::place::Place;

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
    /// New keys that come in while the length of turns is measured.
    pub growth_keys: u64,
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
            growth_keys: 2_000_000,
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
            growth_keys: 2_000_000,
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
            growth_keys: 10_000,
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
/// # Errors
/// The first error of a contender, with its name.
pub fn alternate<T>(
    place: Place,
    scale: Scale,
    mut contenders: Vec<Contender<'_, T>>,
) -> Result<Series<T>> {
    let names: Vec<_> = contenders.iter().map(|contender| contender.name).collect();
    let mut laps: Vec<Vec<Lap<T>>> = names.iter().map(|_| Vec::new()).collect();
    for round in 0..scale.rounds {
        for step in 0..contenders.len() {
            let index = (round + step) % contenders.len();
            eprintln!("round {} of {}: {}", round + 1, scale.rounds, names[index]);
            laps[index].push(lap(place, scale, &mut contenders[index])?);
        }
    }
    Ok(Series { names, laps })
}

fn lap<T>(place: Place, scale: Scale, contender: &mut Contender<'_, T>) -> Result<Lap<T>> {
    let raw_rtt_ns = pingpong::run(place, scale.raw_slice).quantile(0.5);
    let outcome = (contender.run)().with_context(|| format!("contender {}", contender.name))?;
    thread::sleep(scale.rest);
    Ok(Lap { outcome, raw_rtt_ns })
}

impl<T> Series<T> {
    /// Median over the rounds of one contender's value.
    ///
    /// # Panics
    /// When no contender has that name.
    pub fn median(&self, name: &str, value: impl Fn(&T) -> f64) -> f64 {
        median(self.laps(name).iter().map(|lap| value(&lap.outcome)).collect())
    }

    /// Median over the rounds of `value` of one contender divided by that of another.
    ///
    /// # Panics
    /// When no contender has one of the names.
    pub fn ratio(&self, above: &str, below: &str, value: impl Fn(&T) -> f64) -> f64 {
        let pairs = self.laps(above).iter().zip(self.laps(below));
        median(pairs.map(|(a, b)| value(&a.outcome) / value(&b.outcome)).collect())
    }

    /// Median over the rounds of `value` of one contender less that of another.
    ///
    /// # Panics
    /// When no contender has one of the names.
    pub fn difference(&self, above: &str, below: &str, value: impl Fn(&T) -> f64) -> f64 {
        let pairs = self.laps(above).iter().zip(self.laps(below));
        median(pairs.map(|(a, b)| value(&a.outcome) - value(&b.outcome)).collect())
    }

    /// Median raw round trip before the slices of the named contenders, in nanoseconds.
    pub fn raw_rtt_ns(&self, names: &[&str]) -> f64 {
        let laps = names.iter().flat_map(|name| self.laps(name));
        median(laps.map(|lap| lap.raw_rtt_ns).collect())
    }

    /// Names of all contenders.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// The outcome of the round in the middle by `value`, for details beside a median.
    pub fn typical(&self, name: &str, value: impl Fn(&T) -> f64) -> &T {
        let mut laps: Vec<_> = self.laps(name).iter().map(|lap| &lap.outcome).collect();
        laps.sort_by(|a, b| value(a).total_cmp(&value(b)));
        laps[laps.len() / 2]
    }

    fn laps(&self, name: &str) -> &[Lap<T>] {
        let index = self.names.iter().position(|&known| known == name);
        &self.laps[index.unwrap_or_else(|| panic!("no contender is named {name}"))]
    }
}

/// The middle value; the mean of the middle two for an even number; 0 without values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let series = alternate(Place::toy(), scale, vec![note("a"), note("b")]).unwrap();
        assert_eq!(*order.borrow(), ["a", "b", "b", "a"]);
        assert_eq!(series.median("a", |&at| at), 2.5);
        assert_eq!(series.ratio("b", "a", |&at| at), f64::midpoint(2.0, 0.75));
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
