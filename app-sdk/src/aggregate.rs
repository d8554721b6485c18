//! Aggregates: states that two parts of a stream can be put together in.
//!
//! Owns [`Merge`]. Promises: merging parts, in the order of their events, gives what one state
//! would be that had seen all of them.

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
