//! Frames that a core keeps to itself: what it processes in place, and what found no room.

/// Frames from a core to itself at one exchange level: a lane without a ring.
///
/// A straight buffer, filled at the end and emptied from the front, back at its beginning whenever
/// it is empty; events of one turn are collected in it so that they are processed as a batch.
#[derive(Default)]
pub(super) struct Local {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

/// Frames begin at multiples of this, as in rings.
const ALIGN: usize = 8;

#[inline(always)]
fn aligned(bytes: usize) -> usize {
    (bytes + (ALIGN - 1)) & !(ALIGN - 1)
}

impl Local {
    pub(super) fn new(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity].into_boxed_slice(), start: 0, end: 0 } // cold: at start
    }

    /// The frames in `bytes`, one after the other.
    pub(super) fn filled(bytes: Vec<u8>) -> Self {
        Self { start: 0, end: bytes.len(), bytes: bytes.into_boxed_slice() }
    }

    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Shows each frame, oldest first.
    pub(super) fn each(&self, mut show: impl FnMut(&[u8])) {
        let mut at = 0;
        while let Some((frame, next)) = self.frame_at(at) {
            show(frame);
            at = next;
        }
    }

    /// Adds a frame of `bytes` bytes and returns its room, after its length word.
    #[inline(always)]
    pub(super) fn try_append(&mut self, bytes: usize) -> Option<&mut [u8]> {
        let start = self.end;
        let end = start + aligned(bytes);
        let frame = self.bytes.get_mut(start..end)?;
        self.end = end;
        let (length, room) = frame.split_first_chunk_mut::<4>()?;
        *length = (bytes as u32).to_le_bytes();
        Some(&mut room[..bytes - 4])
    }

    /// The frame at `at`, counted from the front, and where the next one begins.
    #[inline(always)]
    pub(super) fn frame_at(&self, at: usize) -> Option<(&[u8], usize)> {
        frame_at(&self.bytes[..self.end], self.start + at)
            .map(|(frame, next)| (frame, next - self.start))
    }

    #[cold]
    pub(super) fn frames_waiting(&self) -> usize {
        let first = self.frame_at(0);
        std::iter::successors(first, |(_, next)| self.frame_at(*next)).count()
    }

    /// Gives back everything before `at`.
    #[inline(always)]
    pub(super) fn consume_to(&mut self, at: usize) {
        self.start = (self.start + at).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }
}

#[inline(always)]
fn frame_at(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(at..)?;
    let length = u32::from_le_bytes(*rest.first_chunk()?) as usize;
    Some((&rest[..length], at + aligned(length)))
}

/// Frames of one exchange level that found no room: what one batch of events caused at most.
#[derive(Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    /// For each frame: its target and where it ends.
    frames: Vec<(usize, usize)>,
    sent: usize,
}

impl Outbox {
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Adds a frame to `target` and returns its room, after its length word.
    #[cold]
    pub(super) fn append(&mut self, target: usize, bytes: usize) -> &mut [u8] {
        let start = self.frames.last().map_or(0, |(_, end)| *end);
        self.bytes.resize(start + bytes, 0);
        self.bytes[start..start + 4].copy_from_slice(&(bytes as u32).to_le_bytes());
        self.frames.push((target, start + bytes));
        &mut self.bytes[start + 4..]
    }

    /// The oldest frame and its target.
    pub(super) fn front(&self) -> Option<(usize, &[u8])> {
        let (target, end) = *self.frames.get(self.sent)?;
        let start = self.sent.checked_sub(1).map_or(0, |before| self.frames[before].1);
        Some((target, &self.bytes[start..end]))
    }

    /// Shows each frame, oldest first.
    pub(super) fn each(&self, mut show: impl FnMut(&[u8])) {
        let mut start = self.sent.checked_sub(1).map_or(0, |before| self.frames[before].1);
        for (_, end) in &self.frames[self.sent..] {
            show(&self.bytes[start..*end]);
            start = *end;
        }
    }

    #[cold]
    pub(super) fn frames_waiting(&self) -> usize {
        self.frames.len() - self.sent
    }

    pub(super) fn pop(&mut self) {
        self.sent += 1;
        if self.sent == self.frames.len() {
            self.frames.clear();
            self.bytes.clear();
            self.sent = 0;
        }
    }
}
