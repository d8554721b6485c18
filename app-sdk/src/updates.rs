//! Updates: the loops around handlers that change rows, and what fires in them.
//!
//! Owns no row and no stream. Must never do: keep a slot longer than a batch.

mod updating;

mod plain;
mod timed;
mod timers;

pub(crate) use plain::{update_plain, update_plain_row, update_plain_with};
pub(crate) use timed::update_timed;
pub(crate) use timers::TimerStage;
pub use updating::Updating;
