//! The bytes between two ends of a link: records, each with a header of eight bytes.
//!
//! ```text
//!    0      1       2       4         8
//!    ├──────┼───────┼───────┼─────────┼─ ─ ─ ─ ─
//!    │ kind │ level │   0   │  bytes  │ content
//!    └──────┴───────┴───────┴─────────┴─ ─ ─ ─ ─
//!      u8     u8      u16     u32
//!
//!    1 frames   whole frames of the level as they lie in a ring, each at a multiple of 8 bytes
//!    2 credit   of each level a u64: bytes of frames that the receiver of this record may have
//!               sent in all, since the link was made
//!    3 mark     an epoch as a u64 below 2^32: the frames of the records before this one lie before
//!               the marker of that epoch, those of the records after it follow it, at every level
//!    4 word     four u64: which word, its number (as i64), what is said beside it, how many
//!               numbers of it were written so far; it holds after the frames of its level, which
//!               is in the header, in the records before this one
//! ```
//!
//! Little-endian. A content is a multiple of eight bytes long and follows its header at once.

use super::fault::LinkFault;

/// Bytes of a header.
pub const HEADER_BYTES: usize = 8;

/// Bytes of frames in one record at most, unless one frame alone is longer.
pub const FRAMES_BYTES: usize = 64 * 1024;

/// Records that are handed to the system at once.
pub const RECORDS_MAX: usize = 8;

/// Bytes of the credit of one level.
pub const CREDIT_BYTES: usize = 8;

/// Bytes of the epoch of a marker.
pub const EPOCH_BYTES: usize = 8;

/// Bytes of a word.
pub const WORD_BYTES: usize = 32;

/// What a record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkRecord {
    /// Frames of a level, this many bytes.
    Frames { level: usize, bytes: u32 },
    /// Credit of all levels.
    Credit,
    /// A marker of all levels.
    Mark,
    /// A word of a level.
    Word { level: usize },
}

const FRAMES: u8 = 1;
const CREDIT: u8 = 2;
const MARK: u8 = 3;
const WORD: u8 = 4;

impl LinkRecord {
    /// Its header, on a link with `levels` levels.
    pub fn header(self, levels: usize) -> [u8; HEADER_BYTES] {
        let (kind, level, bytes) = match self {
            Self::Frames { level, bytes } => (FRAMES, level as u8, bytes),
            Self::Credit => (CREDIT, 0, (levels * CREDIT_BYTES) as u32),
            Self::Mark => (MARK, 0, EPOCH_BYTES as u32),
            Self::Word { level } => (WORD, level as u8, WORD_BYTES as u32),
        };
        let mut header = [kind, level, 0, 0, 0, 0, 0, 0];
        header[4..].copy_from_slice(&bytes.to_le_bytes());
        header
    }

    /// Reads a header on a link with `levels` levels, whose frames have up to `frame_bytes_max`
    /// bytes.
    pub fn read(
        header: [u8; HEADER_BYTES],
        levels: usize,
        frame_bytes_max: usize,
    ) -> Result<Self, LinkFault> {
        let [kind, level, _, _, bytes @ ..] = header;
        let bytes = u32::from_le_bytes(bytes);
        let fits = bytes as usize <= FRAMES_BYTES.max(frame_bytes_max);
        match kind {
            FRAMES | WORD if usize::from(level) >= levels => {
                Err(LinkFault::Level { level, levels })
            }
            FRAMES if bytes.is_multiple_of(8) && bytes > 0 && fits => {
                Ok(Self::Frames { level: level.into(), bytes })
            }
            CREDIT if bytes as usize == levels * CREDIT_BYTES => Ok(Self::Credit),
            MARK if bytes as usize == EPOCH_BYTES => Ok(Self::Mark),
            WORD if bytes as usize == WORD_BYTES => Ok(Self::Word { level: level.into() }),
            FRAMES | CREDIT | MARK | WORD => Err(LinkFault::Length { kind, bytes }),
            _ => Err(LinkFault::Kind(kind)),
        }
    }
}
