//! Mean: the average of numbers.

use super::{Count, Merge, Sum};

/// The average of numbers.
///
/// ```
/// use potoroo_sdk::prelude::*;
///
/// let mut mean = Mean::default();
/// assert_eq!(mean.get(), None);
/// mean.add(1.0);
/// mean.add(2.0);
/// assert_eq!((mean.get(), mean.count()), (Some(1.5), 2));
/// ```
#[crate::state]
#[derive(Copy)]
pub struct Mean {
    sum: Sum<f64>,
    count: Count,
}

impl Mean {
    /// Takes a number in.
    #[inline]
    pub fn add(&mut self, value: f64) {
        self.sum.add(value);
        self.count.add(1);
    }

    /// The average; `None` of no number.
    #[must_use]
    #[inline]
    pub fn get(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.sum.get() / self.count() as f64)
    }

    /// How many numbers there were.
    #[must_use]
    #[inline]
    pub fn count(&self) -> u64 {
        self.count.get()
    }
}

impl Merge for Mean {
    fn merge(&mut self, later: &Self) {
        self.sum.merge(&later.sum);
        self.count.merge(&later.count);
    }
}
