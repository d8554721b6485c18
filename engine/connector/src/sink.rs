//! The client of a sink: gets the output of one committed checkpoint after the other.
//!
//! Promises: a transaction that was committed is not offered again; one that was not is, from its
//! beginning. It is the application of this client that makes it durable, and its id with it.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Instant;

use crate::options::check_texts;
use crate::strangers::{LOOK, Stranger, Strangers};
use crate::{Error, Frame};

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
    strangers: Strangers,
    looked: Instant,
    last: u128,
    link: Option<Link>,
}

#[derive(Debug)]
struct Link {
    engine: Stranger,
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
        let strangers = Strangers::listen(address, token)?;
        Ok(Self { strangers, looked: Instant::now(), last, link: None })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// None in practice.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.strangers.address()
    }

    /// The last transaction that is durable here.
    pub fn last(&self) -> u128 {
        self.last
    }

    /// Waits for the next piece. A connection that is lost is waited for again.
    ///
    /// # Errors
    /// The listener fails: no engine can be accepted any more.
    #[allow(clippy::should_implement_trait, reason = "what it returns borrows from it")]
    pub fn next(&mut self) -> Result<Piece<'_>, Error> {
        let step = loop {
            if let Some(step) = self.step()? {
                break step;
            }
        };
        Ok(self.piece(step))
    }

    /// As [`next`](Self::next), but returns after a fraction of a second: for callers that look
    /// after something else, too.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn try_next(&mut self) -> Result<Option<Piece<'_>>, Error> {
        let step = self.step()?;
        Ok(step.map(|step| self.piece(step)))
    }

    fn step(&mut self) -> Result<Option<Step>, Error> {
        self.look()?;
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
                Piece::Data(link.engine.reader.last_payload(bytes))
            }
        }
    }

    /// The transaction is durable with its id. If the engine does not receive that now, it does
    /// when it connects again.
    ///
    /// # Panics
    /// It is not above the last one.
    pub fn commit(&mut self, transaction: u128) {
        assert!(transaction > self.last, "transactions rise");
        self.last = transaction;
        if let Some(link) = &mut self.link
            && link.engine.send(Frame::Committed { transaction }).is_err()
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
            // It may be broken; then the engine cannot be informed.
            let _ = link.engine.send(Frame::Refused { reason });
        }
    }

    /// Takes a new connection in place of the one before: a new engine knows more than the
    /// one before.
    fn look(&mut self) -> Result<(), Error> {
        // It takes calls of the system, so not for each frame; but the process of an engine may be
        // gone without a word.
        if self.link.is_some() && self.looked.elapsed() < LOOK {
            return Ok(());
        }
        if let Some(engine) = self.strangers.look(self.last)? {
            self.link = Some(Link { engine, open: None });
        }
        self.looked = Instant::now();
        Ok(())
    }
}

impl Link {
    /// Reads one frame; `None` if there is none for a while.
    fn step(&mut self, last: u128) -> Result<Option<Step>, Error> {
        let frame = match self.engine.reader.read() {
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
