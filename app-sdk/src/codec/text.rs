//! LineText: every line is an event.

use super::{Decode, Encode, Lines, Reason};
use alloc::{string::String, vec::Vec};

/// Lines of UTF-8 text as `String` events, without their line ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineText {
    lines: Lines,
}

impl LineText {
    /// Lines of up to 65 536 bytes.
    ///
    /// ```
    /// use potoroo_sdk::codec::{Decode, Encode, LineText};
    ///
    /// assert_eq!(LineText::new().decode(b"to be"), Ok("to be".to_owned()));
    /// let mut out = Vec::new();
    /// LineText::new().encode("to be", &mut out);
    /// assert_eq!(out, b"to be\n");
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { lines: Lines::new() }
    }

    /// Refuses lines longer than this many bytes, line end included.
    ///
    /// ```
    /// use potoroo_sdk::codec::{Decode, Framing, LineText};
    ///
    /// assert_eq!(LineText::new().length_max(80).framing().frame_bytes_max(), 80);
    /// ```
    #[must_use]
    pub const fn length_max(self, bytes: usize) -> Self {
        Self { lines: self.lines.length_max(bytes) }
    }
}

impl Decode for LineText {
    type Event = String;
    type Framing = Lines;

    fn framing(&self) -> Lines {
        self.lines
    }

    fn decode(&self, payload: &[u8]) -> Result<String, Reason> {
        core::str::from_utf8(payload)
            .map(String::from)
            .map_err(|_| Reason::new("line is not UTF-8"))
    }
}

impl Encode for LineText {
    type Event = String;

    fn encode(&self, event: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(event.as_bytes());
        out.push(b'\n');
    }
}
