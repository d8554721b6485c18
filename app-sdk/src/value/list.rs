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
    pub fn iter(&self) -> SeqIter<'a, T> {
        SeqIter(*self)
    }

    #[inline]
    fn split_first(self) -> Option<(View<'a, T>, Self)> {
        match self.0 {
            Items::Archived(items) => {
                items.split_first().map(|(one, rest)| (T::view(one), Self(Items::Archived(rest))))
            }
            Items::Owned(items) => {
                items.split_first().map(|(one, rest)| (T::lend(one), Self(Items::Owned(rest))))
            }
        }
    }

    #[inline]
    fn split_last(self) -> Option<(View<'a, T>, Self)> {
        match self.0 {
            Items::Archived(items) => {
                items.split_last().map(|(one, rest)| (T::view(one), Self(Items::Archived(rest))))
            }
            Items::Owned(items) => {
                items.split_last().map(|(one, rest)| (T::lend(one), Self(Items::Owned(rest))))
            }
        }
    }
}

/// Reads a [`Seq`] from either end.
#[derive(Clone, Debug)]
pub struct SeqIter<'a, T: Value>(Seq<'a, T>);

impl<'a, T: Value> Iterator for SeqIter<'a, T> {
    type Item = View<'a, T>;

    #[inline]
    fn next(&mut self) -> Option<View<'a, T>> {
        let (one, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(one)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len(), Some(self.0.len()))
    }
}

impl<T: Value> DoubleEndedIterator for SeqIter<'_, T> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let (one, rest) = self.0.split_last()?;
        self.0 = rest;
        Some(one)
    }
}

impl<T: Value> ExactSizeIterator for SeqIter<'_, T> {}

impl<'a, T: Value> IntoIterator for Seq<'a, T> {
    type Item = View<'a, T>;
    type IntoIter = SeqIter<'a, T>;

    fn into_iter(self) -> SeqIter<'a, T> {
        self.iter()
    }
}

impl<'a, T: Value> IntoIterator for &Seq<'a, T> {
    type Item = View<'a, T>;
    type IntoIter = SeqIter<'a, T>;

    fn into_iter(self) -> SeqIter<'a, T> {
        self.iter()
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

impl<T: Value> Value for Box<[T]> {
    type View<'a> = Seq<'a, T>;
    const PLAIN: bool = false;

    #[inline]
    fn view(archived: &Archived<Self>) -> Seq<'_, T> {
        Seq(Items::Archived(archived.get()))
    }

    #[inline]
    fn lend(&self) -> Seq<'_, T> {
        Seq(Items::Owned(self))
    }
}

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
