//! The streams of a source whose clients speak the connector protocol: the position of each,
//! and the client that sends it now.
//!
//! ```text
//!   messages with ids ──► bytes of a pipe ──► inlet of a core ──► position in bytes, at a cut
//!          ▲                                                                │
//!          └────────── notes: which id ends at which byte ◄─────────────────┘
//! ```
//!
//! A core knows positions in bytes only, as of a file. The id after which a client goes on follows
//! from the notes of its messages, which are kept until they are acknowledged. A stream is opened
//! at a core once and stays open there until it ends: a client that connects again goes on with it.
//!
//! Promises: only what a committed checkpoint covers is acknowledged, or what cores have taken
//! where there are none; memory is bounded by [`STREAMS_MAX`] and [`NOTES_MAX`]. Must never do:
//! wait for a client.

mod limits;
mod stream;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use potoroo_sdk::host::SourceId;
use xxhash_rust::xxh3::xxh3_64;

use super::answers::Answers;
use crate::checkpoint::{SourcePosition, StreamPosition};
use crate::connect::pipe::{PipeIn, PipeInlet, PipeOut};
use crate::flow::Start;
use crate::turn::{Command, InletKind, Mailbox, NewInlet};
use stream::{ClientStream, StreamEnd, StreamPipe};

pub use limits::{CREDIT, Limits, NOTES_MAX};
pub use stream::{Note, ResentBytes};

/// Streams of one source that may be open, up to the acknowledgement of their end: each has a pipe
/// and an inlet.
pub const STREAMS_MAX: usize = 64;

/// Names of streams of one source that are remembered: they stay in every checkpoint.
pub const NAMES_MAX: usize = 4096;

/// Bytes of memory that an open stream takes besides its pipe and inlet.
pub const STREAM_BYTES: usize = NOTES_MAX * size_of::<Note>();

/// The streams of one source.
pub struct Streams {
    source: SourceId,
    /// Acknowledges what is committed; else what is taken.
    checkpoints: bool,
    cores: Vec<Mailbox>,
    limits: Limits,
    state: Mutex<Vec<ClientStream>>,
    released: Condvar,
    repeated: Arc<AtomicU64>,
}

/// A stream in the hands of a client.
pub struct Opened {
    /// Its number among the streams of the source.
    pub number: usize,
    /// The last message that was passed on: its id is 0 if nothing ever was.
    pub passed: Note,
    /// What was passed on after it: in an earlier run, or by another client.
    pub skip: ResentBytes,
    /// The id after which the client begins the stream, of which nothing was ever taken.
    pub begins: Option<u64>,
    /// Messages that the client was ever allowed.
    pub granted: Arc<AtomicU64>,
    /// Where its bytes go; `None` when it has ended.
    pub pipe: Option<PipeIn>,
    /// The core that reads them.
    pub core: Mailbox,
}

impl Streams {
    /// The streams of `source` that stand as `recovered` says. `checkpoints`: they are taken.
    /// Messages that come again are counted in `repeated`.
    pub fn new(
        source: SourceId,
        checkpoints: bool,
        cores: Vec<Mailbox>,
        recovered: &[(Start, StreamPosition)],
        repeated: Arc<AtomicU64>,
    ) -> Self {
        let streams = recovered
            .iter()
            .map(|(at, stream)| ClientStream::recovered(at.clone(), stream))
            .collect();
        let (state, released, limits) = (Mutex::new(streams), Condvar::new(), Limits::default());
        Self { source, checkpoints, cores, limits, state, released, repeated }
    }

    /// As they are, but within other limits.
    #[must_use]
    pub fn within(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Whether only checkpoints acknowledge.
    pub fn checkpoints(&self) -> bool {
        self.checkpoints
    }

    /// The source to which they belong.
    pub fn source(&self) -> SourceId {
        self.source
    }

    /// Counts a message that came again.
    pub fn count_repeated(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
    }

    /// Opens the stream `name` for a client that knows it as `number`, is answered by `answers`,
    /// and can send everything after `from`. Another client that has it is served no longer: it
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
        let at = self.find(&mut streams, name)?;
        let is_taken =
            |streams: &mut Vec<ClientStream>| matches!(streams[at].pipe, StreamPipe::Taken);
        if is_taken(&mut streams) {
            streams[at].displace(answers)?;
            let waited = self.released.wait_timeout_while(streams, patience, is_taken);
            streams = waited.unwrap_or_else(PoisonError::into_inner).0;
            if is_taken(&mut streams) {
                return Ok(None);
            }
        }
        let stream = &mut streams[at];
        let resumes = stream.resume_after(from)?;
        let core = &self.cores[at % self.cores.len()];
        let pipe = stream.take_pipe(self.limits.buffer_bytes, |stream, pipe| {
            core.send(self.inlet(at, stream, pipe));
        })?;
        stream.client = Some((answers.clone(), number));
        stream.granted = Arc::default();
        stream.used = 0;
        answers.resume(number, resumes);
        stream.top_up(self.limits);
        stream.acknowledge_client();
        Ok(Some(Opened {
            number: at,
            passed: Note { id: stream.reached(), ..stream.passed },
            skip: stream.skip,
            begins: stream.is_untouched().then_some(from),
            granted: stream.granted.clone(),
            pipe,
            core: core.clone(),
        }))
    }

