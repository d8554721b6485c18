//! The client of a source: sends messages, holds those that are not acknowledged, and sends them
//! again when the engine goes back.
//!
//! Promises: a message that [`Source::send`] took reaches the application exactly once, as long as
//! this process runs; its memory is bounded by [`Options::kept_bytes_max`]. Must never do: lose a
//! message, or send without credit.

use std::collections::VecDeque;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::link::{ANSWER, EngineAnswer, Link, PAUSE, closed};
use crate::options::check_texts;
use crate::{Error, Frame, MESSAGE_BYTES_MAX, Options};

/// Bytes that are gathered before they are written, unless the caller waits.
const WRITE_BYTES: usize = 32 * 1024;

/// A stream that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamNumber(u32);

/// A connection to a source.
///
/// ```no_run
/// use potoroo_connector::{Options, Source};
///
/// # fn main() -> Result<(), potoroo_connector::Error> {
/// let mut source = Source::connect(Options::new("127.0.0.1:7000"))?;
/// let (numbers, last) = source.open("numbers", 0)?;
/// for id in last + 1..=1000 {
///     source.send(numbers, id, format!("{id}\n").as_bytes())?;
/// }
/// source.end(numbers);
/// source.finish()?; // Everything is covered by a committed checkpoint.
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Source {
    options: Options,
    streams: Vec<Stream>,
    link: Option<Link>,
    /// When a connection that stood was refused last.
    refused: Option<Instant>,
    kept_bytes: usize,
}

#[derive(Debug)]
struct Stream {
    name: String,
    /// Messages up to this id are acknowledged and forgotten.
    acknowledged: u64,
    /// The greatest id that was given to `send`.
    last: u64,
    /// What is not acknowledged, by id.
    kept: VecDeque<(u64, Vec<u8>)>,
    /// How many of them the engine has, or were sent to it.
    sent: usize,
    /// The id after which the engine goes on, once it sent it on this connection.
    after: Option<u64>,
    credit: u64,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    No,
    Asked,
    Sent,
    Acknowledged,
}

impl Source {
    /// Connects, as soon as the engine listens there.
    ///
    /// # Errors
    /// The client is refused, the engine does not listen for too long, or a text of the options
    /// does not fit a hello.
    pub fn connect(options: Options) -> Result<Self, Error> {
        let Options { token, application, endpoint, .. } = &options;
        check_texts(&[("token", token), ("application", application), ("endpoint", endpoint)])?;
        let (streams, link, refused, kept_bytes) = (Vec::new(), None, None, 0);
        let mut source = Self { options, streams, link, refused, kept_bytes };
        let patience = source.options.patience;
        source.link = Some(patiently(patience, || match Link::connect(&source.options) {
            Err(Error::Io(error)) => Err(Error::Io(error)),
            settled => Ok(settled),
        })??);
        Ok(source)
    }

    /// Opens the stream `name`, of which every message after the id `from` can be sent: 0 from
    /// the beginning. Returns the stream, and the id after which the application goes on; what
    /// is sent up to that id is passed over.
    ///
    /// # Errors
    /// Another client has it open, the application needs something from before `from`, the
    /// connection is lost for too long, or the name has not 1 to 255 bytes.
    pub fn open(&mut self, name: &str, from: u64) -> Result<(StreamNumber, u64), Error> {
        if name.is_empty() || name.len() > 255 {
            return Err(Error::Misused("the name of a stream has 1 to 255 bytes".to_owned()));
        }
        let number = self.streams.len() as u32;
        self.streams.push(Stream {
            name: name.to_owned(),
            acknowledged: from,
            last: from,
            kept: VecDeque::new(),
            sent: 0,
            after: None,
            credit: 0,
            end: End::No,
        });
        let opened = self.open_last();
        if opened.is_err() {
            self.streams.pop();
        }
        opened.map(|after| (StreamNumber(number), after))
    }

    fn open_last(&mut self) -> Result<u64, Error> {
        let at = self.streams.len() - 1;
        if let Some(link) = &mut self.link {
            let stream = &self.streams[at];
            link.open(at as u32, &stream.name, stream.acknowledged);
        }
        loop {
            if let Some(after) = self.streams[at].after {
                return Ok(after);
            }
            self.advance(true)?;
        }
    }

