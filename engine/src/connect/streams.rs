//! The streams of a source whose clients speak the connector protocol: where each stands, and who
//! sends it now.
//!
//! ```text
//!   messages with ids ──► bytes of a pipe ──► inlet of a core ──► position in bytes, at a cut
//!          ▲                                                                │
//!          └────────── notes: which id ends at which byte ◄─────────────────┘
//! ```
//!
//! A core knows positions in bytes only, as of a file. What id a client has to go on behind follows
//! from the notes of its messages, which are kept until they are acknowledged. A stream is opened
//! at a core once and stays open there until it ends: a client that connects again goes on with it.
//!
//! Promises: only what a committed checkpoint covers is acknowledged, or what cores have taken
//! where there are none; memory is bounded by [`STREAMS_MAX`] and [`UNACKNOWLEDGED_MAX`]. Must
//! never do: wait for a client.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use potoroo_sdk::host::SourceId;
use xxhash_rust::xxh3::xxh3_64;

use super::mail::{Command, Mailbox};
use super::pipe::{BUFFER_BYTES, PipeIn, PipeOut, pipe_of};
use super::serve::Answers;
use crate::checkpoint::{SourcePosition, StreamPosition};
use crate::flow::Start;

/// Streams of one source that may be open, up to the acknowledgement of their end: each has a pipe
/// and an inlet.
pub const STREAMS_MAX: usize = 64;

/// Names of streams of one source that are remembered: they stay in every checkpoint.
pub const NAMES_MAX: usize = 4096;

/// Messages of one stream that may be on their way: enough to fill a pipe with small ones.
pub const CREDIT: u64 = 4096;

/// Messages of one stream that may be without an acknowledgement.
pub const UNACKNOWLEDGED_MAX: u64 = 65_536;

/// Bytes of memory that an open stream takes besides its pipe and inlet.
pub const STREAM_BYTES: usize = UNACKNOWLEDGED_MAX as usize * size_of::<Note>();

/// What bounds each stream.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages that may be on their way.
    pub credit: u64,
    /// Messages that may be without an acknowledgement.
    pub unacknowledged: u64,
    /// Bytes of each buffer of its pipe.
    pub buffer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let (credit, unacknowledged) = (CREDIT, UNACKNOWLEDGED_MAX);
        Self { credit, unacknowledged, buffer_bytes: BUFFER_BYTES }
    }
}

/// The streams of one source.
pub struct Streams {
    source: SourceId,
    /// Acknowledges what is committed; else what is taken.
    kept: bool,
    cores: Vec<Mailbox>,
    limits: Limits,
    state: Mutex<Vec<Stream>>,
    released: Condvar,
    repeated: Arc<AtomicU64>,
}

/// A message ends behind so many bytes of its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Its id.
    pub id: u64,
    /// Bytes of the stream up to its end.
    pub end: u64,
}

struct Stream {
    name: String,
    /// The last message that is acknowledged, or of which an earlier life has read everything.
    base: Note,
    /// Messages behind it.
    notes: VecDeque<Note>,
    /// Where its inlet begins: bytes before it were read in an earlier life.
    start: Start,
    /// The last message that was passed on.
    passed: Note,
    /// Bytes of the message behind it that were, too.
    into: u64,
    end: End,
    pipe: Place,
    /// How far its core has taken it, where nothing is committed.
    taken: Arc<AtomicU64>,
    /// Who sends it, and under which number.
    client: Option<(Arc<Answers>, u32)>,
    /// Messages that the client was ever allowed, and that it has sent.
    granted: Arc<AtomicU64>,
    used: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Ended,
    Acknowledged,
}

enum Place {
    /// Nobody has opened it in this life.
    Unopened,
    Free(PipeIn),
    /// A client has it.
    Taken,
    /// It has ended, or cannot be read any further.
    Gone,
}

/// A stream in the hands of a client.
pub struct Opened {
    /// Its number among the streams of the source.
    pub number: usize,
    /// The last message that was passed on: the client goes on behind it.
    pub passed: Note,
    /// Bytes of the next message that were passed on: in an earlier life, or by another client.
    pub skip: u64,
    /// Messages that the client was ever allowed.
    pub granted: Arc<AtomicU64>,
    /// Where its bytes go; `None` when it has ended.
    pub pipe: Option<PipeIn>,
    /// The core that reads them.
    pub core: Mailbox,
}

impl Streams {
    /// The streams of `source` that stand as `recovered` says. `kept`: checkpoints are taken.
    /// Messages that come again are counted in `repeated`.
    pub fn new(
        source: SourceId,
        kept: bool,
        cores: Vec<Mailbox>,
        recovered: &[(Start, StreamPosition)],
        repeated: Arc<AtomicU64>,
    ) -> Self {
        let streams = recovered.iter().map(|(at, stream)| Stream::recovered(*at, stream)).collect();
        let (state, released, limits) = (Mutex::new(streams), Condvar::new(), Limits::default());
        Self { source, kept, cores, limits, state, released, repeated }
    }

