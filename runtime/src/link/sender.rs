//! LinkSender: makes bytes of what was appended to the lanes, within the credit that the peer gave.
//!
//! ```text
//!    plan ─► gather: slices for one system call ─► sent(bytes): whole records give room back
//! ```
//!
//! Promises: one call has what several levels have to send, the highest level first, so what is
//! nearest to its end goes ahead; a frame stays in its ring until the system has all of its record.
//!
//! **A marker stands where the bytes are**, not where the lanes are: it follows what was planned,
//! for which there is credit, and comes before what waits. So it needs no credit itself, and a
//! receiver that takes nothing cannot hold a checkpoint up. What waits is the sender's own then:
//! its snapshot saves [`each_unplanned`](LinkSender::each_unplanned).
//!
//! **A word follows the frames of its lane** that were there when it was written, and needs no
//! credit itself. Of several numbers of one word the newest goes.

use std::io::IoSlice;

use super::receiver::LinkReceiver;
use super::wire::{
    CREDIT_BYTES, EPOCH_BYTES, FRAMES_BYTES, HEADER_BYTES, LinkRecord, RECORDS_MAX, WORD_BYTES,
};
use crate::ring::{Consumer, FrameRun, Position};

/// Makes bytes of what was appended.
pub struct LinkSender {
    levels: Box<[SendLevel]>,
    /// Records that the system does not have yet, oldest first.
    planned: [Option<Planned>; RECORDS_MAX],
    /// Bytes of the first one that the system has.
    done: usize,
    /// Content of the credit record that is planned.
    credit: Box<[u8]>,
    /// Content of the marker record that is planned.
    epoch: [u8; EPOCH_BYTES],
    /// The epoch of a marker that is not planned; the newest wins.
    marked: Option<u32>,
    words: Box<[SendWord]>,
    /// Words with a number that is not planned.
    words_waiting: usize,
}

/// A word on its way.
#[derive(Clone, Copy)]
struct SendWord {
    level: usize,
    /// Bytes of its lane that come before it, and what it says, if that is not planned.
    waiting: Option<(u64, (i64, u64))>,
    /// How many numbers were written.
    written: u64,
    /// Content of the record that is planned.
    content: [u8; WORD_BYTES],
    is_planned: bool,
}

struct SendLevel {
    frames: Consumer,
    /// Everything before it was planned.
    planned: Position,
    /// Bytes of frames that were planned since the beginning.
    sent: u64,
    /// How many there may be.
    allowed: u64,
    /// How many of them one record may have.
    record_bytes_max: u64,
}

#[derive(Clone, Copy)]
struct Planned {
    header: [u8; HEADER_BYTES],
    content: Content,
    bytes: usize,
}

#[derive(Clone, Copy)]
enum Content {
    /// Of this level.
    Frames(usize, FrameRun),
    Credit,
    Epoch,
    /// This word.
    Word(usize),
}

impl LinkSender {
    pub(super) fn new(frames: Vec<Consumer>, word_levels: &[usize], window: u64) -> Self {
        let credit = vec![0; frames.len() * CREDIT_BYTES].into();
        let level = |frames: Consumer| SendLevel {
            planned: frames.head(),
            sent: 0,
            allowed: window,
            record_bytes_max: FRAMES_BYTES.max(frames.frame_bytes_max()) as u64,
            frames,
        };
        let levels = frames.into_iter().map(level).collect();
        let epoch = [0; EPOCH_BYTES];
        let word = |level: &usize| SendWord {
            level: *level,
            waiting: None,
            written: 0,
            content: [0; WORD_BYTES],
            is_planned: false,
        };
        Self {
            levels,
            planned: [None; RECORDS_MAX],
            done: 0,
            credit,
            epoch,
            marked: None,
            words: word_levels.iter().map(word).collect(),
            words_waiting: 0,
        }
    }

    /// A number was written into a word: it follows the first `after` bytes of its lane.
    pub(crate) fn tell(&mut self, word: usize, after: u64, number: (i64, u64)) {
        let word = &mut self.words[word];
        self.words_waiting += usize::from(word.waiting.is_none());
        word.waiting = Some((after, number));
        word.written += 1;
    }

    /// Marks the position that the bytes have reached: what is planned lies before the marker of
    /// `epoch`, what is not follows it, at every level.
    pub(crate) fn mark(&mut self, epoch: u32) {
        self.marked = Some(epoch);
    }

    /// Shows each frame of `level` that follows the marker, if one is set now, in order.
    pub(crate) fn each_unplanned(&self, level: usize, mut show: impl FnMut(&[u8])) {
        let SendLevel { frames, planned, .. } = &self.levels[level];
        let mut at = *planned;
        while let Some((frame, next)) = frames.frame_at(at) {
            show(frame);
            at = next;
        }
    }

