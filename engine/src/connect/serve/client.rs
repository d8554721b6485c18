//! What one client sends: messages of its streams, in order and with credit, into their pipes.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use potoroo_connector::{Frame, Reader};

use super::{Answers, Server};
use crate::connect::pipe::{BUFFER_BYTES, Gone};
use crate::connect::streams::{Note, Opened};
use crate::connect::tcp::{STOP_CHECK, one_line};

/// Why a client is served no longer.
pub(super) enum Over {
    /// It did something wrong, and is told.
    Told(String),
    /// The application ends.
    Ending,
}

/// A client's side of its streams.
pub(super) struct Client<'a> {
    server: &'a Server,
    answers: &'a Arc<Answers>,
    opened: Vec<Sending>,
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
    used: u64,
}

impl<'a> Client<'a> {
    /// One that has nothing open.
    pub(super) fn new(server: &'a Server, answers: &'a Arc<Answers>) -> Self {
        Self { server, answers, opened: Vec::new() }
    }

    /// Takes what the client sends until it has gone.
    pub(super) fn run(&mut self, reader: &mut Reader<&TcpStream>) -> Result<(), Over> {
        let server = self.server;
        loop {
            if !reader.has_frame() {
                self.opened.iter_mut().try_for_each(|one| one.flush(server))?;
            }
            let frame = match reader.read() {
                Ok(Some(frame)) => frame,
                Ok(None) | Err(potoroo_connector::Error::Io(_)) => return Ok(()),
                Err(error) => return Err(Over::Told(error.to_string())),
            };
            match frame {
                Frame::Open { stream, name, from } => self.open(stream, name, from)?,
                Frame::Message { stream, id, payload } => {
                    let answers = self.answers;
                    self.sending(stream)?.message(server, answers, id, payload)?;
                }
                Frame::End { stream } => self.sending(stream)?.end(server)?,
                Frame::Refused { reason } => {
                    return Err(Over::Told(format!("it gave up: {}", one_line(reason))));
                }
                other => return Err(Over::Told(format!("{} is not for a source", other.name()))),
            }
        }
    }

    fn open(&mut self, number: u32, name: &str, from: u64) -> Result<(), Over> {
        if self.opened.iter().any(|one| one.number == number) {
            return Err(Over::Told(format!("stream {number} is open already")));
        }
        let opened = self.server.streams.open(name, from, self.answers, number);
        let of = opened.map_err(Over::Told)?;
        let source = &self.server.source;
        let (name, behind) = (one_line(name), of.passed.id);
        tracing::info!("source `{source}`: stream `{name}` goes on behind {behind}");
        let (buffer, notes) = (Vec::new(), Vec::new());
        self.opened.push(Sending { number, of, buffer, notes, last: None, used: 0 });
        Ok(())
    }

    fn sending(&mut self, number: u32) -> Result<&mut Sending, Over> {
        let found = self.opened.iter_mut().find(|one| one.number == number);
        found.ok_or_else(|| Over::Told(format!("stream {number} is not open")))
    }

    /// Gives all streams back, with what was received of them.
    pub(super) fn release(&mut self) {
        for mut one in self.opened.drain(..) {
            // One that cannot be passed on any more is gone.
            let _ = one.flush(self.server);
            self.server.streams.release(one.of.number, one.of.pipe, one.of.skip);
        }
    }
}

impl Sending {
    fn message(
        &mut self,
        server: &Server,
        answers: &Answers,
        id: u64,
        payload: &[u8],
    ) -> Result<(), Over> {
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
        if id <= self.of.passed.id {
            server.streams.count_repeated();
            return Ok(());
        }
        if self.of.skip > payload.len() as u64 {
            return Err(Over::Told(format!(
                "message {id} of stream {number} is shorter than it was: the same id means the \
                 same payload"
            )));
        }
        self.append(server, answers, payload)?;
        self.of.skip = 0;
        self.of.passed = Note { id, end: self.of.passed.end + payload.len() as u64 };
        self.notes.push(self.of.passed);
        Ok(())
    }

    /// Passes on what of a message was not, and waits for room, unless its client is served no
    /// longer: then whoever sends it next goes on where this was left.
    fn append(&mut self, server: &Server, answers: &Answers, payload: &[u8]) -> Result<(), Over> {
        loop {
            let rest = &payload[self.of.skip as usize..];
            let Some(pipe) = &mut self.of.pipe else {
                return Err(Over::Told(format!("stream {} has ended", self.number)));
            };
            if rest.is_empty() {
                return Ok(());
            }
            if self.buffer.capacity() == 0 {
                match pipe.buffer_within(STOP_CHECK) {
                    Ok(Some(buffer)) => self.buffer = buffer,
                    Ok(None) if answers.is_over() => return Err(Over::Ending),
                    Ok(None) => continue,
                    Err(Gone) => return Err(self.gone(server)),
                }
            }
            let room = BUFFER_BYTES - self.buffer.len();
            let now = &rest[..rest.len().min(room)];
            self.buffer.extend_from_slice(now);
            self.of.skip += now.len() as u64;
            if self.buffer.len() == BUFFER_BYTES {
                self.flush(server)?;
            }
        }
    }

    /// The core reads no further.
    fn gone(&mut self, server: &Server) -> Over {
        self.of.pipe = None;
        if server.stop_accepting.load(Ordering::Relaxed) {
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
    fn flush(&mut self, server: &Server) -> Result<(), Over> {
        server.streams.pass(self.of.number, &mut self.notes, self.used);
        let buffer = std::mem::take(&mut self.buffer);
        let Some(pipe) = self.of.pipe.as_mut().filter(|_| !buffer.is_empty()) else {
            return Ok(());
        };
        match pipe.send(buffer) {
            Ok(()) => self.of.core.waker().wake_if_parked(),
            Err(Gone) => return Err(self.gone(server)),
        }
        Ok(())
    }

    fn end(&mut self, server: &Server) -> Result<(), Over> {
        self.flush(server)?;
        server.streams.end(self.of.number);
        self.of.pipe = None;
        self.of.core.waker().wake_if_parked();
        Ok(())
    }
}