    /// As they are, but within other limits.
    #[must_use]
    pub fn within(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Whether only checkpoints acknowledge.
    pub fn kept(&self) -> bool {
        self.kept
    }

    /// The source to which they belong.
    pub fn source(&self) -> SourceId {
        self.source
    }

    /// Counts a message that came again.
    pub fn count_repeated(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
    }

    /// Opens the stream `name` for a client that knows it as `number`, hears of it by `answers`,
    /// and can send everything behind `from`. Another client that has it is served no longer: it
    /// may be gone without a word, or wait for room. `None`: it has not given it back within
    /// `patience`.
    ///
    /// # Errors
    /// Why it cannot be opened, for the client.
    pub fn open(
        &self,
        name: &str,
        from: u64,
        answers: &Arc<Answers>,
        number: u32,
        patience: Duration,
    ) -> Result<Option<Opened>, String> {
        let mut streams = self.lock();
        let at = self.find(&mut streams, name, from)?;
        let is_taken = |streams: &mut Vec<Stream>| matches!(streams[at].pipe, Place::Taken);
        if is_taken(&mut streams) {
            streams[at].displace(answers)?;
            let waited = self.released.wait_timeout_while(streams, patience, is_taken);
            streams = waited.unwrap_or_else(PoisonError::into_inner).0;
            if is_taken(&mut streams) {
                return Ok(None);
            }
        }
        let stream = &mut streams[at];
        stream.check_from(from)?;
        let core = &self.cores[at % self.cores.len()];
        let pipe = stream.take_pipe(self.limits.buffer_bytes, |stream, pipe| {
            core.send(Command::Stream {
                source: self.source,
                stream: at as u32,
                name_hash: xxh3_64(stream.name.as_bytes()),
                pipe,
                start: stream.start,
                taken: (!self.kept).then(|| stream.taken.clone()),
            });
        })?;
        stream.client = Some((answers.clone(), number));
        stream.granted = Arc::default();
        stream.used = 0;
        answers.resume(number, stream.passed.id);
        stream.top_up(self.limits);
        stream.tell_acknowledged();
        Ok(Some(Opened {
            number: at,
            passed: stream.passed,
            skip: stream.into,
            granted: stream.granted.clone(),
            pipe,
            core: core.clone(),
        }))
    }

    /// Finds a stream by its name, or makes a new one that begins behind `from`.
    fn find(&self, streams: &mut Vec<Stream>, name: &str, from: u64) -> Result<usize, String> {
        if let Some(at) = streams.iter().position(|stream| stream.name == name) {
            return Ok(at);
        }
        // One that has ended still has what is not acknowledged.
        let open = streams.iter().filter(|stream| stream.end != End::Acknowledged).count();
        if name.is_empty() || name.len() > 255 {
            return Err("the name of a stream has 1 to 255 bytes".to_owned());
        }
        if open >= STREAMS_MAX {
            return Err(format!(
                "{STREAMS_MAX} streams are open, which is the limit: end some, and wait until that \
                 is acknowledged"
            ));
        }
        if streams.len() >= NAMES_MAX {
            return Err(format!("{NAMES_MAX} names of streams are known, which is the limit"));
        }
        streams.push(Stream::new(name, from));
        Ok(streams.len() - 1)
    }

    /// Messages were received, `used` of them since the stream was opened; those in `notes` are
    /// passed on next. Takes the notes.
    pub fn pass(&self, number: usize, notes: &mut Vec<Note>, used: u64) {
        let mut streams = self.lock();
        let stream = &mut streams[number];
        stream.passed = notes.last().copied().unwrap_or(stream.passed);
        stream.notes.extend(notes.drain(..));
        stream.used = used;
        stream.top_up(self.limits);
    }

    /// Nothing follows in a stream: its pipe may be dropped.
    pub fn end(&self, number: usize) {
        let mut streams = self.lock();
        let stream = &mut streams[number];
        if stream.end == End::Open {
            stream.end = End::Ended;
        }
    }

    /// A client gives a stream back, with its pipe if that is still of use, and `into` bytes of the
    /// next message passed on.
    pub fn release(&self, number: usize, pipe: Option<PipeIn>, into: u64) {
        let mut streams = self.lock();
        streams[number].into = into;
        streams[number].pipe = pipe.map_or(Place::Gone, Place::Free);
        streams[number].client = None;
        self.released.notify_all();
    }

    /// What a position in bytes means to the client of a stream.
    pub fn position(&self, number: u32, position: u64) -> StreamPosition {
        self.lock()[number as usize].position(position)
    }

    /// How many streams have ended in earlier lives.
    pub fn ended(&self) -> u64 {
        self.lock().iter().filter(|stream| stream.end == End::Acknowledged).count() as u64
    }

    /// A checkpoint with these positions of this source is committed.
    pub fn acknowledge<'a>(&self, committed: impl Iterator<Item = &'a SourcePosition>) {
        let committed = committed.filter_map(|at| at.stream.as_ref());
        let committed: BTreeMap<_, _> = committed.map(|at| (at.name.as_str(), at)).collect();
        for stream in self.lock().iter_mut() {
            if let Some(position) = committed.get(stream.name.as_str()) {
                stream.acknowledge(position, self.limits);
            }
        }
    }

