//! Framings: length in front, lines, fixed size.

use super::{Framing, Reason, Split};

/// Shared by all framings: the stream ended inside a frame.
const CUT_OFF: Reason = Reason::new("cut off by the end of the stream");

/// How the length in front of a frame is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthWord {
    /// Two bytes, most significant first.
    U16Be,
    /// Two bytes, least significant first.
    U16Le,
    /// Four bytes, most significant first: "network order".
    U32Be,
    /// Four bytes, least significant first.
    U32Le,
}

impl LengthWord {
    /// Size of the word in bytes.
    ///
    /// ```
    /// use potoroo_sdk::codec::LengthWord;
    ///
    /// assert_eq!(LengthWord::U16Be.bytes(), 2);
    /// ```
    #[must_use]
    #[inline]
    pub const fn bytes(self) -> usize {
        match self {
            Self::U16Be | Self::U16Le => 2,
            Self::U32Be | Self::U32Le => 4,
        }
    }

    /// Writes `length` to `room`, which has the size of the word.
    #[inline]
    pub(super) fn write(self, length: usize, room: &mut [u8]) {
        let short = || u16::try_from(length).expect("the payload fits a length of two bytes");
        let long = || u32::try_from(length).expect("the payload fits a length of four bytes");
        match self {
            Self::U16Be => room.copy_from_slice(&short().to_be_bytes()),
            Self::U16Le => room.copy_from_slice(&short().to_le_bytes()),
            Self::U32Be => room.copy_from_slice(&long().to_be_bytes()),
            Self::U32Le => room.copy_from_slice(&long().to_le_bytes()),
        }
    }

    /// The length at the start of `bytes`, or `None` when there are too few.
    #[inline]
    fn read(self, bytes: &[u8]) -> Option<usize> {
        Some(match self {
            Self::U16Be => u16::from_be_bytes(*bytes.first_chunk()?) as usize,
            Self::U16Le => u16::from_le_bytes(*bytes.first_chunk()?) as usize,
            Self::U32Be => u32::from_be_bytes(*bytes.first_chunk()?) as usize,
            Self::U32Le => u32::from_le_bytes(*bytes.first_chunk()?) as usize,
        })
    }
}

/// Frames with the length of their payload in front.
///
/// ```text
/// ┌────────┬───────────────────┐
/// │ length │ payload           │   length counts the payload only
/// └────────┴───────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthPrefixed {
    word: LengthWord,
    length_min: usize,
    length_max: usize,
}

impl LengthPrefixed {
    /// Longest payload in bytes by default: far above any market-data message and
    /// small enough that a garbage length is noticed at once instead of waited for.
    pub const LENGTH_MAX_DEFAULT: usize = 64 * 1024;

    /// Payloads of 1 to 65 536 bytes behind a length of this form.
    ///
    /// ```
    /// use potoroo_sdk::codec::{Framing, LengthPrefixed, LengthWord, Split};
    ///
    /// let framing = LengthPrefixed::new(LengthWord::U16Be);
    /// assert_eq!(framing.split(b"\0\x02be", false), Split::Frame { start: 2, end: 4, next: 4 });
    /// assert_eq!(framing.split(b"\0\x02b", false), Split::More(4));
    /// ```
    #[must_use]
    pub const fn new(word: LengthWord) -> Self {
        Self { word, length_min: 1, length_max: Self::LENGTH_MAX_DEFAULT }
    }

    /// Refuses payloads longer than this many bytes.
    ///
    /// ```
    /// use potoroo_sdk::codec::{Framing, LengthPrefixed, LengthWord, Split};
    ///
    /// let framing = LengthPrefixed::new(LengthWord::U16Be).length_max(100);
    /// assert!(matches!(framing.split(b"\0\x65", false), Split::Broken(_)), "101 bytes");
    /// ```
    #[must_use]
    pub const fn length_max(mut self, bytes: usize) -> Self {
        self.length_max = bytes;
        self
    }

    /// Allows payloads without bytes.
    ///
    /// ```
    /// use potoroo_sdk::codec::{Framing, LengthPrefixed, LengthWord, Split};
    ///
    /// let framing = LengthPrefixed::new(LengthWord::U16Be);
    /// assert!(matches!(framing.split(b"\0\0", false), Split::Skip { next: 2, .. }));
    /// let framing = framing.empty_allowed();
    /// assert_eq!(framing.split(b"\0\0", false), Split::Frame { start: 2, end: 2, next: 2 });
    /// ```
    #[must_use]
    pub const fn empty_allowed(mut self) -> Self {
        self.length_min = 0;
        self
    }

    /// The length is not there yet.
    #[cold]
    fn split_short(&self, bytes: &[u8], ended: bool) -> Split {
        match ended && !bytes.is_empty() {
            true => Split::Skip { next: bytes.len(), reason: CUT_OFF },
            false => Split::More(self.word.bytes()),
        }
    }

    /// The length is there and the payload is not, or the length is out of range.
    #[cold]
    fn split_odd(&self, bytes: &[u8], length: usize, ended: bool) -> Split {
        let start = self.word.bytes();
        if length > self.length_max {
            return Split::Broken(Reason::new("length is above the limit"));
        }
        if length < self.length_min {
            return Split::Skip { next: start, reason: Reason::new("length is zero") };
        }
        match ended {
            true => Split::Skip { next: bytes.len(), reason: CUT_OFF },
            false => Split::More(start + length),
        }
    }
}

