//! LinkReceiver: takes the bytes of the peer, in pieces as they come, and puts its frames into the
//! lanes.
//!
//! Promises: a frame is checked before it is in a lane; what lies beyond the credit is refused, so
//! a lane always has room for what comes. Memory holds one record's header, or one frame, of which
//! a piece has come. A marker or word lies where it lay in the bytes: as a sibling's would, it
//! stands beside the ring, so that who drains the lanes finds no difference.

use super::fault::LinkFault;
use super::wire::{CREDIT_BYTES, EPOCH_BYTES, HEADER_BYTES, LinkRecord, WORD_BYTES};
use crate::ring::{FRAME_ALIGN_BYTES, FRAME_LENGTH_BYTES, MarkerWriter, Producer, WordWriter};

/// Takes the peer's bytes.
pub struct LinkReceiver {
    levels: Box<[ReceiveLevel]>,
    markers: MarkerWriter,
    words: WordWriter,
    /// By word: the level of its lane.
    word_levels: Box<[usize]>,
    /// The epoch that was marked last; 0 before the first.
    epoch: u32,
    window: u64,
    frame_bytes_max: usize,
    /// The beginning of what has come in part.
    rest: Vec<u8>,
    next: Next,
    /// By level: how much the peer may have sent, as it was last said.
    credit: Box<[u64]>,
    /// By level: how much this end may send.
    allowed: Box<[u64]>,
}

struct ReceiveLevel {
    frames: Producer,
    /// Bytes of frames that came.
    received: u64,
    /// Something is not published.
    touched: bool,
}

/// What the next bytes are.
#[derive(Clone, Copy)]
enum Next {
    Header,
    /// A frame of this level, and how many bytes of its record are left.
    Frame(usize, u64),
    Credit,
    Epoch,
    /// Of this level.
    Word(usize),
}

impl LinkReceiver {
    pub(super) fn new(
        frames: Vec<Producer>,
        markers: MarkerWriter,
        (words, word_levels): (WordWriter, &[usize]),
        window: u64,
    ) -> Self {
        let frame_bytes_max = frames.iter().map(Producer::frame_bytes_max).min().unwrap_or(0);
        let credit = vec![window; frames.len()].into_boxed_slice();
        let level = |frames| ReceiveLevel { frames, received: 0, touched: false };
        Self {
            levels: frames.into_iter().map(level).collect(),
            markers,
            words,
            word_levels: word_levels.into(),
            epoch: 0,
            window,
            frame_bytes_max,
            rest: Vec::with_capacity(HEADER_BYTES.max(frame_bytes_max)),
            next: Next::Header,
            allowed: credit.clone(),
            credit,
        }
    }

    /// Takes `bytes`, which follow those of the last call. `admit` gets each whole frame with its
    /// level before it is in a lane, and may change anything behind its length word.
    ///
    /// # Errors
    /// They cannot be understood, or `admit` says what is wrong with a frame: then nothing more
    /// may be taken.
    pub fn take(
        &mut self,
        mut bytes: &mut [u8],
        mut admit: impl FnMut(usize, &mut [u8]) -> Result<(), String>,
    ) -> Result<(), LinkFault> {
        loop {
            if !self.rest.is_empty() {
                let missing = self.needed(&self.rest)? - self.rest.len();
                if missing == 0 {
                    let mut item = std::mem::take(&mut self.rest);
                    self.item(&mut item, &mut admit)?;
                    item.clear();
                    self.rest = item;
                } else if bytes.is_empty() {
                    break;
                } else {
                    let (piece, left) = bytes.split_at_mut(missing.min(bytes.len()));
                    self.rest.extend_from_slice(piece);
                    bytes = left;
                }
            } else if bytes.is_empty() {
                break;
            } else {
                let needed = self.needed(bytes)?;
                if needed > bytes.len() {
                    self.rest.extend_from_slice(bytes);
                    break;
                }
                let (item, left) = bytes.split_at_mut(needed);
                self.item(item, &mut admit)?;
                bytes = left;
            }
        }
        self.publish();
        Ok(())
    }

    /// Bytes of the next item, which begins with `have`; as many as say its length if that is not
    /// among them.
    fn needed(&self, have: &[u8]) -> Result<usize, LinkFault> {
        Ok(match self.next {
            Next::Header => HEADER_BYTES,
            Next::Credit => self.levels.len() * CREDIT_BYTES,
            Next::Epoch => EPOCH_BYTES,
            Next::Word(_) => WORD_BYTES,
            Next::Frame(_, left) => {
                let Some(word) = have.first_chunk().filter(|_| have.len() >= FRAME_ALIGN_BYTES)
                else {
                    return Ok(FRAME_ALIGN_BYTES);
                };
                let frame = u32::from_le_bytes(*word);
                let stride = u64::from(frame).next_multiple_of(FRAME_ALIGN_BYTES as u64);
                let fits = (FRAME_LENGTH_BYTES..=self.frame_bytes_max).contains(&(frame as usize));
                if !fits || stride > left {
                    return Err(LinkFault::Frame { frame, left });
                }
                stride as usize
            }
        })
    }