    /// Sends a message, or keeps it until the connection is there again. Waits for credit, and
    /// while too much is not acknowledged. Small messages are gathered: see [`flush`](Self::flush).
    ///
    /// # Errors
    /// The id is not above the one before, the payload too long, the engine refuses, or the
    /// connection is lost for too long. After the last two the message is held and sent later.
    pub fn send(&mut self, stream: StreamNumber, id: u64, payload: &[u8]) -> Result<(), Error> {
        let at = stream.0 as usize;
        let stream = &mut self.streams[at];
        if id <= stream.last {
            let last = stream.last;
            return Err(Error::Misused(format!("id {id} is not above {last}, the one before")));
        }
        if payload.len() > MESSAGE_BYTES_MAX || stream.end != End::No {
            let text = "a payload has up to 1 048 563 bytes, and none follows the end of a stream, \
                        also if another client sent that";
            return Err(Error::Misused(text.to_owned()));
        }
        stream.last = id;
        if stream.sent == stream.kept.len() && stream.after.is_some_and(|after| id <= after) {
            stream.sent += 1;
        }
        stream.kept.push_back((id, payload.to_owned()));
        self.kept_bytes += payload.len();
        self.advance(false)?;
        while self.kept_bytes > self.options.kept_bytes_max || self.streams[at].is_held_back() {
            self.advance(true)?;
        }
        Ok(())
    }

    /// Says that nothing will follow in a stream.
    pub fn end(&mut self, stream: StreamNumber) {
        let stream = &mut self.streams[stream.0 as usize];
        if stream.end == End::No {
            stream.end = End::Asked;
        }
    }

    /// Writes the gathered messages, and reads acknowledgements.
    ///
    /// # Errors
    /// The engine refuses, or the connection is lost for too long.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.advance(false)?;
        self.write()
    }

    /// The id up to which the messages of a stream are acknowledged, by what was received.
    pub fn acknowledged(&self, stream: StreamNumber) -> u64 {
        self.streams[stream.0 as usize].acknowledged
    }

    /// Waits until the messages of a stream up to `id` are acknowledged. One that ends within a
    /// frame of the source's codec is only when the rest of that frame was sent: before, this waits
    /// for ever.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn wait(&mut self, stream: StreamNumber, id: u64) -> Result<(), Error> {
        while self.acknowledged(stream) < id {
            self.advance(true)?;
        }
        Ok(())
    }

    /// Waits until everything is acknowledged: all messages, and the ends of streams.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn finish(mut self) -> Result<(), Error> {
        while !self.streams.iter().all(Stream::is_settled) {
            self.advance(true)?;
        }
        Ok(())
    }

    /// Sends what may be sent and takes what was received; with `wait` at least one frame, unless
    /// there is more to send. Connects again if need be.
    fn advance(&mut self, wait: bool) -> Result<(), Error> {
        if self.link.is_none() {
            self.reconnect()?;
        }
        self.encode();
        let full = self.link.as_ref().is_some_and(|link| link.out.len() >= WRITE_BYTES);
        if wait || full {
            self.write()?;
        }
        let Some(link) = &self.link else { return Ok(()) };
        // What may be sent needs no answer: after a pause of the engine that is a lot.
        let first = match wait && !self.streams.iter().any(Stream::may_send) {
            true => link.answers.recv().ok(),
            false => link.answers.try_recv().ok(),
        };
        let all: Vec<EngineAnswer> = first.into_iter().chain(link.answers.try_iter()).collect();
        all.into_iter().try_for_each(|answer| self.handle(answer))?;
        // Messages that waited for the credit that came are sent now, not with the next call.
        self.encode();
        Ok(())
    }

    fn encode(&mut self) {
        let Some(link) = &mut self.link else { return };
        for (number, stream) in self.streams.iter_mut().enumerate() {
            stream.encode(number as u32, &mut link.out);
        }
    }

    fn write(&mut self) -> Result<(), Error> {
        let Some(link) = &mut self.link else { return Ok(()) };
        if link.to.write_all(&link.out).is_err() {
            // The reader may have received the reason: that comes first.
            let last: Vec<EngineAnswer> = link.answers.iter().collect();
            self.link = None;
            return last.into_iter().try_for_each(|answer| self.handle(answer));
        }
        link.out.clear();
        Ok(())
    }

    fn handle(&mut self, answer: EngineAnswer) -> Result<(), Error> {
        match answer {
            EngineAnswer::Resume { stream, after } => self.stream(stream)?.resume(after),
            EngineAnswer::Credit { stream, messages } => {
                self.stream(stream)?.credit += u64::from(messages);
            }
            EngineAnswer::Ack { stream, id } => {
                let forgotten = self.stream(stream)?.acknowledge(id);
                self.kept_bytes -= forgotten;
            }
            EngineAnswer::Ended { stream } => self.stream(stream)?.end = End::Acknowledged,
            EngineAnswer::Over(error) => {
                self.link = None;
                return self.get_over(error);
            }
        }
        Ok(())
    }

    /// Whether it goes on without the connection. A refusal is met with one more attempt: what a
    /// connection that we have lost still had on its way may reach the engine late, and take our
    /// streams from the one that followed. The client that is in the wrong is refused again; so
    /// is one of two clients that take a stream from each other.
    fn get_over(&mut self, error: Error) -> Result<(), Error> {
        let patience = self.options.patience;
        let again = self.refused.is_some_and(|before| before.elapsed() < patience);
        let outcome = match error {
            Error::Refused(_) if !again => {
                self.refused = Some(Instant::now());
                self.attempt_all()
            }
            error => Err(error),
        };
        match outcome {
            Err(Error::Io(_)) => Ok(()),
            settled => settled,
        }
    }

    fn stream(&mut self, number: u32) -> Result<&mut Stream, Error> {
        self.streams.get_mut(number as usize).ok_or(Error::Unexpected("a stream never opened"))
    }

    /// Tries until the connection stands again and all streams are open, or patience is over.
    fn reconnect(&mut self) -> Result<(), Error> {
        patiently(self.options.patience, || self.attempt_all())
    }

    fn attempt_all(&mut self) -> Result<(), Error> {
        self.link = None;
        let mut link = Link::connect(&self.options)?;
        for (at, stream) in self.streams.iter_mut().enumerate() {
            (stream.after, stream.credit) = (None, 0);
            link.open(at as u32, &stream.name, stream.acknowledged);
        }
        link.to.write_all(&link.out)?;
        link.out.clear();
        self.link = Some(link);
        while self.streams.iter().any(|stream| stream.after.is_none()) {
            let link = self.link.as_ref().ok_or(Error::Unexpected("a lost connection"))?;
            let answer = link.answers.recv_timeout(ANSWER).map_err(|_| closed())?;
            self.handle(answer)?;
        }
        Ok(())
    }
}

