//! Values: what may lie in an event, a key or a state, and how it becomes bytes and back.
//!
//! Owns the traits [`Schema`], [`Value`], [`Event`] and [`State`], their implementations for
//! Rust's own types, and the functions [`write()`], [`access`] and [`restore`].
//!
//! ```text
//!  Quote ── write ──► bytes in a frame ── access ──► &Archived<Quote> ── view ──► View<Quote>
//!    └────────────────────────────── lend ─────────────────────────────────────────────┘
//! ```
//!
//! Promises: writing and reading allocate nothing; what [`access`] returns is valid whatever the
//! bytes were; numbers of a view are native numbers.
//! Must never do: expose endianness or an archived type to the code of an application.

/// Calls `$make` with the places of the parts of each tuple that can be a value.
macro_rules! each_tuple {
    ($make:ident) => {
        $make!(A 0);
        $make!(A 0, B 1);
        $make!(A 0, B 1, C 2);
        $make!(A 0, B 1, C 2, D 3);
        $make!(A 0, B 1, C 2, D 3, E 4);
        $make!(A 0, B 1, C 2, D 3, E 4, F 5);
    };
}

mod archive;
mod compound;
mod json;
mod list;
mod plain;
mod schema;

pub use archive::{
    ARCHIVE_BYTES_MAX, Checker, Corrupt, Full, Reader, Stored, TooLong, Writer, access, append,
    archived_bytes, read, restore, to_vec, write,
};
pub(crate) use archive::{append_within, try_write};
pub use json::quote;
pub use list::{Seq, SeqIter};
pub use schema::{Schema, schema_field, schema_start};

use core::fmt::Debug;
use rkyv::Archived;

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

/// What the code that the attributes generate refers to. Not for applications.
#[doc(hidden)]
pub mod support {
    pub use super::json::Fields;
    pub use super::{Plain, quote, schema_field, schema_start};
    pub use alloc::string::String;
    pub use rkyv;

    /// Has `plain` once for values, which need to be plain, and once for whatever is no value.
    #[derive(Debug)]
    pub struct Probe<T>(core::marker::PhantomData<T>);

    impl<T: super::Value> Probe<T> {
        /// Fails to compile where `T` is seen through a borrowing view.
        pub const fn plain()
        where
            T: Plain,
        {
        }
    }

    /// What is no value has an error already.
    pub trait Unsound {
        /// Does nothing.
        fn plain() {}
    }

    impl<T> Unsound for Probe<T> {}
}
