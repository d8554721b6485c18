//! Frames out of a stream of bytes.
//!
//! Promises: the length of a frame is looked at before memory is taken for it; an interrupted read
//! loses nothing, so one that ended for lack of time can be repeated.

use std::io::{self, Read};
use std::time::Instant;

use crate::{Error, FRAME_BYTES_MAX, Frame, HELLO_BYTES_MAX, Malformed};

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// Reads frames. Begins with those that strangers may send: see [`welcome`](Self::welcome).
#[derive(Debug)]
pub struct FrameReader<R> {
    from: R,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    most: usize,
    /// Nothing more is read of a stranger after it.
    until: Option<Instant>,
}

impl<R: Read> FrameReader<R> {
    /// Reads frames from `from`, of up to [`HELLO_BYTES_MAX`] bytes.
    pub fn new(from: R) -> Self {
        Self { from, bytes: Vec::new(), start: 0, end: 0, most: HELLO_BYTES_MAX, until: None }
    }

    /// Ends at `until`, with an error of the kind `TimedOut`, however slowly bytes come; a
    /// single read is bounded by the stream itself.
    #[must_use]
    pub fn until(self, until: Instant) -> Self {
        Self { until: Some(until), ..self }
    }

    /// From now on frames may have up to [`FRAME_BYTES_MAX`] bytes, and as long as they like.
    pub fn welcome(&mut self) {
        (self.most, self.until) = (FRAME_BYTES_MAX, None);
        self.bytes.resize(READ_BYTES, 0);
    }

    /// Whether the next frame is there without waiting for it, whole or so broken that reading it
    /// fails at once.
    pub fn has_frame(&self) -> bool {
        match self.length() {
            Ok(Some(length)) => self.end - self.start >= 4 + length,
            Ok(None) => false,
            Err(_) => true,
        }
    }

    /// Waits for the next frame; `None` at the end of the stream, between two frames.
    ///
    /// # Errors
    /// The stream cannot be read, ends within a frame, or has something else in it. After an error
    /// of the kind `WouldBlock` or `TimedOut` the call may be repeated.
    pub fn read(&mut self) -> Result<Option<Frame<'_>>, Error> {
        loop {
            let needed = match self.length()? {
                Some(length) => 4 + length,
                None => 4,
            };
            let there = self.end - self.start;
            if there >= needed && there > 4 {
                let start = self.start + 4;
                self.start += needed;
                return Ok(Some(Frame::decode(&self.bytes[start..self.start])?));
            }
            if !self.fill(needed.max(5))? {
                let cut = io::Error::new(io::ErrorKind::UnexpectedEof, "it ends within a frame");
                return if there == 0 { Ok(None) } else { Err(cut.into()) };
            }
        }
    }

    /// The last `bytes` of the frame that was read last.
    pub(crate) fn last_payload(&self, bytes: usize) -> &[u8] {
        &self.bytes[self.start - bytes..self.start]
    }

    /// The length of the frame in front, once it is there.
    fn length(&self) -> Result<Option<usize>, Malformed> {
        let Some(length) = self.bytes[self.start..self.end].first_chunk() else { return Ok(None) };
        let (bytes, most) = (u32::from_le_bytes(*length) as usize, self.most);
        let allowed = (1..=most).contains(&bytes);
        if allowed { Ok(Some(bytes)) } else { Err(Malformed::Length { bytes, most }) }
    }

    /// Reads once, with room for a frame of `needed` bytes. Returns false at the end.
    fn fill(&mut self, needed: usize) -> io::Result<bool> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.start + needed > self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if needed > self.bytes.len() {
                // For a stranger no more than it may fill.
                self.bytes.resize(needed.max(READ_BYTES.min(4 + self.most)), 0);
            }
        }
        loop {
            if self.until.is_some_and(|until| Instant::now() >= until) {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it takes too long"));
            }
            match self.from.read(&mut self.bytes[self.end..]) {
                Ok(bytes) => {
                    self.end += bytes;
                    return Ok(bytes > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
