//! Tables as an application names them: what streams update.
//!
//! Owns the two kinds, and the trait by which an update takes either.

mod has_state;

mod plain;
mod timed;

pub use has_state::HasState;
pub use plain::Table;
pub use timed::TimedTable;
