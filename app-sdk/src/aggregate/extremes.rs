//! Extremes: the least and the greatest value.

use core::cmp::Ordering;

use alloc::string::String;

use rkyv::{Archive, Deserialize, Serialize};

use super::Merge;
use crate::value::{Schema, schema_field, schema_start};

/// The least value; of several that are equal the first one. A value that compares with nothing,
/// such as NaN, gives way to every other.
///
/// ```
/// use potoroo_sdk::prelude::*;
///
/// let mut low = Min::<f64>::default();
/// assert_eq!(low.get(), None);
/// [2.0, f64::NAN, 1.0, 3.0].into_iter().for_each(|price| low.offer(price));
/// assert_eq!(low.get(), Some(&1.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Archive, Serialize, Deserialize)]
pub struct Min<T>(Option<T>);

impl<T: Schema> Schema for Min<T> {
    const TYPE: &'static str = "Min";
    const SHAPE: u64 = schema_field(schema_start("Min"), "", T::SHAPE);

    // cold: for people
    fn json(&self, out: &mut String) {
        self.0.json(out);
    }
}

impl<T> Default for Min<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: PartialOrd> Min<T> {
    /// Keeps the value if it is less than all before.
    #[inline]
    pub fn offer(&mut self, value: T) {
        offer(&mut self.0, value, Ordering::Less);
    }
}

impl<T> Min<T> {
    /// The least value; `None` of none.
    #[must_use]
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T: PartialOrd + Clone> Merge for Min<T> {
    fn merge(&mut self, later: &Self) {
        if let Some(value) = &later.0 {
            self.offer(value.clone());
        }
    }
}

/// The greatest value; of several that are equal the first one. A value that compares with nothing,
/// such as NaN, gives way to every other.
///
/// ```
/// use potoroo_sdk::prelude::*;
///
/// let mut high = Max::<(u32, char)>::default();
/// [(2, 'a'), (3, 'b'), (1, 'c')].into_iter().for_each(|bid| high.offer(bid));
/// assert_eq!(high.get(), Some(&(3, 'b')));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Archive, Serialize, Deserialize)]
pub struct Max<T>(Option<T>);

impl<T: Schema> Schema for Max<T> {
    const TYPE: &'static str = "Max";
    const SHAPE: u64 = schema_field(schema_start("Max"), "", T::SHAPE);

    // cold: for people
    fn json(&self, out: &mut String) {
        self.0.json(out);
    }
}

impl<T> Default for Max<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: PartialOrd> Max<T> {
    /// Keeps the value if it is greater than all before.
    #[inline]
    pub fn offer(&mut self, value: T) {
        offer(&mut self.0, value, Ordering::Greater);
    }
}

impl<T> Max<T> {
    /// The greatest value; `None` of none.
    #[must_use]
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T: PartialOrd + Clone> Merge for Max<T> {
    fn merge(&mut self, later: &Self) {
        if let Some(value) = &later.0 {
            self.offer(value.clone());
        }
    }
}

/// Replaces the value at hand by one that compares with it as `wanted`.
fn offer<T: PartialOrd>(kept: &mut Option<T>, value: T, wanted: Ordering) {
    let replaces = match &*kept {
        None => true,
        Some(kept) if kept.partial_cmp(kept).is_none() => true,
        Some(kept) => value.partial_cmp(kept) == Some(wanted),
    };
    if replaces {
        *kept = Some(value);
    }
}
