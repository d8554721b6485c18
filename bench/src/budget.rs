//! Budget: the time of one command, shared among its parts by need.

use std::time::{Duration, Instant};

/// The time that is left, and what is to come.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    end: Instant,
    /// Needs of all parts that were announced and have not begun.
    needs: f64,
}

impl Budget {
    /// Begins now.
    pub fn new(length: Duration) -> Self {
        Self { end: Instant::now() + length, needs: 0.0 }
    }

    /// Announces a part. Needs are in any unit: their ratios count.
    pub fn expect(&mut self, need: f64) {
        self.needs += need;
    }

    /// Begins a part, and returns when it has to be over: its share of the time that is left is
    /// that of its need in all needs that are left. What a part leaves over goes to later parts.
    pub fn begin(&mut self, need: f64) -> Instant {
        let now = Instant::now();
        let all = self.needs.max(need);
        let share = if all > 0.0 { need / all } else { 1.0 };
        self.needs = (self.needs - need).max(0.0);
        now + self.end.saturating_duration_since(now).mul_f64(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_a_part_leaves_over_goes_to_later_parts() {
        let hour = Duration::from_secs(3600);
        let mut budget = Budget::new(4 * hour);
        [1.0, 2.0, 1.0].into_iter().for_each(|need| budget.expect(need));
        let begun = Instant::now();
        let hours = |end: Instant| (end - begun).as_secs_f64() / 3600.0;
        assert!((hours(budget.begin(1.0)) - 1.0).abs() < 0.1);
        // The first part took no time: two thirds of all time are left for this one.
        assert!((hours(budget.begin(2.0)) - 8.0 / 3.0).abs() < 0.1);
        assert!((hours(budget.begin(1.0)) - 4.0).abs() < 0.1);
        // A part that was not announced has what is left.
        assert!((hours(budget.begin(1.0)) - 4.0).abs() < 0.1);
    }
}
