//! What can be wrong with the bytes of a peer.

/// Bytes of a peer that cannot be understood. The connection has to be closed: where the next
/// record begins is not known any more.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// No record has this kind.
    #[error("a record has the unknown kind {0}")]
    Kind(u8),
    /// The link has fewer levels.
    #[error("a record is for level {level}, and the link has {levels} levels")]
    Level {
        /// The level in the record.
        level: u8,
        /// Levels of the link.
        levels: usize,
    },
    /// A record of its kind is never so long.
    #[error("a record of kind {kind} has {bytes} bytes")]
    Length {
        /// The kind.
        kind: u8,
        /// The length.
        bytes: u32,
    },
    /// A frame does not fit its record, or is longer than frames may be.
    #[error("a frame of {frame} bytes stands where a record has {left} bytes left")]
    Frame {
        /// Length of the frame.
        frame: u32,
        /// Bytes of the record from its beginning on.
        left: u64,
    },
    /// The content of a frame is wrong.
    #[error("a frame cannot be used: {0}")]
    Content(String),
    /// More was sent than there was credit for.
    #[error("level {level} has sent more than there was room for")]
    Credit {
        /// The level.
        level: usize,
    },
    /// Markers are those of ever newer epochs.
    #[error("a marker of epoch {now} cannot follow one of epoch {before}")]
    Epoch {
        /// The epoch of the marker before; 0 if there was none.
        before: u32,
        /// The epoch of this one.
        now: u64,
    },
    /// There is no such word at that level, or not more of its numbers were written than before.
    #[error("word {word} of level {level} cannot have {written} numbers now")]
    Word {
        /// The word.
        word: u64,
        /// The level in its record.
        level: usize,
        /// How many numbers of it were written, as the record says.
        written: u64,
    },
    /// Credit was taken back.
    #[error("the credit of level {level} fell from {before} to {now} bytes")]
    LessCredit {
        /// The level.
        level: usize,
        /// What it was.
        before: u64,
        /// What it would be.
        now: u64,
    },
}
