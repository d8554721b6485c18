//! Tables: named keyed state.
//!
//! A table owns its rows, dense and in the order of creation. It does not own the way from a key
//! to a row: that is the host's ([`Host::find`]), so that the host can
//! prefetch it. Rows never move: a slot number stays valid until its row is removed.
//!
//! Nor does it know which rows changed since when. A host that has to know sets a tag
//! ([`TableRows::set_tag`]), and sees each row once before it changes ([`Host::changing`]); it
//! stores rows as [`Record`]s and restores them.

mod record;
mod row;
mod shape;
mod slots;
mod stored;

mod entry;
mod rows;

mod hinted;
mod located;

mod timed_row;

mod timed_ref;

mod erased;
mod restore;

pub use entry::Entry;
pub use erased::{TAGS, TableRows};
pub(crate) use hinted::{Hinted, HintedRow};
pub(crate) use located::TableRef;
pub use record::Record;
pub use row::AnyRow;
pub use rows::BLOCK_ROWS;
pub(crate) use rows::Rows;
pub use shape::TableShape;
pub use slots::SlotIndex;
pub(crate) use timed_ref::TimedRef;
pub(crate) use timed_row::Timed;
pub use timed_row::TimedRow;
