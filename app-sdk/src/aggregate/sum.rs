//! Sum: what numbers add up to.

use core::ops::AddAssign;

use alloc::string::String;

use rkyv::{Archive, Deserialize, Serialize};

use super::Merge;
use crate::value::{Schema, schema_field, schema_start};

/// What numbers add up to; begins with 0.
///
/// Adds as their type does: pick one that cannot overflow, such as `i128` for values of `i64`.
///
/// ```
/// use potoroo_sdk::prelude::*;
///
/// let mut volume = Sum::<f64>::default();
/// volume.add(2.5);
/// volume.add(0.5);
/// assert_eq!(volume.get(), 3.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Archive, Serialize, Deserialize)]
pub struct Sum<T>(T);

impl<T: Schema> Schema for Sum<T> {
    const TYPE: &'static str = "Sum";
    const SHAPE: u64 = schema_field(schema_start("Sum"), "", T::SHAPE);

    // cold: for people
    fn json(&self, out: &mut String) {
        self.0.json(out);
    }
}

impl<T: Default> Default for Sum<T> {
    fn default() -> Self {
        Self(T::default())
    }
}

impl<T: AddAssign + Copy> Sum<T> {
    /// Adds a value.
    #[inline]
    pub fn add(&mut self, value: T) {
        self.0 += value;
    }

    /// What all values add up to.
    #[must_use]
    #[inline]
    pub fn get(&self) -> T {
        self.0
    }
}

impl<T: AddAssign + Copy> Merge for Sum<T> {
    fn merge(&mut self, later: &Self) {
        self.add(later.0);
    }
}