impl Framing for LengthPrefixed {
    #[inline]
    fn split(&self, bytes: &[u8], ended: bool) -> Split {
        let Some(length) = self.word.read(bytes) else {
            return self.split_short(bytes, ended);
        };
        let start = self.word.bytes();
        let in_range = length >= self.length_min && length <= self.length_max;
        if in_range && bytes.len() - start >= length {
            return Split::Frame { start, end: start + length, next: start + length };
        }
        self.split_odd(bytes, length, ended)
    }

    fn frame_bytes_max(&self) -> usize {
        self.word.bytes() + self.length_max
    }
}

/// Lines that end with `\n` or `\r\n`; the last one may end with the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    length_max: usize,
}

impl Lines {
    /// Longest line in bytes by default.
    pub const LENGTH_MAX_DEFAULT: usize = 64 * 1024;

    /// Lines of up to 65 536 bytes.
    ///
    /// ```
    /// use potoroo_sdk::codec::{Framing, Lines};
    ///
    /// assert_eq!(Lines::new().frame_bytes_max(), 65_536);
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { length_max: Self::LENGTH_MAX_DEFAULT }
    }

    /// Refuses lines longer than this many bytes, line end included.
    ///
    /// ```
    /// use potoroo_sdk::codec::{Framing, Lines, Split};
    ///
    /// let lines = Lines::new().length_max(3);
    /// assert_eq!(lines.split(b"to\n", false), Split::Frame { start: 0, end: 2, next: 3 });
    /// assert!(matches!(lines.split(b"not\n", false), Split::Overlong { next: 3, .. }));
    /// ```
    #[must_use]
    pub const fn length_max(mut self, bytes: usize) -> Self {
        self.length_max = bytes;
        self
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}

impl Framing for Lines {
    #[inline]
    fn split(&self, bytes: &[u8], ended: bool) -> Split {
        let window = &bytes[..bytes.len().min(self.length_max)];
        match find_line_feed(window) {
            Some(at) => Split::Frame { start: 0, end: line_end(&bytes[..at]), next: at + 1 },
            None => split_open_line(bytes, self.length_max, ended),
        }
    }

    fn frame_bytes_max(&self) -> usize {
        self.length_max
    }

    fn within(self, bytes_max: usize) -> Self {
        Self { length_max: self.length_max.min(bytes_max) }
    }

    fn frame_end(&self, bytes: &[u8]) -> Option<usize> {
        find_line_feed(bytes).map(|at| at + 1)
    }
}

/// Length of a line without the carriage return that may end it.
#[inline]
fn line_end(line: &[u8]) -> usize {
    line.strip_suffix(b"\r").unwrap_or(line).len()
}

/// Where the first line feed is. Steps of 32 bytes compile to vector compares.
#[inline]
fn find_line_feed(bytes: &[u8]) -> Option<usize> {
    let absent = |step: &&[u8]| !step.iter().fold(false, |any, &byte| any | (byte == b'\n'));
    let skipped = 32 * bytes.chunks_exact(32).take_while(absent).count();
    let found = bytes[skipped..].iter().position(|&byte| byte == b'\n');
    found.map(|at| skipped + at)
}

/// A line whose end is not in sight. The beginning of a line above the limit goes to the dead
/// letters; the rest up to and including the line end is passed over.
#[cold]
fn split_open_line(bytes: &[u8], length_max: usize, ended: bool) -> Split {
    if bytes.len() >= length_max {
        let reason = Reason::new("line is above the limit");
        return Split::Overlong { next: length_max, reason };
    }
    match ended && !bytes.is_empty() {
        true => Split::Frame { start: 0, end: line_end(bytes), next: bytes.len() },
        false => Split::More(0),
    }
}

/// Frames that all have the same size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedSize {
    bytes: usize,
}

impl FixedSize {
    /// Frames of this many bytes.
    ///
    /// ```
    /// use potoroo_sdk::codec::{FixedSize, Framing, Split};
    ///
    /// let pairs = FixedSize::new(2);
    /// assert_eq!(pairs.split(b"tobe", false), Split::Frame { start: 0, end: 2, next: 2 });
    /// assert_eq!(pairs.split(b"t", false), Split::More(2));
    /// ```
    ///
    /// # Panics
    /// When `bytes` is 0.
    #[must_use]
    pub const fn new(bytes: usize) -> Self {
        assert!(bytes > 0, "a frame has at least one byte");
        Self { bytes }
    }
}

impl Framing for FixedSize {
    #[inline]
    fn split(&self, bytes: &[u8], ended: bool) -> Split {
        if bytes.len() >= self.bytes {
            return Split::Frame { start: 0, end: self.bytes, next: self.bytes };
        }
        match ended && !bytes.is_empty() {
            true => Split::Skip { next: bytes.len(), reason: CUT_OFF },
            false => Split::More(self.bytes),
        }
    }

    fn frame_bytes_max(&self) -> usize {
        self.bytes
    }
}
