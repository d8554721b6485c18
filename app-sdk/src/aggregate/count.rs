//! Count: how many there were.

use super::Merge;

/// How many there were; begins with 0.
///
/// ```
/// use potoroo_sdk::prelude::*;
///
/// let app = Application::new("counts");
/// let counts = app.table::<u64, Count>("counts");
/// app.source("lines", LineText::new())
///     .key_by(|line| line.len() as u64)
///     .update(&counts, |count, line| {
///         count.add(1);
///         format!("{line} is number {}", count.get())
///     })
///     .sink("counts", LineText::new());
/// let mut reference = Reference::new(app)?;
/// reference.feed("lines", b"to\nbe\n");
/// assert_eq!(reference.output("counts"), b"to is number 1\nbe is number 2\n");
/// # Ok::<(), potoroo_sdk::plan::Mistakes>(())
/// ```
#[crate::state]
#[derive(Copy, Eq)]
pub struct Count(u64);

impl Count {
    /// Counts `more`. It stops at 2^64 - 1.
    ///
    /// ```
    /// # use potoroo_sdk::prelude::*;
    /// let mut count = Count::default();
    /// count.add(2);
    /// assert_eq!(count.get(), 2);
    /// ```
    #[inline]
    pub fn add(&mut self, more: u64) {
        self.0 = self.0.saturating_add(more);
    }

    /// How many there were.
    #[must_use]
    #[inline]
    pub fn get(&self) -> u64 {
        self.0
    }
}

impl Merge for Count {
    fn merge(&mut self, later: &Self) {
        self.add(later.0);
    }
}
