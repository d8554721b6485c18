//! Latency counts for the measured path: one addition per value, no allocation.
//!
//! Finer than the engine's always-on arrays, because ratios of medians are reported here: values
//! below 512 ns are exact, larger ones are off by at most 0.2 %. Only the touched lines of the
//! 35 KiB matter to the cache.

use serde_json::{Value, json};

/// Counts of nanosecond values from 0 to 73 minutes; larger ones count as the largest.
#[derive(Clone, Debug)]
pub struct Recorder {
    counts: Box<[u32; CELLS]>,
    max: u64,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// An empty recorder.
    pub fn new() -> Self {
        Self { counts: Box::new([0; CELLS]), max: 0 }
    }

    /// Counts one value.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.max = self.max.max(ns);
        self.counts[cell(ns)] += 1;
    }

    /// Counts the same value `count` times.
    pub fn record_n(&mut self, ns: u64, count: u64) {
        if count > 0 {
            self.max = self.max.max(ns);
            self.counts[cell(ns)] += u32::try_from(count).expect("a slice has fewer events");
        }
    }

    /// Takes away what was recorded before: `earlier` is a recording of the same values that
    /// ended earlier. The maximum is then the middle of its cell.
    pub fn forget(&mut self, earlier: &Self) {
        for (count, before) in self.counts.iter_mut().zip(earlier.counts.iter()) {
            *count = count.saturating_sub(*before);
        }
        let highest = self.counts.iter().rposition(|&count| count > 0);
        self.max = highest.map_or(0, |index| (middle(index) as u64).min(self.max));
    }

    /// The values without those of `part`, which are among them.
    #[must_use]
    pub fn without(&self, part: &Self) -> Self {
        let mut left = self.clone();
        if part.count() > 0 {
            left.forget(part);
        }
        left
    }

    /// Adds what another one has counted.
    pub fn merge(&mut self, other: &Self) {
        for (count, added) in self.counts.iter_mut().zip(other.counts.iter()) {
            *count = count.checked_add(*added).expect("a slice has fewer events");
        }
        self.max = self.max.max(other.max);
    }

    /// Values with their counts, in rising order. The last one is the exact maximum.
    pub fn steps(&self) -> Vec<(u64, u64)> {
        let counted = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let value = |index| (middle(index) as u64).min(self.max);
        let mut steps: Vec<_> =
            counted.map(|(index, &count)| (value(index), u64::from(count))).collect();
        if let Some(last) = steps.pop_if(|(value, _)| *value < self.max) {
            // One event is known to be the maximum, its neighbours in the cell are not.
            steps.extend((last.1 > 1).then_some((last.0, last.1 - 1)));
            steps.push((self.max, 1));
        }
        steps
    }

    /// Number of values recorded.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    /// The value below or at which `fraction` (0 to 1) of the values lie; 0 without values.
    pub fn quantile(&self, fraction: f64) -> f64 {
        let wanted = (self.count() as f64 * fraction).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= wanted {
                // The middle of the last cell may lie above everything that was recorded.
                return middle(index).min(self.max as f64);
            }
        }
        0.0
    }

    /// The usual percentiles as JSON, in nanoseconds.
    pub fn summary(&self) -> Value {
        json!({
            "count": self.count(),
            "p50": self.quantile(0.5),
            "p90": self.quantile(0.9),
            "p99": self.quantile(0.99),
            "p999": self.quantile(0.999),
            "p9999": self.quantile(0.9999),
            "max": self.max,
        })
    }
}

/// Cells 0..512 are exact; each further octave has 256 cells.
#[inline]
fn cell(ns: u64) -> usize {
    let value = ns.min(VALUE_MAX);
    let shift = (63 - (value | EXACT_MASK).leading_zeros() as u64) - OCTAVE_BITS;
    ((shift << OCTAVE_BITS) + (value >> shift)) as usize
}

/// The middle of what a cell stands for.
fn middle(index: usize) -> f64 {
    let index = index as u64;
    let shift = (index >> OCTAVE_BITS).saturating_sub(1);
    let low = (index - (shift << OCTAVE_BITS)) << shift;
    low as f64 + ((1u64 << shift) - 1) as f64 / 2.0
}

/// 256 cells per octave: half a cell is 0.2 %.
const OCTAVE_BITS: u64 = 8;
/// Makes the logarithm of all exact values the same, so that `cell` has no branch.
const EXACT_MASK: u64 = (2 << OCTAVE_BITS) - 1;
/// 73 minutes: an event that waits for longer belongs to a run that has failed.
const VALUE_MAX: u64 = (1 << VALUE_BITS) - 1;
const VALUE_BITS: usize = 42;
/// Exact part plus 33 octaves up to 2^42.
const CELLS: usize = (VALUE_BITS - OCTAVE_BITS as usize + 1) << OCTAVE_BITS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_are_exact() {
        for ns in 0..512 {
            assert_eq!(middle(cell(ns)), ns as f64);
        }
    }

    #[test]
    fn large_values_are_within_a_fifth_of_a_percent() {
        let mut ns = 512u64;
        while ns < VALUE_MAX {
            let error = (middle(cell(ns)) - ns as f64).abs() / ns as f64;
            assert!(error <= 0.002, "{ns} is recorded with an error of {error}");
            ns += ns / 97;
        }
        assert_eq!(cell(VALUE_MAX), CELLS - 1);
        assert_eq!(cell(u64::MAX), CELLS - 1);
    }

    #[test]
    fn quantiles_of_a_ramp() {
        let mut recorder = Recorder::new();
        (1..=100).for_each(|ns| recorder.record(ns));
        assert_eq!(recorder.quantile(0.5), 50.0);
        assert_eq!(recorder.quantile(0.99), 99.0);
        assert_eq!(recorder.quantile(1.0), 100.0);
        assert_eq!(recorder.count(), 100);
    }

    #[test]
    fn no_quantile_is_above_the_maximum() {
        for ns in [0, 1, 700, 100_001, 1 << 40, VALUE_MAX, u64::MAX] {
            let mut recorder = Recorder::new();
            recorder.record(ns);
            for fraction in [0.0, 0.5, 0.9999, 1.0] {
                assert!(recorder.quantile(fraction) <= ns as f64, "{fraction} of {ns}");
            }
        }
        assert_eq!(Recorder::new().quantile(0.5), 0.0);
    }

    #[test]
    fn what_came_before_can_be_forgotten() {
        let mut earlier = Recorder::new();
        earlier.record_n(400, 3);
        let mut recorder = earlier.clone();
        recorder.record_n(7, 2);
        recorder.forget(&earlier);
        assert_eq!((recorder.count(), recorder.quantile(1.0)), (2, 7.0));
        assert_eq!(recorder.summary()["max"], 7);
    }

    #[test]
    fn steps_hold_every_value_and_the_exact_maximum() {
        let mut recorder = Recorder::new();
        [7, 7, 100_001, 100_002, 100_003].into_iter().for_each(|ns| recorder.record(ns));
        let steps = recorder.steps();
        assert_eq!(steps.iter().map(|step| step.1).sum::<u64>(), 5);
        assert_eq!((steps[0], steps[steps.len() - 1]), ((7, 2), (100_003, 1)));
        assert!(steps.is_sorted());
        assert!(Recorder::new().steps().is_empty());
    }

    #[test]
    fn merged_counts_add_up() {
        let (mut left, mut right) = (Recorder::new(), Recorder::new());
        left.record_n(3, 2);
        right.record_n(3, 1);
        right.record(9);
        left.merge(&right);
        assert_eq!(left.steps(), [(3, 3), (9, 1)]);
    }
}
