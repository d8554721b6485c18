//! One stream: where it begins, which of its messages end where, and how far it is acknowledged.
//!
//! ```text
//!   base          notes: where messages end           passed      skip
//!    │  acknowledged up to here                          │ part of the next message
//!  ──┴───────┴───────┴──────────────┴────────────────────┴───────►  bytes
//! ```
//!
//! A stream begins with the first message that is passed on. Until then it has no beginning:
//! whatever clients that sent nothing said about it is forgotten with them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::limits::Limits;
use crate::checkpoint::StreamPosition;
use crate::connect::pipe::{PipeIn, PipeOut, pipe_of};
use crate::connect::potoroo::answers::Answers;
use crate::flow::Start;

/// Where a message ends in the bytes of its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Id of the message; 0 for none.
    pub id: u64,
    /// Bytes of the stream up to its end.
    pub end: u64,
    /// The ends of messages between this one and the note before were dropped.
    pub several: bool,
}

impl Note {
    /// The message `id` ends at byte `end`.
    pub fn new(id: u64, end: u64) -> Self {
        Self { id, end, several: false }
    }
}

/// Bytes that were passed on after the last noted message, and that its client sends again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResentBytes {
    /// How many; 0 for none.
    pub bytes: u64,
    /// They may be of several messages; else they are the beginning of one.
    pub several: bool,
}