    /// Acknowledges what cores have taken; where checkpoints are, nothing.
    pub fn acknowledge_taken(&self) {
        if self.kept {
            return;
        }
        for stream in self.lock().iter_mut() {
            if !stream.notes.is_empty() || stream.end == End::Ended {
                let position = stream.position(stream.taken.load(Ordering::Relaxed));
                stream.acknowledge(&position, self.limits);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Stream>> {
        // Each change is whole before the next may panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    fn new(name: &str, from: u64) -> Self {
        let base = Note { id: from, end: 0 };
        Self {
            name: name.to_owned(),
            base,
            notes: VecDeque::new(),
            start: Start::default(),
            passed: base,
            into: 0,
            end: End::Open,
            pipe: Place::Unopened,
            taken: Arc::default(),
            client: None,
            granted: Arc::default(),
            used: 0,
        }
    }

    fn recovered(start: Start, stream: &StreamPosition) -> Self {
        let Start { position, .. } = start;
        let base = Note { id: stream.id, end: position.saturating_sub(stream.into) };
        let (end, pipe) = match stream.ended {
            true => (End::Acknowledged, Place::Gone),
            false => (End::Open, Place::Unopened),
        };
        let into = position - base.end;
        Self { base, passed: base, into, start, end, pipe, ..Self::new(&stream.name, 0) }
    }

    /// Whether a client that can send what is behind `from` leaves nothing out.
    fn check_from(&self, from: u64) -> Result<(), String> {
        let (name, passed) = (&self.name, self.passed.id);
        match from > passed {
            false => Ok(()),
            true => Err(format!(
                "stream `{name}` goes on behind {passed}, and the client has only what is behind \
                 {from}: what lies between would be lost; make the client send it again"
            )),
        }
    }

    /// Tells the client that has it that another one does now.
    fn displace(&self, by: &Arc<Answers>) -> Result<(), String> {
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

    /// The pipe, for a client; the first one of this life has it opened at its core.
    fn take_pipe(
        &mut self,
        buffer_bytes: usize,
        open: impl FnOnce(&Self, PipeOut),
    ) -> Result<Option<PipeIn>, String> {
        match std::mem::replace(&mut self.pipe, Place::Taken) {
            Place::Free(pipe) => Ok(Some(pipe)),
            Place::Unopened => {
                let (pipe_in, pipe_out) = pipe_of(buffer_bytes);
                self.taken.store(self.start.position, Ordering::Relaxed);
                open(self, pipe_out);
                Ok(Some(pipe_in))
            }
            Place::Taken => unreachable!("it was waited for"),
            Place::Gone if self.end != End::Open => Ok(None),
            Place::Gone => {
                self.pipe = Place::Gone;
                let (name, id) = (&self.name, self.base.id);
                Err(format!(
                    "stream `{name}` cannot be read any further: behind message {id} is something \
                     that the codec of the source does not understand (see the dead letters), or \
                     the application ends"
                ))
            }
        }
    }

    fn position(&self, position: u64) -> StreamPosition {
        let behind = self.notes.partition_point(|note| note.end <= position);
        let last = behind.checked_sub(1).map_or(self.base, |at| self.notes[at]);
        StreamPosition {
            name: self.name.clone(),
            id: last.id,
            // Of an epoch that was given up it may be before what is acknowledged.
            into: position.saturating_sub(last.end),
            ended: self.end != End::Open && position == self.passed.end,
        }
    }

    fn acknowledge(&mut self, position: &StreamPosition, limits: Limits) {
        let covered = self.notes.partition_point(|note| note.id <= position.id);
        let last = self.notes.drain(..covered).next_back();
        self.base = last.unwrap_or(self.base);
        let news = last.is_some() || (position.ended && self.end == End::Ended);
        if position.ended && self.end == End::Ended {
            self.end = End::Acknowledged;
            // Its name stays for ever, the room for its messages need not.
            self.notes = VecDeque::new();
        }
        if news {
            self.tell_acknowledged();
        }
        self.top_up(limits);
    }

    fn tell_acknowledged(&self) {
        let Some((answers, number)) = &self.client else { return };
        answers.acknowledge(*number, self.base.id, self.end == End::Acknowledged);
    }

    /// Lets the client send more, once that is half of what may be under way.
    fn top_up(&mut self, limits: Limits) {
        let Some((answers, number)) = &self.client else { return };
        let granted = self.granted.load(Ordering::Relaxed);
        let Limits { credit, unacknowledged, .. } = limits;
        let room = unacknowledged.saturating_sub(self.notes.len() as u64).min(credit);
        let more = room.saturating_sub(granted - self.used);
        if more >= credit / 2 {
            self.granted.store(granted + more, Ordering::Relaxed);
            answers.credit(*number, more);
        }
    }
}

#[cfg(test)]
mod tests;
