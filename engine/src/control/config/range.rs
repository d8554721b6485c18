//! The numbers that a setting may have.

use std::ops::RangeInclusive;

use super::error::Error;

/// The numbers that a setting may have.
pub(super) enum Range {
    /// Any of these.
    Within(RangeInclusive<u64>),
    /// A power of two among these.
    PowerOfTwo(RangeInclusive<u64>),
}

impl Range {
    /// What is wrong with `value`, if anything; with nothing given nothing is.
    pub(super) fn refuse(&self, name: &'static str, value: Option<u64>) -> Option<Error> {
        let value = value.filter(|value| !self.contains(*value))?;
        Some(Error::Range { name, value, range: self.describe(value) })
    }

    fn contains(&self, value: u64) -> bool {
        match self {
            Self::Within(range) => range.contains(&value),
            Self::PowerOfTwo(range) => value.is_power_of_two() && range.contains(&value),
        }
    }

    fn describe(&self, value: u64) -> String {
        match self {
            Self::Within(range) => format!("a number from {} to {}", range.start(), range.end()),
            Self::PowerOfTwo(range) => {
                let (min, max) = (*range.start(), *range.end());
                let near = value.clamp(min, max).next_power_of_two();
                format!("a power of two from {min} to {max}, such as {near}")
            }
        }
    }
}