    /// Opens at their cores the streams that go on from a checkpoint, before any client does: they
    /// hold event time. `send` sends to a core.
    pub fn open_recovered(&self, mut send: impl FnMut(&Mailbox, Command)) {
        for (at, stream) in self.lock().iter_mut().enumerate() {
            if stream.goes_on() {
                let core = &self.cores[at % self.cores.len()];
                stream.open(self.limits.buffer_bytes, |stream, pipe| {
                    send(core, self.inlet(at, stream, pipe));
                });
            }
        }
    }

    /// How many of the streams that stand as `recovered` says go on, and are opened at the core
    /// with this number, of `cores`.
    pub fn going_on(recovered: &[(Start, StreamPosition)], core: usize, cores: usize) -> usize {
        let goes_on = |(at, stream): &(Start, StreamPosition)| at.position > 0 && !stream.ended;
        recovered.iter().skip(core).step_by(cores).filter(|stream| goes_on(stream)).count()
    }

    /// What opens a stream at its core.
    fn inlet(&self, at: usize, stream: &ClientStream, pipe: PipeOut) -> Command {
        let name_hash = xxh3_64(stream.name.as_bytes());
        let (number, start) = (at as u32, stream.start.clone());
        Command::Inlet(NewInlet {
            source: self.source,
            kind: InletKind::Stream { number, name_hash, start },
            port: Box::new(PipeInlet::new(pipe)),
            taken: (!self.checkpoints).then(|| stream.taken.clone()),
        })
    }

    /// Finds a stream by its name, or makes a new one.
    fn find(&self, streams: &mut Vec<ClientStream>, name: &str) -> Result<usize, String> {
        if let Some(at) = streams.iter().position(|stream| stream.name == name) {
            return Ok(at);
        }
        // One that has ended still has what is not acknowledged.
        let open = streams.iter().filter(|stream| stream.end != StreamEnd::Acknowledged).count();
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
        streams.push(ClientStream::new(name));
        Ok(streams.len() - 1)
    }

    /// The first message of a stream is passed on next: it comes after `id`.
    pub fn begin_after(&self, number: usize, id: u64) {
        self.lock()[number].begin_after(id);
    }

    /// Messages were received, `used` of them since the stream was opened; those in `notes` are
    /// passed on next. Takes the notes.
    pub fn pass(&self, number: usize, notes: &mut Vec<Note>, used: u64) {
        let mut streams = self.lock();
        let stream = &mut streams[number];
        stream.note(notes, self.limits);
        stream.used = used;
        stream.top_up(self.limits);
    }

    /// Nothing follows in a stream: its pipe may be dropped.
    pub fn end(&self, number: usize) {
        let mut streams = self.lock();
        let stream = &mut streams[number];
        if stream.end == StreamEnd::Open {
            stream.end = StreamEnd::Ended;
        }
    }

    /// A client gives a stream back, with its pipe if that is still of use, and `skip` passed on
    /// after the last message.
    pub fn release(&self, number: usize, pipe: Option<PipeIn>, skip: ResentBytes) {
        let mut streams = self.lock();
        streams[number].skip = skip;
        streams[number].pipe = pipe.map_or(StreamPipe::Gone, StreamPipe::Free);
        streams[number].client = None;
        self.released.notify_all();
    }

    /// What a position in bytes means to the client of a stream.
    pub fn position(&self, number: u32, position: u64) -> StreamPosition {
        self.lock()[number as usize].position(position)
    }

    /// Number of streams that ended in earlier runs.
    pub fn ended(&self) -> u64 {
        self.lock().iter().filter(|stream| stream.end == StreamEnd::Acknowledged).count() as u64
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
        if self.checkpoints {
            return;
        }
        for stream in self.lock().iter_mut() {
            if !stream.notes.is_empty() || stream.end == StreamEnd::Ended {
                let position = stream.position(stream.taken.load(Ordering::Relaxed));
                stream.acknowledge(&position, self.limits);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ClientStream>> {
        // Each change is whole before the next may panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
