//! What one client sends: messages of its streams, in order and with credit, into their pipes.
//!
//! Promises: what was noted of a message is what went into its pipe. Must never do: read from a
//! socket, or wait longer than it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use potoroo_connector::Frame;

use super::Answers;
use crate::connect::pipe::Gone;
use crate::connect::streams::{Note, Opened, Streams};
use crate::connect::tcp::one_line;

/// Why a client is served no longer.
#[derive(Debug)]
pub enum Over {
    /// It did something wrong, and is told.
    Told(String),
    /// The application ends.
    Ending,
}

/// A client's side of its streams.
pub struct Client {
    of: Serving,
    answers: Arc<Answers>,
    opened: Vec<Sending>,
}

/// What all clients of a source have in common.
#[derive(Clone)]
pub struct Serving {
    /// Name of the source.
    pub source: String,
    /// Its streams.
    pub streams: Arc<Streams>,
    /// Nobody new is served: the application ends.
    pub ends: Arc<AtomicBool>,
}

/// A stream that a client sends.
struct Sending {
    /// The client's number of it.
    number: u32,
    of: Opened,
    buffer: Vec<u8>,
    notes: Vec<Note>,
    /// The greatest id on this connection.
    last: Option<u64>,
    /// That one has found no room yet for all of it.
    waits: bool,
    used: u64,
}

impl Client {
    /// One that has nothing open, and is told by `answers`.
    pub fn new(of: Serving, answers: Arc<Answers>) -> Self {
        Self { of, answers, opened: Vec::new() }
    }

    /// Hears a frame, and waits up to `patience` for what it needs: room, or that another client
    /// gives a stream back. Returns whether that was there: else it is to be heard again.
    ///
    /// # Errors
    /// Why the client is served no longer.
    pub fn hear(&mut self, frame: Frame<'_>, patience: Duration) -> Result<bool, Over> {
        match frame {
            Frame::Open { stream, name, from } => self.open(stream, name, from, patience),
            Frame::Message { stream, id, payload } => {
                let (at, of) = (self.find(stream)?, &self.of);
                self.opened[at].message(of, id, payload, patience)
            }
            Frame::End { stream } => {
                let (at, of) = (self.find(stream)?, &self.of);
                self.opened[at].end(of)?;
                Ok(true)
            }
            Frame::Refused { reason } => {
                Err(Over::Told(format!("it gave up: {}", one_line(reason))))
            }
            other => Err(Over::Told(format!("{} is not for a source", other.name()))),
        }
    }

    /// Passes on what was heard: nothing follows for now.
    ///
    /// # Errors
    /// A stream cannot be read any further.
    pub fn flush(&mut self) -> Result<(), Over> {
        let Self { of, opened, .. } = self;
        opened.iter_mut().try_for_each(|one| one.flush(of))
    }

    /// Gives all streams back, with what was received of them.
    pub fn release(&mut self) {
        for mut one in self.opened.drain(..) {
            // One that cannot be passed on any more is gone.
            let _ = one.flush(&self.of);
            self.of.streams.release(one.of.number, one.of.pipe, one.of.skip);
        }
    }

    fn open(
        &mut self,
        number: u32,
        name: &str,
        from: u64,
        patience: Duration,
    ) -> Result<bool, Over> {
        if self.opened.iter().any(|one| one.number == number) {
            return Err(Over::Told(format!("stream {number} is open already")));
        }
        let Serving { source, streams, .. } = &self.of;
        let opened = streams.open(name, from, &self.answers, number, patience);
        let Some(of) = opened.map_err(Over::Told)? else { return Ok(false) };
        let (name, behind) = (one_line(name), of.passed.id);
        tracing::info!("source `{source}`: stream `{name}` goes on behind {behind}");
        let (buffer, notes) = (Vec::new(), Vec::new());
        self.opened.push(Sending { number, of, buffer, notes, last: None, waits: false, used: 0 });
        Ok(true)
    }

    fn find(&self, number: u32) -> Result<usize, Over> {
        let found = self.opened.iter().position(|one| one.number == number);
        found.ok_or_else(|| Over::Told(format!("stream {number} is not open")))
    }
}

