//! The client of a sink: gets the output of one committed checkpoint after the other.
//!
//! Promises: a transaction that was committed is not offered again; one that was not is, from its
//! beginning. It is the application of this client that makes it durable, and its id with it.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::frame::check_texts;
use crate::{Error, Frame, Reader, Role, VERSION};

/// How often it looks whether another engine connects, while one is connected that says nothing:
/// its process may be gone without a word.
const LOOK: Duration = Duration::from_millis(200);

/// How long a stranger may take to say hello.
const HELLO: Duration = Duration::from_secs(10);

/// A piece of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A transaction begins, or begins again. Whatever came of one that was not committed is void.
    Begin {
        /// Its id.
        transaction: u128,
        /// How many bytes it has.
        length: u64,
    },
    /// The next bytes of it.
    Data(&'a [u8]),
    /// It is complete: make it durable together with its id, then call [`Sink::commit`].
    End {
        /// Its id.
        transaction: u128,
    },
}

/// Waits for an engine that brings the output of a sink.
///
/// ```no_run
/// use potoroo_connector::{Piece, Sink};
///
/// # fn store(_: u128, _: &[u8]) -> Result<(), potoroo_connector::Error> { Ok(()) }
/// # fn main() -> Result<(), potoroo_connector::Error> {
/// let mut sink = Sink::listen("127.0.0.1:7001", "secret", 0)?;
/// let mut output = Vec::new();
/// loop {
///     match sink.next()? {
///         Piece::Begin { .. } => output.clear(),
///         Piece::Data(bytes) => output.extend_from_slice(bytes),
///         Piece::End { transaction } => {
///             store(transaction, &output)?; // Both or none.
///             sink.commit(transaction);
///         }
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Sink {
    listener: TcpListener,
    token: String,
    last: u128,
    link: Option<Link>,
}

#[derive(Debug)]
struct Link {
    to: TcpStream,
    reader: Reader<TcpStream>,
    /// The transaction under way, and its bytes that are still to come.
    open: Option<(u128, u64)>,
}

/// A piece, without its bytes.
enum Step {
    Begin { transaction: u128, length: u64 },
    Data { bytes: usize },
    End { transaction: u128 },
}

impl Sink {
    /// Listens at `address` for an engine with this `token` (empty for none). `last` is the last
    /// transaction that is durable here, 0 for none.
    ///
    /// # Errors
    /// It cannot listen there, or the token does not fit a hello.
    pub fn listen(address: impl ToSocketAddrs, token: &str, last: u128) -> Result<Self, Error> {
        check_texts(&[("token", token)])?;
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, token: token.to_owned(), last, link: None })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// None in practice.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The last transaction that is durable here.
    pub fn last(&self) -> u128 {
        self.last
    }

    /// Waits for the next piece. A connection that is lost is waited for again.
    ///
    /// # Errors
    /// Nobody can be accepted any more.
    #[allow(clippy::should_implement_trait, reason = "what it returns borrows from it")]
    pub fn next(&mut self) -> Result<Piece<'_>, Error> {
        let step = loop {
            if let Some(step) = self.step()? {
                break step;
            }
        };
        Ok(self.piece(step))
    }

    /// As [`next`](Self::next), but gives up after a fraction of a second: for who has to look
    /// after something else, too.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn try_next(&mut self) -> Result<Option<Piece<'_>>, Error> {
        let step = self.step()?;
        Ok(step.map(|step| self.piece(step)))
    }

    fn step(&mut self) -> Result<Option<Step>, Error> {
        self.accept()?;
        let Some(link) = &mut self.link else {
            std::thread::park_timeout(LOOK / 40);
            return Ok(None);
        };
        Ok(link.step(self.last).unwrap_or_else(|error| {
            self.hang_up(&error.to_string());
            None
        }))
    }

    fn piece(&self, step: Step) -> Piece<'_> {
        match step {
            Step::Begin { transaction, length } => Piece::Begin { transaction, length },
            Step::End { transaction } => Piece::End { transaction },
            Step::Data { bytes } => {
                let link = self.link.as_ref().expect("it was just read");
                Piece::Data(link.reader.last_payload(bytes))
            }
        }
    }

    /// The transaction is durable with its id. If the engine does not hear of it now, it does when
    /// it connects again.
    ///
    /// # Panics
    /// It is not above the last one.
    pub fn commit(&mut self, transaction: u128) {
        assert!(transaction > self.last, "transactions rise");
        self.last = transaction;
        if let Some(link) = &mut self.link
            && link.tell(Frame::Committed { transaction }).is_err()
        {
            self.link = None;
        }
    }

    /// Refuses the transaction under way: it will be offered again.
    pub fn refuse(&mut self, reason: &str) {
        self.hang_up(reason);
    }

    fn hang_up(&mut self, reason: &str) {
        if let Some(mut link) = self.link.take() {
            // It may be broken; then nobody can be told.
            let _ = link.tell(Frame::Refused { reason });
        }
    }

    /// Takes whoever connects in place of whoever was connected: a new engine knows more than the
    /// one before.
    fn accept(&mut self) -> Result<(), Error> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if let Ok(link) = self.greet(stream) {
                        self.link = Some(link);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn greet(&self, to: TcpStream) -> Result<Link, Error> {
        to.set_nonblocking(false)?;
        to.set_nodelay(true)?;
        to.set_read_timeout(Some(HELLO))?;
        let reader = Reader::new(to.try_clone()?).until(Instant::now() + HELLO);
        let mut link = Link { reader, to, open: None };
        let refusal = match link.reader.read()? {
            Some(Frame::Hello { version, role, token, .. }) => match (version, role) {
                (VERSION, Role::Sink) if token == self.token => None,
                (VERSION, Role::Sink) => Some("the token is another one".to_owned()),
                (VERSION, Role::Source) => Some("this is a sink".to_owned()),
                (other, _) => Some(format!("version {other} is not {VERSION}")),
            },
            Some(other) => return Err(Error::Unexpected(other.name())),
            None => return Err(Error::Unexpected("a closed connection")),
        };
        if let Some(reason) = refusal {
            link.tell(Frame::Refused { reason: &reason })?;
            return Err(Error::Refused(reason));
        }
        link.tell(Frame::Welcome { version: VERSION, last: self.last })?;
        link.reader.welcome();
        link.to.set_read_timeout(Some(LOOK))?;
        Ok(link)
    }
}

impl Link {
    fn tell(&mut self, frame: Frame<'_>) -> Result<(), Error> {
        let mut out = Vec::new();
        frame.encode(&mut out);
        Ok(self.to.write_all(&out)?)
    }

    /// Reads one frame; `None` if there is none for a while.
    fn step(&mut self, last: u128) -> Result<Option<Step>, Error> {
        let frame = match self.reader.read() {
            Err(Error::Io(error)) if is_pause(&error) => return Ok(None),
            read => read?.ok_or(Error::Unexpected("a closed connection"))?,
        };
        let name = frame.name();
        match (frame, self.open) {
            (Frame::Begin { transaction, length }, None) if transaction > last => {
                self.open = Some((transaction, length));
                Ok(Some(Step::Begin { transaction, length }))
            }
            (Frame::Data { payload }, Some((transaction, left))) => {
                let bytes = payload.len();
                let left = left.checked_sub(bytes as u64).ok_or(Error::Unexpected(name))?;
                self.open = Some((transaction, left));
                Ok(Some(Step::Data { bytes }))
            }
            (Frame::Commit { transaction }, Some((open, 0))) if transaction == open => {
                self.open = None;
                Ok(Some(Step::End { transaction }))
            }
            _ => Err(Error::Unexpected(name)),
        }
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
