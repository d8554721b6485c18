//! Strings and lists: seen as `&str` and [`Seq`].

use super::{Event, Value, View};
use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;
use rkyv::Archived;

/// The view of a list: archived in a frame, or lent by its owner.
///
/// It is no slice, because archived numbers are not native ones; reading an element converts it.
pub struct Seq<'a, T: Value>(Items<'a, T>);

enum Items<'a, T: Value> {
    Archived(&'a [Archived<T>]),
    Owned(&'a [T]),
}

impl<'a, T: Value> Seq<'a, T> {
    /// Number of elements.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        match self.0 {
            Items::Archived(items) => items.len(),
            Items::Owned(items) => items.len(),
        }
    }

    /// Whether there is no element.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at `index`, counted from 0.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<View<'a, T>> {
        match self.0 {
            Items::Archived(items) => items.get(index).map(T::view),
            Items::Owned(items) => items.get(index).map(T::lend),
        }
    }

    /// The first element.
    #[must_use]
    pub fn first(&self) -> Option<View<'a, T>> {
        self.get(0)
    }

    /// The last element.
    #[must_use]
    pub fn last(&self) -> Option<View<'a, T>> {
        self.get(self.len().checked_sub(1)?)
    }

    /// All elements in order.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = View<'a, T>> + use<'a, T> {
        let seq = *self;
        (0..seq.len()).map(move |index| seq.get(index).expect("index is below the length"))
    }
}

impl<T: Value> Clone for Seq<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Value> Copy for Seq<'_, T> {}

impl<T: Value> Clone for Items<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Value> Copy for Items<'_, T> {}

impl<T: Value> fmt::Debug for Seq<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: Value> PartialEq for Seq<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().zip(other.iter()).all(|(one, two)| one == two)
    }
}

impl<T: Value> Value for Vec<T> {
    type View<'a> = Seq<'a, T>;
    const PLAIN: bool = false;

    #[inline]
    fn view(archived: &Archived<Self>) -> Seq<'_, T> {
        Seq(Items::Archived(archived.as_slice()))
    }

    #[inline]
    fn lend(&self) -> Seq<'_, T> {
        Seq(Items::Owned(self))
    }
}

impl<T: Value + Send> Event for Vec<T> {}

impl Value for String {
    type View<'a> = &'a str;
    const PLAIN: bool = false;

    #[inline]
    fn view(archived: &Archived<Self>) -> &str {
        archived.as_str()
    }

    #[inline]
    fn lend(&self) -> &str {
        self
    }
}

impl Event for String {}

impl Value for Box<str> {
    type View<'a> = &'a str;
    const PLAIN: bool = false;

    #[inline]
    fn view(archived: &Archived<Self>) -> &str {
        archived
    }

    #[inline]
    fn lend(&self) -> &str {
        self
    }
}
