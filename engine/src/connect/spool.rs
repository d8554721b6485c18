//! The transactional file sink: a reader of the file sees committed output only, each event once.
//!
//! ```text
//!   core ── pipe ──► spool of the epoch ─ marker ─► prepared: made durable ──► committed: written
//!                                                                             into PATH
//! ```
//!
//! Output waits beside the file, in `.NAME.GENERATION-NUMBER.spool`, until its
//! checkpoint is committed. Then it is written at the offset in the file that was fixed when it was
//! prepared, so that a second write after a crash changes nothing. A manifest has the length and
//! the digest of each spool, which are checked before the first byte of it is shown.
//!
//! Promises: a sink never waits for a commit. A manifest is untrusted input: what it
//! names is used only if it is a regular file with the name of a spool, and only spools of the sink
//! itself, beside its file, are removed. Must never do: write into the file what is not committed.

// In reading order; the blank lines keep it.
mod name;

mod target;

mod prepared;

mod writer;

mod stored;

pub use self::name::{SpoolName, first_id, name_of, transaction_id};
pub use self::prepared::Prepared;
pub use self::stored::{outstanding, verify};
pub use self::target::{Target, check};
pub use self::writer::{Patience, Spooled, Spooler, spool};

#[cfg(test)]
mod tests;
