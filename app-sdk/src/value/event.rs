//! Value, Event, State: what may lie in a stream or a table, and how handlers see it.

use core::fmt::Debug;

use rkyv::Archived;

use super::schema::Schema;
use super::stored::Stored;

/// A type that can be a field of an event.
///
/// Implemented for integers of fixed width, floats, `bool`, `char`, `()`, arrays, tuples,
/// `Option`, `String`, `Vec`, boxed slices and [`Text`](crate::text::Text), and by the attributes
/// `#[event]`, `#[value]` and `#[key]` for an application's own types.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of an event",
    label = "not a value",
    note = "put `#[value]` (or `#[key]`) on your own type",
    note = "`usize` and `isize` differ between machines: use `u64` or `i64`"
)]
pub trait Value: Schema + Stored + Sized + 'static {
    /// What a handler sees: the type itself for plain data, otherwise a borrowing twin of it.
    type View<'a>: Copy + Debug + PartialEq;

    /// Whether the archive has a fixed size: nothing in it points elsewhere.
    const PLAIN: bool;

    /// The view of a value in a frame.
    fn view(archived: &Archived<Self>) -> Self::View<'_>;

    /// The view of a value that is owned: after a `map`, in tests, in the reference.
    fn lend(&self) -> Self::View<'_>;
}

/// What a handler sees of a `T`; write it in the signature of a named function.
pub type View<'a, T> = <T as Value>::View<'a>;

/// A value whose view is the value itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no plain data: it is no value, or seen through a view that borrows",
    label = "not plain data",
    note = "if it has no attribute, put `#[value]` (or `#[key]`) on it",
    note = "if it has a view, write `#[event(view)]`, `#[value(view)]` or `#[key(view)]` on the \
            type around it"
)]
pub trait Plain: for<'a> Value<View<'a> = Self> + Copy {}

/// One typed value in a stream; implemented by `#[event]`, for numbers, strings, lists and tuples.
///
/// `()`, `Option` and arrays are not events: returned by a handler they mean none, perhaps one,
/// and several events.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an event",
    note = "put `#[event]` on the type"
)]
pub trait Event: Value + Send {
    /// Name of the event's type, without its path.
    const NAME: &'static str = Self::TYPE;

    /// Hash of the event's shape: what is stored or sent carries it.
    const SCHEMA: u64 = Self::SHAPE;
}

/// What a table remembers for one key; everything that can be stored and cloned is one.
///
/// Handlers get it as `&mut`, an ordinary Rust value; it is archived only for checkpoints and
/// moves.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept in a table",
    label = "not a state",
    note = "put `#[state]` on the type"
)]
pub trait State: Schema + Stored + Clone + Debug + 'static {}

impl<T: Schema + Stored + Clone + Debug + 'static> State for T {}