/// Tries until it works or patience is over.
fn patiently<T>(
    patience: Duration,
    mut attempt: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let (begun, mut pause) = (Instant::now(), PAUSE.0);
    loop {
        match attempt() {
            Err(Error::Misused(text)) => return Err(Error::Misused(text)),
            Err(_) if begun.elapsed() < patience => std::thread::sleep(pause),
            settled => return settled,
        }
        pause = (pause * 2).min(PAUSE.1);
    }
}

impl Stream {
    /// The engine has everything up to `after`. What of it is not acknowledged stays: it may still
    /// go back.
    fn resume(&mut self, after: u64) {
        self.after = Some(after);
        self.sent = self.kept.partition_point(|(id, _)| *id <= after);
        if self.end == End::Sent {
            self.end = End::Asked;
        }
    }

    /// Returns the bytes that were forgotten.
    fn acknowledge(&mut self, id: u64) -> usize {
        self.acknowledged = self.acknowledged.max(id);
        let covered = self.kept.partition_point(|(kept, _)| *kept <= id);
        self.sent = self.sent.saturating_sub(covered);
        self.kept.drain(..covered).map(|(_, payload)| payload.len()).sum()
    }

    fn encode(&mut self, number: u32, out: &mut Vec<u8>) {
        if self.after.is_none() {
            return;
        }
        while self.sent < self.kept.len() && self.credit > 0 && out.len() < WRITE_BYTES {
            let (id, payload) = &self.kept[self.sent];
            Frame::Message { stream: number, id: *id, payload }.encode(out);
            self.sent += 1;
            self.credit -= 1;
        }
        if self.end == End::Asked && self.sent == self.kept.len() {
            Frame::End { stream: number }.encode(out);
            self.end = End::Sent;
        }
    }

    /// Whether something that was not sent has credit.
    fn may_send(&self) -> bool {
        self.is_held_back() && self.after.is_some() && self.credit > 0
    }

    /// Whether something was not sent.
    fn is_held_back(&self) -> bool {
        self.sent < self.kept.len()
    }

    fn is_settled(&self) -> bool {
        self.kept.is_empty() && matches!(self.end, End::No | End::Acknowledged)
    }
}
