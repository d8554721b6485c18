//! The receiving end of all lanes from one core to one other.
//!
//! Owns a ring for each exchange level and looks at the marker words beside them. Promises that a
//! frame once seen stays until it is given back. It must never take a frame that lies beyond the
//! [`LaneLimits`] of its receiver.

use crate::ring::{Consumer, MarkerReader, Position, Word, WordReader};

/// Receives frames from one core, at several exchange levels. It may move to another thread but is
/// never shared.
pub struct Inbound {
    /// By exchange level.
    lanes: Box<[Consumer]>,
    markers: MarkerReader,
    words: WordReader,
    /// By word: the level of its lane.
    word_levels: Box<[usize]>,
}

/// How far a lane may be drained.
#[derive(Clone, Copy, Debug)]
pub struct LaneLimits {
    /// The last epoch of which the receiver has taken its snapshot: what follows a newer marker
    /// stays.
    pub epoch: u32,
    /// No frame from there on is taken.
    pub end: Option<Position>,
}

impl Inbound {
    pub(crate) fn new(
        lanes: Vec<Consumer>,
        markers: MarkerReader,
        words: WordReader,
        word_levels: &[usize],
    ) -> Self {
        Self { lanes: lanes.into_boxed_slice(), markers, words, word_levels: word_levels.into() }
    }

    /// Words beside the lanes: none from a core to itself.
    pub fn words(&self) -> usize {
        self.word_levels.len()
    }

    /// How many numbers of a word were written so far, or fewer. Costs one load of a line that
    /// stays in this core's cache until the sender writes it.
    #[inline]
    pub fn word_version(&self, word: usize) -> u64 {
        self.words.version(word)
    }

    /// The newest number of a word. It may be taken when it holds, and no marker of an epoch after
    /// `epoch` was set before it: then this core has to take its snapshot first.
    ///
    /// # Panics
    /// There is no such word.
    #[inline]
    pub fn word(&self, word: usize, epoch: u32) -> Word {
        let level = self.word_levels[word];
        let read = self.words.read(word, &self.lanes[level]);
        // After the number was read: a sender marks before it writes what follows the marker.
        Word { holds: read.holds && self.markers.epoch(level) <= epoch, ..read }
    }

    /// Exchange levels that have a lane: none from a core to itself.
    pub fn levels(&self) -> usize {
        self.lanes.len()
    }

    /// Whether no lane holds a published frame.
    pub fn is_empty(&self) -> bool {
        self.lanes.iter().all(Consumer::is_empty)
    }

    /// Whether the lane of `level` holds a published frame. Costs one load of a line that stays in
    /// this core's cache until the sender writes it.
    #[inline(always)]
    pub fn waits(&self, level: usize) -> bool {
        self.lanes.get(level).is_some_and(|lane| !lane.is_empty())
    }

    /// The lane of `level`, to be drained within `limits`.
    ///
    /// # Panics
    /// There is no lane of that level.
    #[inline(always)]
    pub fn drain(&mut self, level: usize, limits: LaneLimits) -> InboundLane<'_> {
        let frames = &mut self.lanes[level];
        InboundLane { frames, markers: &self.markers, level, limits, released: false }
    }

    /// The position of the oldest frame of `level` that is not consumed, or where it will appear.
    ///
    /// # Panics
    /// There is no lane of that level, as for all methods below.
    pub fn head(&self, level: usize) -> Position {
        self.lanes[level].head()
    }

    /// The frame of `level` at `position` and the position after it, as [`Consumer::frame_at`],
    /// whatever the limits are.
    pub fn frame_at(&self, level: usize, position: Position) -> Option<(&[u8], Position)> {
        self.lanes[level].frame_at(position)
    }

    /// The newest epoch that was marked at `level`, and whether its marker lies at `position` or
    /// before. Ask after a frame was seen there to know whether it follows the marker.
    pub fn marker(&self, level: usize, position: Position) -> (u32, bool) {
        let lane = &self.lanes[level];
        let marker = self.markers.read(level, lane);
        let before = lane.bytes_consumed() + position.bytes_since(lane.head());
        (marker.epoch, before >= marker.at)
    }
}

/// One lane while it is drained.
pub struct InboundLane<'a> {
    frames: &'a mut Consumer,
    markers: &'a MarkerReader,
    level: usize,
    limits: LaneLimits,
    released: bool,
}

impl InboundLane<'_> {
    /// The position of the oldest frame that is not consumed.
    #[inline(always)]
    pub fn head(&self) -> Position {
        self.frames.head()
    }

    /// The frame at `position`, its length word included, and the position after it; `None` if
    /// there is none within the limits.
    #[inline(always)]
    pub fn frame_at(&self, position: Position) -> Option<(&[u8], Position)> {
        if self.limits.end.is_some_and(|end| position >= end) {
            return None;
        }
        self.frames.frame_at(position)
    }

    /// Gives back everything before `position`.
    #[inline(always)]
    pub fn consume_to(&mut self, position: Position) {
        self.released |= self.frames.consume_to(position);
    }

    /// Whether a frame that was seen may follow a marker of a newer epoch than that of the limits.
    #[inline(always)]
    pub fn marked(&self) -> bool {
        self.epoch() > self.limits.epoch
    }

    /// The newest epoch that was marked in the lane.
    #[inline(always)]
    pub fn epoch(&self) -> u32 {
        self.markers.epoch(self.level)
    }

    /// Whether the sender can know of room that it may wait for, and is to be woken.
    #[inline(always)]
    pub fn released(&self) -> bool {
        self.released
    }
}
