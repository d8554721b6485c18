//! The sending end of all lanes from one core to one other.
//!
//! Owns a ring for each exchange level, and what leads on from there: markers and words beside the
//! rings if the other core drains them, else the sender of the link that does. Promises that a
//! frame of one level never waits for one of another. It must never lead from a core to itself:
//! such an end has no lanes.

use crate::link::LinkSender;
use crate::ring::{MarkerWriter, Producer, WordWriter};

/// Sends frames to one core, at several exchange levels. It may move to another thread but is never
/// shared.
pub struct Outbound {
    /// By exchange level.
    lanes: Box<[Producer]>,
    /// By word: the level of its lane.
    word_levels: Box<[usize]>,
    far: FarEnd,
}

/// Who drains the rings.
enum FarEnd {
    /// The other core.
    Core(MarkerWriter, WordWriter),
    /// A link to it.
    Link(Box<LinkSender>),
}

impl Outbound {
    pub(crate) fn new(
        lanes: Vec<Producer>,
        markers: MarkerWriter,
        words: WordWriter,
        word_levels: &[usize],
    ) -> Self {
        let far = FarEnd::Core(markers, words);
        Self { lanes: lanes.into_boxed_slice(), word_levels: word_levels.into(), far }
    }

    pub(crate) fn over_link(
        lanes: Vec<Producer>,
        sender: Box<LinkSender>,
        word_levels: &[usize],
    ) -> Self {
        let far = FarEnd::Link(sender);
        Self { lanes: lanes.into_boxed_slice(), word_levels: word_levels.into(), far }
    }

    /// By word: the level of the lane beside which it stands.
    pub fn word_levels(&self) -> &[usize] {
        &self.word_levels
    }

    /// Words beside the lanes: none from a core to itself.
    pub fn words(&self) -> usize {
        self.word_levels.len()
    }

    /// Writes a number into a word: it holds for the receiver after everything that was published
    /// in its lane; and what is said `beside` it.
    ///
    /// # Panics
    /// There is no such word, or something in its lane is not published.
    #[inline]
    pub fn tell(&mut self, word: usize, number: i64, beside: u64) {
        let lane = &self.lanes[self.word_levels[word]];
        match &mut self.far {
            FarEnd::Core(_, words) => words.write(word, lane, number, beside),
            FarEnd::Link(sender) => {
                assert!(
                    !lane.has_unpublished(),
                    "a word is written after everything was published"
                );
                sender.tell(word, lane.bytes_committed(), (number, beside));
            }
        }
    }

    /// Makes bytes of what was appended, if the other core is reached over a link.
    #[inline]
    pub fn link(&mut self) -> Option<&mut LinkSender> {
        match &mut self.far {
            FarEnd::Core(..) => None,
            FarEnd::Link(sender) => Some(sender),
        }
    }

    /// Whether it leads nowhere: it is the end from a core to itself.
    #[inline]
    pub fn is_none(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Exchange levels that have a lane.
    pub fn levels(&self) -> usize {
        self.lanes.len()
    }

    /// Longest frame in bytes that each lane takes; `None` if there is no lane.
    pub fn frame_bytes_max(&self) -> Option<usize> {
        self.lanes.iter().map(Producer::frame_bytes_max).min()
    }

    /// Appends a frame of `bytes` in total to the lane of `level`. Returns its room, everything
    /// after the length word, and whether the lane had nothing unpublished before: then it needs a
    /// [`publish`](Self::publish). `None` means that the lane is full now.
    ///
    /// # Panics
    /// There is no lane of that level, or as [`Producer::try_append`].
    #[inline(always)]
    pub fn try_append(&mut self, level: usize, bytes: usize) -> Option<(&mut [u8], bool)> {
        let lane = &mut self.lanes[level];
        let clean = !lane.has_unpublished();
        let room = lane.try_append(bytes)?;
        Some((room, clean))
    }

    /// Appends up to `count` frames of `bytes` each to the lane of `level`, as
    /// [`Producer::append_run`]. Returns how many, and whether the lane had nothing unpublished
    /// before.
    ///
    /// # Panics
    /// As [`try_append`](Self::try_append).
    #[inline(always)]
    pub fn append_run(
        &mut self,
        level: usize,
        bytes: usize,
        count: usize,
        fill: impl FnOnce(usize, &mut [u8]),
    ) -> (usize, bool) {
        let lane = &mut self.lanes[level];
        let clean = !lane.has_unpublished();
        (lane.append_run(bytes, count, fill), clean)
    }

    /// Makes everything appended at `level` visible to the receiver. Returns whether there was
    /// something.
    #[inline]
    pub fn publish(&mut self, level: usize) -> bool {
        self.lanes[level].publish()
    }

    /// Marks the position that each lane has reached, for its receiver: over a link the position
    /// before [what is unsent](Self::each_unsent).
    ///
    /// # Panics
    /// Something is not published.
    pub fn mark(&mut self, epoch: u32) {
        for (level, lane) in self.lanes.iter().enumerate() {
            match &mut self.far {
                FarEnd::Core(markers, _) => markers.mark(level, lane, epoch),
                FarEnd::Link(_) => {
                    assert!(!lane.has_unpublished(), "a mark follows what was published");
                }
            }
        }
        if let FarEnd::Link(sender) = &mut self.far {
            sender.mark(epoch);
        }
    }

    /// Shows each frame of `level` that is still this core's and follows what was marked, in order:
    /// what waits for a link. Right after [`mark`](Self::mark).
    pub fn each_unsent(&self, level: usize, show: impl FnMut(&[u8])) {
        if let FarEnd::Link(sender) = &self.far {
            sender.each_unplanned(level, show);
        }
    }

    /// Bytes of the lane of `level` that are in use; 0 if there is no lane. Reads the receiver's
    /// cache line: for reports, not for each turn.
    pub fn bytes_in_use(&self, level: usize) -> u64 {
        self.lanes.get(level).map_or(0, Producer::bytes_in_use)
    }
}
