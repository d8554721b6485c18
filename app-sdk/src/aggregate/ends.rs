//! Ends: the first and the last value.

use alloc::string::String;

use rkyv::{Archive, Deserialize, Serialize};

use super::Merge;
use crate::value::{Schema, schema_field, schema_start};

/// The first value to arrive.
///
/// ```
/// use potoroo_sdk::prelude::*;
///
/// let (mut open, mut close) = (First::default(), Last::default());
/// for price in [10, 12, 11] {
///     open.offer(price);
///     close.offer(price);
/// }
/// assert_eq!((open.get(), close.get()), (Some(&10), Some(&11)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Archive, Serialize, Deserialize)]
pub struct First<T>(Option<T>);

impl<T: Schema> Schema for First<T> {
    const TYPE: &'static str = "First";
    const SHAPE: u64 = schema_field(schema_start("First"), "", T::SHAPE);

    // cold: for people
    fn json(&self, out: &mut String) {
        self.0.json(out);
    }
}

impl<T> Default for First<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> First<T> {
    /// Keeps the value if it is the first one.
    #[inline]
    pub fn offer(&mut self, value: T) {
        _ = self.0.get_or_insert(value);
    }
}

impl<T> First<T> {
    /// The first value; `None` of none.
    #[must_use]
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T: Clone> Merge for First<T> {
    fn merge(&mut self, later: &Self) {
        if let Some(value) = &later.0 {
            self.offer(value.clone());
        }
    }
}

/// The last value to arrive: see [`First`].
#[derive(Clone, Copy, Debug, PartialEq, Archive, Serialize, Deserialize)]
pub struct Last<T>(Option<T>);

impl<T: Schema> Schema for Last<T> {
    const TYPE: &'static str = "Last";
    const SHAPE: u64 = schema_field(schema_start("Last"), "", T::SHAPE);

    // cold: for people
    fn json(&self, out: &mut String) {
        self.0.json(out);
    }
}

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Last<T> {
    /// Keeps the value in the place of the one before.
    #[inline]
    pub fn offer(&mut self, value: T) {
        self.0 = Some(value);
    }
}

impl<T> Last<T> {
    /// The last value; `None` of none.
    #[must_use]
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T: Clone> Merge for Last<T> {
    fn merge(&mut self, later: &Self) {
        if let Some(value) = &later.0 {
            self.offer(value.clone());
        }
    }
}
