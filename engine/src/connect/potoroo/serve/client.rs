//! What one client sends: messages of its streams, in order and with credit, into their pipes.
//!
//! Promises: what was noted of a message is what went into its pipe. Must never do: read from a
//! socket, or wait longer than the caller allows.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use potoroo_connector::Frame;

use super::lines::ServerLines;
use crate::connect::lines::one_line;
use crate::connect::pipe::Gone;
use crate::connect::potoroo::answers::Answers;
use crate::connect::potoroo::streams::{Note, Opened, ResentBytes, Streams};
use crate::connect::stopping::Stopping;

/// Why a client is served no longer.
#[derive(Debug)]
pub enum ServiceEnd {
    /// It broke the protocol: the reason, which is sent to it.
    Refused(String),
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
    /// No new client is served: the application ends.
    pub ends: Stopping,
    /// Clients open streams as often as they like.
    pub lines: Arc<ServerLines>,
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
    /// One that has nothing open, and is answered through `answers`.
    pub fn new(of: Serving, answers: Arc<Answers>) -> Self {
        Self { of, answers, opened: Vec::new() }
    }

    /// Handles a frame, and waits up to `patience` for what it needs: room, or that another client
    /// releases a stream. Returns whether that was there: otherwise it has to be handled again.
    ///
    /// # Errors
    /// Why the client is served no longer.
    pub fn handle(&mut self, frame: Frame<'_>, patience: Duration) -> Result<bool, ServiceEnd> {
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
                Err(ServiceEnd::Refused(format!("it refused: {}", one_line(reason))))
            }
            other => Err(ServiceEnd::Refused(format!("{} is not for a source", other.name()))),
        }
    }

    /// Passes on what was received: nothing follows for now.
    ///
    /// # Errors
    /// A stream cannot be read any further.
    pub fn flush(&mut self) -> Result<(), ServiceEnd> {
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
    ) -> Result<bool, ServiceEnd> {
        if self.opened.iter().any(|one| one.number == number) {
            return Err(ServiceEnd::Refused(format!("stream {number} is open already")));
        }
        let Serving { source, streams, lines, .. } = &self.of;
        let opened = streams.open(name, from, &self.answers, number, patience);
        let Some(of) = opened.map_err(ServiceEnd::Refused)? else { return Ok(false) };
        let (name, after) = (one_line(name), of.begins.unwrap_or(of.passed.id));
        if let Some(left_out) = lines.opened.admit() {
            tracing::info!(
                "source `{source}`: stream `{name}` continues after message {after}{left_out}"
            );
        }
        let (buffer, notes) = (Vec::new(), Vec::new());
        self.opened.push(Sending { number, of, buffer, notes, last: None, waits: false, used: 0 });
        Ok(true)
    }

    fn find(&self, number: u32) -> Result<usize, ServiceEnd> {
        let found = self.opened.iter().position(|one| one.number == number);
        found.ok_or_else(|| ServiceEnd::Refused(format!("stream {number} is not open")))
    }
}

impl Sending {
    fn message(
        &mut self,
        of: &Serving,
        id: u64,
        payload: &[u8],
        patience: Duration,
    ) -> Result<bool, ServiceEnd> {
        if !self.waits {
            self.admit(id)?;
            if id <= self.of.passed.id {
                of.streams.count_repeated();
                return Ok(true);
            }
            if let Some(from) = self.of.begins.take() {
                of.streams.begin_after(self.of.number, from.min(id - 1));
            }
        }
        if self.skips_whole(id, payload.len() as u64)? {
            return Ok(true);
        }
        self.waits = !self.append(of, payload, patience)?;
        if self.waits {
            return Ok(false);
        }
        self.of.skip = ResentBytes::default();
        self.note(id, payload.len() as u64);
        Ok(true)
    }

    /// Whether all of a message, and of the next one something, was passed on before.
    fn skips_whole(&mut self, id: u64, bytes: u64) -> Result<bool, ServiceEnd> {
        let skip = &mut self.of.skip;
        if skip.bytes <= bytes {
            // The rest of what is skipped is the beginning of this one.
            skip.several = false;
            return Ok(false);
        }
        if !skip.several {
            let number = self.number;
            return Err(ServiceEnd::Refused(format!(
                "message {id} of stream {number} is shorter than it was: the same id means the \
                 same payload"
            )));
        }
        skip.bytes -= bytes;
        self.note(id, bytes);
        Ok(true)
    }

    fn note(&mut self, id: u64, bytes: u64) {
        self.of.passed = Note::new(id, self.of.passed.end + bytes);
        self.notes.push(self.of.passed);
    }

