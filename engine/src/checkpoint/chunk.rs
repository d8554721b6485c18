//! The chunks of a core's part of a checkpoint.

use potoroo_sdk::host::TableId;

use crate::state::CHUNK_BYTES;

/// What the bytes of a [`Chunk`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Rows of a table, one record after the other, as
    /// [`AnyRow`](potoroo_sdk::table::AnyRow) writes them. A later record of a key replaces
    /// an earlier one.
    Rows(TableId),
    /// Keys that left a table since the checkpoint before, as records without a state. They come
    /// before all rows of their part: a key may have come back.
    Removed(TableId),
    /// Whole frames of an exchange level that were on their way in lanes, or that a core kept to
    /// itself, each at a multiple of eight bytes.
    Lanes(u8),
    /// The same of frames that had found no room: of one key, they follow those in lanes.
    Outboxes(u8),
}

/// One chunk of a core's part of a checkpoint, at most [`Chunk::BYTES_MAX`] long
/// unless a single record is longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// What it holds.
    pub section: Section,
    /// Its records or frames, whole.
    pub bytes: Vec<u8>,
}

impl Chunk {
    /// Bytes at which a chunk is handed out: those of a piece of a table.
    pub const BYTES_MAX: usize = CHUNK_BYTES;

    /// Whether it holds frames, not records.
    pub fn has_frames(&self) -> bool {
        matches!(self.section, Section::Lanes(_) | Section::Outboxes(_))
    }
}
