//! What bounds the streams of a source.

use crate::connect::pipe::BUFFER_BYTES;

/// Messages of one stream that may be on their way: enough to fill a pipe with small ones.
pub const CREDIT: u64 = 4096;

/// Messages of one stream without an acknowledgement of which it is known where they end. When
/// there are more, every second end is forgotten: then an acknowledgement may come a message or two
/// late.
pub const NOTES_MAX: usize = 32_768;

/// What bounds each stream.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages that may be on their way.
    pub credit: u64,
    /// Ends of messages without an acknowledgement that are known, at least 2.
    pub notes: usize,
    /// Bytes of each buffer of its pipe.
    pub buffer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { credit: CREDIT, notes: NOTES_MAX, buffer_bytes: BUFFER_BYTES }
    }
}
