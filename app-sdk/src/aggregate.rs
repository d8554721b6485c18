//! Aggregates: states that are made of many values, and can be put together of parts.
//!
//! Owns [`Merge`] and the states that applications often need: [`Count`], [`Sum`], [`Mean`],
//! [`Min`], [`Max`], [`First`], [`Last`], [`Top`], tuples of them, and [`Agenda`], which is for
//! timers.
//!
//! Promises: merging parts, in the order of their events, gives the state that had seen all of
//! their events. (Sums of floats may differ in their last digits, as they do in another order.)
//! An operation that is not marked as cold allocates only while a list grows.

mod agenda;
mod count;
mod ends;
mod extremes;
mod mean;
mod sum;
mod top;

pub use agenda::Agenda;
pub use count::Count;
pub use ends::{First, Last};
pub use extremes::{Max, Min};
pub use mean::Mean;
pub use sum::Sum;
pub use top::Top;

/// A state of which two parts can be put together: what windows need that are made of parts.
///
/// ```
/// use potoroo_sdk::prelude::*;
///
/// #[state]
/// struct Turnover { value: f64, quantity: f64 }
///
/// impl Merge for Turnover {
///     fn merge(&mut self, later: &Self) {
///         self.value += later.value;
///         self.quantity += later.quantity;
///     }
/// }
///
/// let mut turnover = Turnover { value: 10.0, quantity: 1.0 };
/// turnover.merge(&Turnover { value: 20.0, quantity: 3.0 });
/// assert_eq!(turnover, Turnover { value: 30.0, quantity: 4.0 });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be merged",
    label = "not mergeable",
    note = "sliding and session windows put parts together: `impl Merge for {Self}`"
)]
pub trait Merge {
    /// Takes in `later`, which has seen the events after those of `self`.
    fn merge(&mut self, later: &Self);
}

impl Merge for () {
    fn merge(&mut self, (): &Self) {}
}

macro_rules! merge_of_tuple {
    ($($part:ident $index:tt),+) => {
        /// Part by part.
        impl<$($part: Merge),+> Merge for ($($part,)+) {
            fn merge(&mut self, later: &Self) {
                $( self.$index.merge(&later.$index); )+
            }
        }
    };
}
merge_of_tuple!(A 0);
merge_of_tuple!(A 0, B 1);
merge_of_tuple!(A 0, B 1, C 2);
merge_of_tuple!(A 0, B 1, C 2, D 3);
merge_of_tuple!(A 0, B 1, C 2, D 3, E 4);
merge_of_tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