    /// Takes a whole header, or what a header has announced.
    fn item(
        &mut self,
        item: &mut [u8],
        admit: &mut impl FnMut(usize, &mut [u8]) -> Result<(), String>,
    ) -> Result<(), LinkFault> {
        self.next = match self.next {
            Next::Header => {
                let header = item.first_chunk().expect("as many bytes as were needed");
                match LinkRecord::read(*header, self.levels.len(), self.frame_bytes_max)? {
                    LinkRecord::Frames { level, bytes } => Next::Frame(level, bytes.into()),
                    LinkRecord::Credit => Next::Credit,
                    LinkRecord::Mark => Next::Epoch,
                    LinkRecord::Word { level } => Next::Word(level),
                }
            }
            Next::Frame(level, left) => {
                self.frame(level, item, admit)?;
                match left - item.len() as u64 {
                    0 => Next::Header,
                    left => Next::Frame(level, left),
                }
            }
            Next::Credit => {
                self.allow(item)?;
                Next::Header
            }
            Next::Epoch => {
                self.mark(item)?;
                Next::Header
            }
            Next::Word(level) => {
                self.hear(level, item)?;
                Next::Header
            }
        };
        Ok(())
    }

    /// Takes a whole frame, up to the next multiple of eight bytes.
    fn frame(
        &mut self,
        level: usize,
        item: &mut [u8],
        admit: &mut impl FnMut(usize, &mut [u8]) -> Result<(), String>,
    ) -> Result<(), LinkFault> {
        let word = item.first_chunk().expect("an item is no shorter");
        let bytes = u32::from_le_bytes(*word) as usize;
        let to = &mut self.levels[level];
        to.received += item.len() as u64;
        if to.received > self.credit[level] {
            return Err(LinkFault::Credit { level });
        }
        let frame = &mut item[..bytes];
        admit(level, frame).map_err(LinkFault::Content)?;
        let room = to.frames.try_append(frame.len()).expect("credit is given for room");
        room.copy_from_slice(&frame[FRAME_LENGTH_BYTES..]);
        to.touched = true;
        Ok(())
    }

    /// Takes the epoch of a marker.
    #[cold]
    fn mark(&mut self, item: &[u8]) -> Result<(), LinkFault> {
        let now = u64::from_le_bytes(*item.first_chunk().expect("as many bytes as were needed"));
        let newer = u32::try_from(now).ok().filter(|epoch| *epoch > self.epoch);
        let epoch = newer.ok_or(LinkFault::Epoch { before: self.epoch, now })?;
        self.epoch = epoch;
        self.publish();
        for (number, level) in self.levels.iter().enumerate() {
            self.markers.mark(number, &level.frames, epoch);
        }
        Ok(())
    }

    /// Takes a word of `level`.
    fn hear(&mut self, level: usize, item: &[u8]) -> Result<(), LinkFault> {
        let mut values = item
            .chunks_exact(8)
            .map(|value| u64::from_le_bytes(value.try_into().expect("a chunk is as long")));
        let mut value = || values.next().expect("as many bytes as were needed");
        let (word, number) = (value(), value().cast_signed());
        let (beside, written) = (value(), value());
        let at = usize::try_from(word).ok().filter(|at| self.word_levels.get(*at) == Some(&level));
        let newer = at.filter(|at| written > self.words.version(*at));
        let at = newer.ok_or(LinkFault::Word { word, level, written })?;
        self.publish();
        let lane = &self.levels[level].frames;
        self.words.write_version(at, lane, (number, beside), written);
        Ok(())
    }

    fn allow(&mut self, item: &[u8]) -> Result<(), LinkFault> {
        let words = item.chunks_exact(CREDIT_BYTES);
        for (level, (allowed, word)) in self.allowed.iter_mut().zip(words).enumerate() {
            let now = u64::from_le_bytes(word.try_into().expect("a chunk is as long"));
            if now < *allowed {
                return Err(LinkFault::LessCredit { level, before: *allowed, now });
            }
            *allowed = now;
        }
        Ok(())
    }

    /// Makes what came visible in the lanes.
    fn publish(&mut self) {
        for level in self.levels.iter_mut().filter(|level| level.touched) {
            level.frames.publish();
            level.touched = false;
        }
    }

    /// By level: bytes of frames that this end may send in all.
    pub(super) fn allowed(&self) -> &[u64] {
        &self.allowed
    }

    /// By level: bytes of frames that the peer may send in all, if that is worth a record: half of
    /// a window more than it was said before. What is always worth less is no frame's room.
    pub(super) fn new_credit(&mut self) -> Option<&[u64]> {
        let window = self.window;
        let now = |level: &ReceiveLevel| {
            level.received + window.saturating_sub(level.frames.bytes_in_use())
        };
        let grown = |(level, said): (&ReceiveLevel, &u64)| now(level) >= said + window / 2;
        if !self.levels.iter().zip(&self.credit).any(grown) {
            return None;
        }
        for (level, said) in self.levels.iter().zip(&mut self.credit) {
            // The unused end of a lap takes room that was given already.
            *said = now(level).max(*said);
        }
        Some(&self.credit)
    }
}
