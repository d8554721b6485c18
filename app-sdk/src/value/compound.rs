//! Arrays, tuples and options: their view has the views of their parts.

use super::{Event, Plain, Value, View};
use rkyv::Archived;

impl<T: Value> Value for Option<T> {
    type View<'a> = Option<View<'a, T>>;
    const PLAIN: bool = T::PLAIN;

    #[inline]
    fn view(archived: &Archived<Self>) -> Self::View<'_> {
        archived.as_ref().map(T::view)
    }

    #[inline]
    fn lend(&self) -> Self::View<'_> {
        self.as_ref().map(T::lend)
    }
}

impl<T: Plain> Plain for Option<T> {}

impl<T: Value, const N: usize> Value for [T; N] {
    type View<'a> = [View<'a, T>; N];
    const PLAIN: bool = T::PLAIN;

    #[inline]
    fn view(archived: &Archived<Self>) -> Self::View<'_> {
        archived.each_ref().map(T::view)
    }

    #[inline]
    fn lend(&self) -> Self::View<'_> {
        self.each_ref().map(T::lend)
    }
}

impl<T: Plain, const N: usize> Plain for [T; N] {}

macro_rules! tuple_value {
    ($($part:ident $index:tt),+) => {
        impl<$($part: Value),+> Value for ($($part,)+) {
            type View<'a> = ($(View<'a, $part>,)+);
            const PLAIN: bool = $($part::PLAIN)&&+;

            #[inline]
            fn view(archived: &Archived<Self>) -> Self::View<'_> {
                ($($part::view(&archived.$index),)+)
            }

            #[inline]
            fn lend(&self) -> Self::View<'_> {
                ($(self.$index.lend(),)+)
            }
        }

        impl<$($part: Plain),+> Plain for ($($part,)+) {}

        impl<$($part: Value + Send),+> Event for ($($part,)+) {}
    };
}
each_tuple!(tuple_value);