    /// Plans what is to be sent next: credit for the peer if there is some to give, a marker if one
    /// is set, and frames as far as the peer has room, which `receiver` knows. Returns whether
    /// there is anything to send. Nothing is added to records of which the system has a part.
    pub fn plan(&mut self, receiver: &mut LinkReceiver) -> bool {
        if self.planned[0].is_some() {
            return true;
        }
        let allowed = self.levels.iter_mut().zip(receiver.allowed());
        allowed.for_each(|(level, allowed)| level.allowed = *allowed);
        let mut count = 0;
        if let Some(credit) = receiver.new_credit() {
            self.planned[count] = Some(self.plan_credit(credit));
            count += 1;
        }
        if let Some(epoch) = self.marked.take() {
            self.planned[count] = Some(self.plan_mark(epoch));
            count += 1;
        }
        if self.words_waiting > 0 {
            // Before the frames, which may take all room, and after them.
            count = self.plan_words(count);
        }
        let levels = self.levels.len();
        for (number, level) in self.levels.iter_mut().enumerate().rev() {
            while count < RECORDS_MAX
                && let Some(run) = level.next()
            {
                let bytes = run.bytes() as u32;
                let header = LinkRecord::Frames { level: number, bytes }.header(levels);
                let content = Content::Frames(number, run);
                self.planned[count] = Some(Planned { header, content, bytes: bytes as usize });
                count += 1;
            }
        }
        if self.words_waiting > 0 {
            count = self.plan_words(count);
        }
        count > 0
    }

    /// Plans the words whose frames are planned, as far as there is room after `count` records.
    /// Returns how many records there are then.
    fn plan_words(&mut self, mut count: usize) -> usize {
        for at in 0..self.words.len() {
            let SendWord { level, waiting, written, is_planned, .. } = self.words[at];
            let Some((after, (number, beside))) = waiting else { continue };
            let goes = !is_planned && self.levels[level].bytes_planned() >= after;
            if !goes || count == RECORDS_MAX {
                continue;
            }
            let mut content = [0; WORD_BYTES];
            let values = [at as u64, number.cast_unsigned(), beside, written];
            content.chunks_exact_mut(8).zip(values).for_each(|(room, value)| {
                room.copy_from_slice(&value.to_le_bytes());
            });
            self.words[at] =
                SendWord { waiting: None, content, is_planned: true, ..self.words[at] };
            self.words_waiting -= 1;
            let header = LinkRecord::Word { level }.header(self.levels.len());
            let content = Content::Word(at);
            self.planned[count] = Some(Planned { header, content, bytes: WORD_BYTES });
            count += 1;
        }
        count
    }

    /// Whether frames wait, for which the peer has no room: when nothing could be
    /// [planned](Self::plan).
    #[inline]
    pub fn waits_for_credit(&self) -> bool {
        self.levels.iter().any(SendLevel::waits)
    }

    fn plan_credit(&mut self, credit: &[u64]) -> Planned {
        let words = self.credit.chunks_exact_mut(CREDIT_BYTES);
        words.zip(credit).for_each(|(word, credit)| word.copy_from_slice(&credit.to_le_bytes()));
        let header = LinkRecord::Credit.header(self.levels.len());
        Planned { header, content: Content::Credit, bytes: self.credit.len() }
    }

    #[cold]
    fn plan_mark(&mut self, epoch: u32) -> Planned {
        self.epoch = u64::from(epoch).to_le_bytes();
        let header = LinkRecord::Mark.header(self.levels.len());
        Planned { header, content: Content::Epoch, bytes: EPOCH_BYTES }
    }

    /// The bytes of all planned records, as far as the system does not have them. Returns how many
    /// of `slices` there are.
    pub fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>; 2 * RECORDS_MAX]) -> usize {
        let (mut count, mut skip) = (0, self.done);
        for planned in self.planned.iter().map_while(Option::as_ref) {
            let content = match &planned.content {
                Content::Frames(level, run) => self.levels[*level].frames.run(run),
                Content::Credit => &self.credit[..],
                Content::Epoch => &self.epoch[..],
                Content::Word(at) => &self.words[*at].content[..],
            };
            for part in [&planned.header[..], content] {
                let left = &part[skip.min(part.len())..];
                skip -= part.len() - left.len();
                if !left.is_empty() {
                    slices[count] = IoSlice::new(left);
                    count += 1;
                }
            }
        }
        count
    }

    /// The system has `bytes` more of what was gathered.
    ///
    /// # Panics
    /// There were fewer.
    pub fn sent(&mut self, bytes: usize) {
        self.done += bytes;
        let mut whole = 0;
        while let Some(planned) = self.planned.get(whole).copied().flatten()
            && self.done >= HEADER_BYTES + planned.bytes
        {
            self.done -= HEADER_BYTES + planned.bytes;
            match planned.content {
                Content::Frames(level, run) => {
                    self.levels[level].frames.consume_to(run.end());
                }
                Content::Word(at) => self.words[at].is_planned = false,
                Content::Credit | Content::Epoch => {}
            }
            whole += 1;
        }
        self.planned[..whole].fill(None);
        self.planned.rotate_left(whole);
        assert!(self.done == 0 || self.planned[0].is_some(), "more than there was");
    }

    /// Bytes of frames of `level` that were planned since the link was made.
    pub fn bytes_sent(&self, level: usize) -> u64 {
        self.levels[level].sent
    }
}

impl SendLevel {
    /// Bytes of its lane that are planned, or were sent.
    fn bytes_planned(&self) -> u64 {
        self.frames.bytes_consumed() + self.planned.bytes_since(self.frames.head())
    }

    /// Whether frames wait, and no further one may be sent. It looks for them only where credit is
    /// short: a link that is idle has none.
    #[inline]
    fn waits(&self) -> bool {
        self.allowed - self.sent < self.frames.frame_bytes_max() as u64
            && self.frames.frame_at(self.planned).is_some()
    }

    /// The next frames that may be sent, side by side.
    fn next(&mut self) -> Option<FrameRun> {
        let bytes_max = (self.allowed - self.sent).min(self.record_bytes_max);
        let run = self.frames.run_at(self.planned, bytes_max)?;
        self.planned = run.end();
        self.sent += run.bytes();
        Some(run)
    }
}
