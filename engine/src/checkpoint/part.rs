//! Part: what one core contributed to one checkpoint, as one object that describes itself.
//!
//! ```text
//!   opening    0  magic "potopart"
//!              8  u32  version of the format
//!             12  u32  bytes of the header
//!             16  u32  crc32c of bytes 0 to 15 and of the header
//!             20  header, JSON
//!   record     0  u8   kind: 1 rows, 2 removed, 3 lanes, 4 outboxes
//!              1  u8   0
//!              2  u16  table or exchange level
//!              4  u32  bytes of the chunk
//!              8  u32  crc32c of bytes 0 to 7 and of the chunk, going on from the one before
//!             12  the chunk
//!   …
//!   end        0  u8   kind 255
//!              1  zeros
//!              4  u32  24
//!              8  u32  crc32c, as of the others
//!             12  u64  number of records before it
//!             20  u128 xxh3 of all bytes before the end
//! ```
//!
//! Numbers are little-endian. Promises: since each checksum goes on from the one before, a record
//! that is changed, missing, doubled, moved or of another part is noticed at its own place, before
//! it is used; the digest guards the whole. Neither side holds more than one chunk.
//! Must never do: interpret what is in a chunk.

mod reader;
mod writer;

use serde::{Deserialize, Serialize};

use super::epoch::Epoch;
use super::facts::Identity;
use super::hex;

pub use reader::PartReader;
pub use writer::PartWriter;

/// What a part says of itself before its first chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartHeader {
    /// Who wrote it.
    pub facts: Identity,
    /// Generation of the coordinator.
    pub generation: u64,
    /// The checkpoint.
    pub epoch: Epoch,
    /// The committed epoch that it builds upon: it holds what changed since. 0 when it is full.
    pub since: Epoch,
    /// The core whose part it is, from 0.
    pub core: u32,
    /// How many cores contributed one.
    pub cores: u32,
}

/// What a complete part comes to; a manifest repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartSeal {
    /// Length of the object.
    pub bytes: u64,
    /// Number of chunks in it.
    pub chunks: u64,
    /// Digest of all bytes before its end record.
    #[serde(with = "hex")]
    pub digest: u128,
}

const MAGIC: [u8; 8] = *b"potopart";

/// Version of the format that is written, and the newest that is read. Version 2 names sources,
/// sinks and exchanges in the header.
const FORMAT: u32 = 2;

/// Headers grow with the number of tables, of which there are 65536 at most.
const HEADER_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// No chunk is longer. Chunks are [`Chunk::BYTES_MAX`](super::Chunk::BYTES_MAX) long unless a
/// single record is longer, and an archive with 32-bit pointers ends here.
const CHUNK_BYTES_MAX: u32 = i32::MAX as u32;

const OPENING_BYTES: usize = 20;
const RECORD_BYTES: usize = 12;
const END_BYTES: u32 = 24;

const KIND_ROWS: u8 = 1;
const KIND_REMOVED: u8 = 2;
const KIND_LANES: u8 = 3;
const KIND_OUTBOXES: u8 = 4;
const KIND_END: u8 = 255;

#[cfg(test)]
mod tests;
