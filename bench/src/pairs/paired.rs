//! All windows of a series, and the figures that come from them.

use super::classes::{Measured, classes};
use crate::effort::Scale;
use crate::spread::Spread;
use crate::take::Take;

/// What one contender did in one window, and what the probes read before and after.
#[derive(Debug)]
pub struct Bracketed<T> {
    pub outcome: T,
    pub probes: [Vec<f64>; 2],
    /// Number of the set-up.
    pub setup: usize,
}

/// All windows of all contenders.
#[derive(Debug)]
pub struct Paired<T> {
    pub(super) names: Vec<&'static str>,
    pub(super) laps: Vec<Vec<Bracketed<T>>>,
    pub(super) spread_max: f64,
}

impl<T> Paired<T> {
    /// No window of any of these: all of their figures are without a value.
    pub fn empty(names: impl Iterator<Item = &'static str>) -> Self {
        let names: Vec<_> = names.collect();
        Self { laps: names.iter().map(|_| Vec::new()).collect(), names, spread_max: 1.0 }
    }

    /// One contender's value, by class.
    ///
    /// # Panics
    /// When no contender has that name.
    pub fn median(&self, name: &str, value: impl Fn(&T) -> f64) -> Spread {
        self.among([name], |[outcome]| value(outcome))
    }

    /// `value` of one contender divided by that of another, in pairs.
    ///
    /// # Panics
    /// When no contender has one of the names.
    pub fn ratio(&self, above: &str, below: &str, value: impl Fn(&T) -> f64) -> Spread {
        self.among([above, below], |[above, below]| value(above) / value(below))
    }

    /// `value` of one contender less that of another, in pairs.
    ///
    /// # Panics
    /// When no contender has one of the names.
    pub fn difference(&self, above: &str, below: &str, value: impl Fn(&T) -> f64) -> Spread {
        self.among([above, below], |[above, below]| value(above) - value(below))
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

    /// A value of the windows that several contenders had in one round, by class.
    ///
    /// # Panics
    /// When no contender has one of the names.
    pub fn among<const N: usize>(
        &self,
        names: [&str; N],
        value: impl Fn([&T; N]) -> f64,
    ) -> Spread {
        let laps = names.map(|name| self.laps(name));
        let rounds = laps.iter().map(|laps| laps.len()).min().unwrap_or(0);
        let measured = (0..rounds).map(|round| {
            let windows = laps.map(|laps| &laps[round]);
            Measured {
                value: value(windows.map(|window| &window.outcome)),
                setup: windows[0].setup,
                probes: windows.iter().flat_map(|it| &it.probes).map(Vec::as_slice).collect(),
            }
        });
        Spread::of_classes(classes(measured, self.spread_max))
    }

    /// Whether each ratio whose contenders take part has a class with enough pairs.
    pub(super) fn is_enough(&self, ratios: &[[&str; 2]], scale: Scale) -> bool {
        let alive = |names: &&[&str; 2]| names.iter().all(|name| !self.laps(name).is_empty());
        ratios
            .iter()
            .filter(alive)
            .all(|names| self.among(*names, |_| 1.0).values().len() >= scale.pairs_min)
    }

    fn laps(&self, name: &str) -> &[Bracketed<T>] {
        let index = self.names.iter().position(|&known| known == name);
        &self.laps[index.unwrap_or_else(|| panic!("no contender is named {name}"))]
    }
}