    /// Whether the client may send this message now.
    fn admit(&mut self, id: u64) -> Result<(), ServiceEnd> {
        let number = self.number;
        if self.used == self.of.granted.load(Ordering::Relaxed) {
            let used = self.used;
            return Err(ServiceEnd::Refused(format!(
                "message {id} of stream {number} comes without credit: {used} were allowed so far"
            )));
        }
        self.used += 1;
        if id == 0 {
            let text =
                format!("message 0 of stream {number}: 0 is what was never sent, begin at 1");
            return Err(ServiceEnd::Refused(text));
        }
        if let Some(last) = self.last.filter(|last| id <= *last) {
            return Err(ServiceEnd::Refused(format!(
                "message {id} of stream {number} comes after {last}: ids rise"
            )));
        }
        self.last = Some(id);
        Ok(())
    }

    /// Passes on the rest of a message, as far as there is room. If its client is served no longer,
    /// the client that sends the message next continues there.
    fn append(
        &mut self,
        of: &Serving,
        payload: &[u8],
        patience: Duration,
    ) -> Result<bool, ServiceEnd> {
        loop {
            let rest = &payload[self.of.skip.bytes as usize..];
            let Some(pipe) = &mut self.of.pipe else {
                return Err(ServiceEnd::Refused(format!("stream {} has ended", self.number)));
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
            self.of.skip.bytes += now.len() as u64;
            if now.len() == room {
                self.flush(of)?;
            }
        }
    }

    /// The core reads no further.
    fn gone(&mut self, of: &Serving) -> ServiceEnd {
        self.of.pipe = None;
        if of.ends.has_begun() {
            return ServiceEnd::Ending;
        }
        let (number, id) = (self.number, self.of.passed.id);
        ServiceEnd::Refused(format!(
            "stream {number} cannot be read any further: up to message {id} is something that the \
             codec of the source does not understand (see the dead letters), or the application \
             ends"
        ))
    }

    /// Passes on what was gathered. Its messages are noted before: the reader of their bytes can
    /// find out whose they are.
    fn flush(&mut self, of: &Serving) -> Result<(), ServiceEnd> {
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

    fn end(&mut self, of: &Serving) -> Result<(), ServiceEnd> {
        self.flush(of)?;
        of.streams.end(self.of.number);
        self.of.pipe = None;
        self.of.core.waker().wake_if_parked();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use potoroo_runtime::Poller;
    use potoroo_sdk::host::SourceId;

    use super::*;
    use crate::connect::potoroo::streams::{CREDIT, Limits};
    use crate::turn::{Mail, mailbox};

    /// What clients have in common, and the mail of a core that does nothing.
    fn serving() -> (Serving, Mail) {
        let (core, mail) = mailbox(Poller::new().expect("this host has one").waker());
        let streams = Streams::new(SourceId(0), true, vec![core], &[], Arc::default());
        let streams = Arc::new(streams.within(Limits { buffer_bytes: 4, ..Limits::default() }));
        let (ends, lines) = Default::default();
        (Serving { source: "numbers".into(), streams, ends, lines }, mail)
    }

    fn handle(client: &mut Client, frame: Frame<'_>) -> Result<bool, String> {
        client.handle(frame, Duration::ZERO).map_err(|over| match over {
            ServiceEnd::Refused(reason) => reason,
            ServiceEnd::Ending => panic!("nothing ends"),
        })
    }

    fn open(of: &Serving, from: u64) -> (Client, Result<bool, String>) {
        let mut client = Client::new(of.clone(), Arc::default());
        let opened = handle(&mut client, Frame::Open { stream: 0, name: "a", from });
        (client, opened)
    }

    fn message(id: u64, payload: &[u8]) -> Frame<'_> {
        Frame::Message { stream: 0, id, payload }
    }

    #[test]
    fn a_client_without_credit_is_refused() {
        let (of, _mail) = serving();
        let (mut client, opened) = open(&of, 0);
        assert_eq!(opened, Ok(true));
        for id in 1..=CREDIT {
            assert_eq!(handle(&mut client, message(id, b"")), Ok(true));
        }
        let refused = handle(&mut client, message(CREDIT + 1, b"")).expect_err("it has no credit");
        assert!(refused.contains("4097 of stream 0 comes without credit: 4096"), "{refused}");
    }

    /// Its bytes are with the core: the next client has to send the rest of the same message.
    #[test]
    fn a_message_that_was_taken_in_part_is_the_beginning_of_its_stream() {
        let (of, _mail) = serving();
        let (mut wrong, _) = open(&of, 1000);
        wrong.release();
        let (mut first, opened) = open(&of, 7);
        assert_eq!(opened, Ok(true), "nothing was sent after 1000");
        // Four buffers of four bytes are all there is.
        assert_eq!(handle(&mut first, message(8, &[0; 20])), Ok(false));
        first.release();
        let (_, refused) = open(&of, 8);
        assert!(
            refused.expect_err("it is in the middle of 8").contains("continues after message 7")
        );
        let (mut second, opened) = open(&of, 7);
        assert_eq!(opened, Ok(true));
        let shorter = handle(&mut second, message(8, &[0; 15])).expect_err("it had 16 or more");
        assert!(shorter.contains("is shorter than it was"), "{shorter}");
    }
}
