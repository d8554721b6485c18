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

/// Calls `$make` with the indices of the parts of each tuple that can be a value.
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

mod schema;
mod stored;

mod event;

mod archive;
mod compound;
mod json;
mod list;
mod plain;
mod shapes;

pub use archive::{
    ARCHIVE_BYTES_MAX, Corrupt, Full, TooLong, access, append, archived_bytes, read, restore,
    to_vec, write,
};
pub(crate) use archive::{append_within, try_write};
pub use event::{Event, Plain, State, Value, View};
pub use json::quote;
pub use list::{Seq, SeqIter};
pub use schema::{Schema, schema_field, schema_start};
pub use stored::{Checker, Reader, Stored, Writer};

/// What the code that the attributes generate refers to. Not for applications.
#[doc(hidden)]
pub mod support {
    pub use super::json::JsonFields;
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