impl Sending {
    fn message(
        &mut self,
        of: &Serving,
        id: u64,
        payload: &[u8],
        patience: Duration,
    ) -> Result<bool, Over> {
        if !self.waits {
            self.admit(id)?;
            if id <= self.of.passed.id {
                of.streams.count_repeated();
                return Ok(true);
            }
        }
        if self.of.skip > payload.len() as u64 {
            let number = self.number;
            return Err(Over::Told(format!(
                "message {id} of stream {number} is shorter than it was: the same id means the \
                 same payload"
            )));
        }
        self.waits = !self.append(of, payload, patience)?;
        if self.waits {
            return Ok(false);
        }
        self.of.skip = 0;
        self.of.passed = Note { id, end: self.of.passed.end + payload.len() as u64 };
        self.notes.push(self.of.passed);
        Ok(true)
    }

    /// Whether the client may send this message now.
    fn admit(&mut self, id: u64) -> Result<(), Over> {
        let number = self.number;
        if self.used == self.of.granted.load(Ordering::Relaxed) {
            let used = self.used;
            return Err(Over::Told(format!(
                "message {id} of stream {number} comes without credit: {used} were allowed so far"
            )));
        }
        self.used += 1;
        if id == 0 {
            let text =
                format!("message 0 of stream {number}: 0 is what was never sent, begin at 1");
            return Err(Over::Told(text));
        }
        if let Some(last) = self.last.filter(|last| id <= *last) {
            return Err(Over::Told(format!(
                "message {id} of stream {number} comes behind {last}: ids rise"
            )));
        }
        self.last = Some(id);
        Ok(())
    }

    /// Passes on what of a message was not, as far as there is room. If its client is served no
    /// longer, whoever sends it next goes on where this was left.
    fn append(&mut self, of: &Serving, payload: &[u8], patience: Duration) -> Result<bool, Over> {
        loop {
            let rest = &payload[self.of.skip as usize..];
            let Some(pipe) = &mut self.of.pipe else {
                return Err(Over::Told(format!("stream {} has ended", self.number)));
            };
            if rest.is_empty() {
                return Ok(true);
            }
            if self.buffer.capacity() == 0 {
                match pipe.buffer_within(patience) {
                    Ok(Some(buffer)) => self.buffer = buffer,
                    Ok(None) => return Ok(false),
                    Err(Gone) => return Err(self.gone(of)),
                }
            }
            let room = self.buffer.capacity() - self.buffer.len();
            let now = &rest[..rest.len().min(room)];
            self.buffer.extend_from_slice(now);
            self.of.skip += now.len() as u64;
            if now.len() == room {
                self.flush(of)?;
            }
        }
    }

    /// The core reads no further.
    fn gone(&mut self, of: &Serving) -> Over {
        self.of.pipe = None;
        if of.ends.load(Ordering::Relaxed) {
            return Over::Ending;
        }
        let (number, id) = (self.number, self.of.passed.id);
        Over::Told(format!(
            "stream {number} cannot be read any further: up to message {id} is something that the \
             codec of the source does not understand (see the dead letters), or the application \
             ends"
        ))
    }

    /// Passes on what was gathered. Its messages are noted before: whoever sees their bytes can say
    /// whose they are.
    fn flush(&mut self, of: &Serving) -> Result<(), Over> {
        of.streams.pass(self.of.number, &mut self.notes, self.used);
        let buffer = std::mem::take(&mut self.buffer);
        let Some(pipe) = self.of.pipe.as_mut().filter(|_| !buffer.is_empty()) else {
            return Ok(());
        };
        match pipe.send(buffer) {
            Ok(()) => self.of.core.waker().wake_if_parked(),
            Err(Gone) => return Err(self.gone(of)),
        }
        Ok(())
    }

    fn end(&mut self, of: &Serving) -> Result<(), Over> {
        self.flush(of)?;
        of.streams.end(self.of.number);
        self.of.pipe = None;
        self.of.core.waker().wake_if_parked();
        Ok(())
    }
}
