//! Records: the bytes of a link as the format describes them, read without the code that is tested.

use std::collections::VecDeque;

/// Kinds of records, and bytes of their headers.
pub(super) const FRAMES: u8 = 1;
pub(super) const CREDIT: u8 = 2;
pub(super) const MARK: u8 = 3;
pub(super) const WORD: u8 = 4;
pub(super) const HEADER_BYTES: usize = 8;

/// One thing that a link has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A frame of a level.
    Frame { level: usize, bytes: Vec<u8> },
    /// By level, what the other end may send in all.
    Credit(Vec<u64>),
    /// A marker of this epoch, at all levels.
    Mark(u64),
    /// A number of a word.
    Word,
}

/// Makes items of bytes that come in pieces.
#[derive(Debug, Default)]
pub(super) struct RecordReader {
    bytes: VecDeque<u8>,
    /// Level of the record of frames that has begun, and its bytes that are left.
    frames: Option<(usize, usize)>,
}

impl RecordReader {
    /// Adds bytes.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// Whether nothing has come in part.
    pub(super) fn is_between_records(&self) -> bool {
        self.bytes.is_empty() && self.frames.is_none()
    }

    /// The next item, if all of it has come.
    ///
    /// # Errors
    /// The bytes are none of the format.
    pub(super) fn next(&mut self) -> Result<Option<Item>, String> {
        if let Some((level, left)) = self.frames {
            return Ok(self.frame(level, left));
        }
        let Some(content) = self.u32_at(4).map(|bytes| bytes as usize) else { return Ok(None) };
        match self.bytes[0] {
            FRAMES => {
                let level = usize::from(self.bytes[1]);
                self.bytes.drain(..HEADER_BYTES);
                self.frames = Some((level, content));
                self.next()
            }
            CREDIT | MARK | WORD if self.bytes.len() < HEADER_BYTES + content => Ok(None),
            kind @ (CREDIT | MARK | WORD) => {
                self.bytes.drain(..HEADER_BYTES);
                let content: Vec<u8> = self.bytes.drain(..content).collect();
                let mut words = content.chunks_exact(8).map(word);
                Ok(match kind {
                    CREDIT => Some(Item::Credit(words.collect())),
                    WORD => Some(Item::Word),
                    _ => words.next().map(Item::Mark),
                })
            }
            kind => Err(format!("a link has sent a record of kind {kind}")),
        }
    }

    fn frame(&mut self, level: usize, left: usize) -> Option<Item> {
        let bytes = self.u32_at(0)? as usize;
        let whole = bytes.next_multiple_of(8);
        if self.bytes.len() < whole {
            return None;
        }
        let mut frame: Vec<u8> = self.bytes.drain(..whole).collect();
        frame.truncate(bytes);
        self.frames = (left > whole).then(|| (level, left - whole));
        Some(Item::Frame { level, bytes: frame })
    }

    /// The word at a place of the bytes, if it has come.
    fn u32_at(&self, at: usize) -> Option<u32> {
        let mut bytes = self.bytes.iter().skip(at);
        let mut next = || bytes.next().copied();
        Some(u32::from_le_bytes([next()?, next()?, next()?, next()?]))
    }
}

/// Takes the records of credit out of bytes that come in pieces.
#[derive(Debug, Default)]
pub(super) struct CreditFilter {
    header: [u8; HEADER_BYTES],
    /// Bytes of the header that have come.
    begun: usize,
    /// Bytes of the content that have not.
    left: u32,
}

impl CreditFilter {
    /// The others of `bytes`.
    pub(super) fn others(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes.iter().copied().filter(|byte| self.is_other(*byte)).collect()
    }

    fn is_other(&mut self, byte: u8) -> bool {
        if self.begun < HEADER_BYTES {
            self.header[self.begun] = byte;
            self.begun += 1;
            let [.., a, b, c, d] = self.header;
            self.left = u32::from_le_bytes([a, b, c, d]);
        } else {
            self.left -= 1;
        }
        if self.begun == HEADER_BYTES && self.left == 0 {
            self.begun = 0;
        }
        self.header[0] != CREDIT
    }
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("a chunk is as long"))
}
