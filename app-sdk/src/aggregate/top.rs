//! Top: the greatest values.

use core::slice;

use alloc::string::String;
use alloc::vec::Vec;

use rkyv::{Archive, Deserialize, Serialize};

use super::Merge;
use crate::value::{Schema, schema_field, schema_start};

/// The `N` greatest values, best first. Of equal ones the first to arrive is better, and a value
/// that does not compare with itself, such as NaN, is left out.
///
/// ```
/// use potoroo_sdk::prelude::*;
///
/// let mut top = Top::<2, (u64, char)>::default();
/// [(3, 'a'), (7, 'b'), (5, 'c')].into_iter().for_each(|busy| top.offer(busy));
/// assert_eq!(top.best(), Some(&(7, 'b')));
/// assert!(top.iter().eq([&(7, 'b'), &(5, 'c')]));
/// ```
#[derive(Clone, Debug, PartialEq, Archive, Serialize, Deserialize)]
pub struct Top<const N: usize, T>(Vec<T>);

impl<const N: usize, T> Default for Top<N, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<const N: usize, T: PartialOrd> Top<N, T> {
    /// Keeps the value if it is among the best.
    pub fn offer(&mut self, value: T) {
        if value.partial_cmp(&value).is_none() {
            return;
        }
        let place = self.0.partition_point(|kept| *kept >= value);
        if place < N {
            self.0.truncate(N - 1);
            self.0.insert(place, value);
        }
    }
}

impl<const N: usize, T> Top<N, T> {
    /// The greatest value; `None` of none.
    #[must_use]
    pub fn best(&self) -> Option<&T> {
        self.0.first()
    }

    /// The values, best first.
    pub fn iter(&self) -> slice::Iter<'_, T> {
        self.0.iter()
    }

    /// How many there are, at most `N`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a, const N: usize, T> IntoIterator for &'a Top<N, T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> slice::Iter<'a, T> {
        self.iter()
    }
}

impl<const N: usize, T: PartialOrd + Clone> Merge for Top<N, T> {
    fn merge(&mut self, later: &Self) {
        later.iter().for_each(|value| self.offer(value.clone()));
    }
}

impl<const N: usize, T: Schema> Schema for Top<N, T> {
    const TYPE: &'static str = "Top";
    const SHAPE: u64 = schema_field(schema_start("Top"), "", T::SHAPE);

    // cold: for people
    fn json(&self, out: &mut String) {
        self.0.json(out);
    }
}