pub(super) struct ClientStream {
    pub(super) name: String,
    /// The last message that is acknowledged, or that an earlier run has read; id 0 for none.
    pub(super) base: Note,
    /// Messages after it: at most [`Limits::notes`].
    pub(super) notes: VecDeque<Note>,
    /// Where its inlet begins: bytes before it were read in an earlier run.
    pub(super) start: Start,
    /// The last message that was passed on; id 0 for none.
    pub(super) passed: Note,
    /// What was passed on after it.
    pub(super) skip: ResentBytes,
    /// The id after which its first message came; `None` if an old manifest does not say.
    first: Option<u64>,
    /// Before an older checkpoint was restored it had begun after this id: a client that cannot
    /// send what comes after it would leave something out.
    begun: Option<u64>,
    pub(super) end: StreamEnd,
    pub(super) pipe: StreamPipe,
    /// How far its core has taken it, where nothing is committed.
    pub(super) taken: Arc<AtomicU64>,
    /// Who sends it, and under which number.
    pub(super) client: Option<(Arc<Answers>, u32)>,
    /// Messages that the client was ever allowed, and that it has sent.
    pub(super) granted: Arc<AtomicU64>,
    pub(super) used: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamEnd {
    Open,
    Ended,
    Acknowledged,
}

pub(super) enum StreamPipe {
    /// No client has opened it in this run.
    Unopened,
    Free(PipeIn),
    /// A client has it.
    Taken,
    /// It has ended, or cannot be read any further.
    Gone,
}

impl ClientStream {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            base: Note::default(),
            notes: VecDeque::new(),
            start: Start::default(),
            passed: Note::default(),
            skip: ResentBytes::default(),
            first: None,
            begun: None,
            end: StreamEnd::Open,
            pipe: StreamPipe::Unopened,
            taken: Arc::default(),
            client: None,
            granted: Arc::default(),
            used: 0,
        }
    }

    pub(super) fn recovered(start: Start, stream: &StreamPosition) -> Self {
        let position = start.position;
        let (end, pipe) = match stream.ended {
            true => (StreamEnd::Acknowledged, StreamPipe::Gone),
            false => (StreamEnd::Open, StreamPipe::Unopened),
        };
        let new = Self { end, pipe, ..Self::new(&stream.name) };
        if position == 0 {
            // Earlier versions stored the id that a client had named. Messages without bytes have
            // no effect, so nothing is lost with their ids.
            return Self { begun: stream.first, ..new };
        }
        let base = Note::new(stream.id, position.saturating_sub(stream.into));
        let skip = ResentBytes { bytes: position - base.end, several: stream.several };
        Self { base, passed: base, skip, start, first: stream.first, ..new }
    }

    /// Whether nothing of it was ever taken: it has no beginning yet.
    pub(super) fn is_untouched(&self) -> bool {
        self.passed.id == 0 && self.skip.bytes == 0
    }

    /// The id after which a client goes on that has everything after `from`.
    ///
    /// # Errors
    /// That client would leave something out.
    pub(super) fn resume_after(&self, from: u64) -> Result<u64, String> {
        let name = &self.name;
        if self.is_untouched() {
            return match self.begun {
                Some(begun) if from > begun => Err(format!(
                    "stream `{name}` began after {begun}, and all of it is needed again since an \
                     older checkpoint was restored; the client has only what is after {from}: what \
                     lies between would be lost; make the client send it again"
                )),
                _ => Ok(from),
            };
        }
        let reached = self.reached();
        match from > reached {
            false => Ok(reached),
            true => Err(format!(
                "stream `{name}` continues after message {reached}, and the client has only what \
                 is after {from}: the messages between would be lost; make the client send them \
                 again"
            )),
        }
    }

    /// The id up to which everything was passed on.
    pub(super) fn reached(&self) -> u64 {
        match self.passed.id {
            0 => self.first.unwrap_or(0),
            id => id,
        }
    }

    /// Its first message is passed on next: it comes after `id`.
    pub(super) fn begin_after(&mut self, id: u64) {
        assert!(self.is_untouched(), "a stream begins once");
        self.first = Some(id);
    }

    /// Refuses the client that has it, because another client opened it.
    pub(super) fn displace(&self, by: &Arc<Answers>) -> Result<(), String> {
        let name = &self.name;
        match &self.client {
            Some((of, _)) if Arc::ptr_eq(of, by) => {
                Err(format!("stream `{name}` is open on this connection already"))
            }
            Some((of, _)) => {
                of.finish(Some(format!("stream `{name}` was opened on another connection")));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The pipe, for a client; the first one of this run has it opened at its core.
    pub(super) fn take_pipe(
        &mut self,
        buffer_bytes: usize,
        open: impl FnOnce(&Self, PipeOut),
    ) -> Result<Option<PipeIn>, String> {
        match std::mem::replace(&mut self.pipe, StreamPipe::Taken) {
            StreamPipe::Free(pipe) => Ok(Some(pipe)),
            StreamPipe::Unopened => Ok(Some(self.new_pipe(buffer_bytes, open))),
            StreamPipe::Taken => unreachable!("it was waited for"),
            StreamPipe::Gone if self.end != StreamEnd::Open => Ok(None),
            StreamPipe::Gone => {
                self.pipe = StreamPipe::Gone;
                let (name, id) = (&self.name, self.base.id);
                Err(format!(
                    "stream `{name}` cannot be read any further: after message {id} is input \
                     that the codec of the source does not understand (see the dead letters), or \
                     the application ends"
                ))
            }
        }
    }

    /// Has it opened at its core before a client does.
    pub(super) fn open(&mut self, buffer_bytes: usize, open: impl FnOnce(&Self, PipeOut)) {
        self.pipe = StreamPipe::Free(self.new_pipe(buffer_bytes, open));
    }

    fn new_pipe(&self, buffer_bytes: usize, open: impl FnOnce(&Self, PipeOut)) -> PipeIn {
        let (pipe_in, pipe_out) = pipe_of(buffer_bytes);
        self.taken.store(self.start.position, Ordering::Relaxed);
        open(self, pipe_out);
        pipe_in
    }

    /// Whether an earlier run has read of it, and this one has not opened it.
    pub(super) fn goes_on(&self) -> bool {
        self.start.position > 0 && matches!(self.pipe, StreamPipe::Unopened)
    }

    /// Messages are passed on next; takes `new`. Of one event that spans more messages than may be
    /// noted, or of many between two checkpoints, only some ends stay known: the last always, of
    /// the others every second one each time there is no room.
    pub(super) fn note(&mut self, new: &mut Vec<Note>, limits: Limits) {
        self.passed = new.last().copied().unwrap_or(self.passed);
        for note in new.drain(..) {
            if self.notes.len() >= limits.notes {
                self.thin();
            }
            self.notes.push_back(note);
        }
    }

    fn thin(&mut self) {
        // Counted from the newest, which stays.
        let mut left = self.notes.len();
        let mut several = false;
        self.notes.retain_mut(|note| {
            left -= 1;
            let stays = left.is_multiple_of(2);
            note.several |= std::mem::replace(&mut several, !stays);
            stays
        });
    }

    pub(super) fn position(&self, position: u64) -> StreamPosition {
        let behind = self.notes.partition_point(|note| note.end <= position);
        let last = behind.checked_sub(1).map_or(self.base, |at| self.notes[at]);
        // What follows the last note is of one message, but for what was skipped.
        let several = self.notes.get(behind).map_or(self.skip.several, |next| next.several);
        // The position of an aborted epoch may be before what is acknowledged.
        let into = position.saturating_sub(last.end);
        StreamPosition {
            name: self.name.clone(),
            id: last.id,
            into,
            several: several && into > 0,
            first: if position > 0 { self.first } else { self.begun },
            ended: self.end != StreamEnd::Open && position == self.passed.end,
        }
    }

    pub(super) fn acknowledge(&mut self, position: &StreamPosition, limits: Limits) {
        let covered = self.notes.partition_point(|note| note.id <= position.id);
        let last = self.notes.drain(..covered).next_back();
        self.base = last.unwrap_or(self.base);
        let news = last.is_some() || (position.ended && self.end == StreamEnd::Ended);
        if position.ended && self.end == StreamEnd::Ended {
            self.end = StreamEnd::Acknowledged;
            // Its name stays for ever, the room for its messages need not.
            self.notes = VecDeque::new();
        }
        if news {
            self.acknowledge_client();
        }
        self.top_up(limits);
    }

    pub(super) fn acknowledge_client(&self) {
        let Some((answers, number)) = &self.client else { return };
        answers.acknowledge(*number, self.base.id, self.end == StreamEnd::Acknowledged);
    }

    /// Lets the client send more, once that is half of what may be under way.
    pub(super) fn top_up(&mut self, limits: Limits) {
        let Some((answers, number)) = &self.client else { return };
        let granted = self.granted.load(Ordering::Relaxed);
        let more = limits.credit.saturating_sub(granted - self.used);
        if more >= limits.credit / 2 {
            self.granted.store(granted + more, Ordering::Relaxed);
            answers.credit(*number, more);
        }
    }
}
