//! Strangers: connections to a sink that have not yet shown that they come from an engine.
//!
//! Promises: no call waits for a stranger; at most [`STRANGERS_MAX`] are read, each for [`HELLO`],
//! so silent ones keep no engine out. Must never do: send a stranger anything but the reason of its
//! refusal.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::{Error, Frame, FrameReader, Role, VERSION, is_same_token};

/// How long a stranger may take to send `Hello`.
const HELLO: Duration = Duration::from_secs(10);

/// How long a read from an engine takes at most.
pub(crate) const LOOK: Duration = Duration::from_millis(200);

/// A connection that takes no byte for this long is closed.
const SEND: Duration = Duration::from_secs(10);

/// Strangers that are read at once. One more takes the place of the one that had the longest
/// time for it: an engine sends `Hello` as soon as it is connected.
const STRANGERS_MAX: usize = 8;

/// Connections that are accepted at once: as many as wait in the kernel.
const ACCEPTED_MAX: usize = 128;

/// ENFILE and EMFILE of Linux: the system or the process has no descriptor left.
const SCARCE: [i32; 2] = [23, 24];

/// A listener, and the connections that wait to be read.
pub(crate) struct Strangers {
    listener: TcpListener,
    token: String,
    waiting: VecDeque<Stranger>,
}

/// A connection, and the frames that come from it.
#[derive(Debug)]
pub(crate) struct Stranger {
    to: TcpStream,
    pub(crate) reader: FrameReader<TcpStream>,
}

/// Leaves out the token.
impl fmt::Debug for Strangers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strangers").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Strangers {
    /// Listens for engines with this token.
    pub(crate) fn listen(address: impl ToSocketAddrs, token: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, token: token.to_owned(), waiting: VecDeque::new() })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The engine that was welcome last, if one was since the last look; `last` is the last
    /// transaction, for its `Welcome`.
    pub(crate) fn look(&mut self, last: u128) -> io::Result<Option<Stranger>> {
        let mut engine = self.read_waiting(last);
        for _ in 0..ACCEPTED_MAX {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if self.waiting.len() == STRANGERS_MAX {
                        self.waiting.pop_front();
                    }
                    // A connection that is closed already is dropped.
                    self.waiting.extend(Stranger::new(stream).ok());
                    engine = self.read_waiting(last).or(engine);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // An engine waits in the kernel, until a descriptor is free.
                Err(error) if error.raw_os_error().is_some_and(|no| SCARCE.contains(&no)) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(engine)
    }

    /// Reads what the waiting strangers have sent.
    fn read_waiting(&mut self, last: u128) -> Option<Stranger> {
        let mut engine = None;
        for mut stranger in std::mem::take(&mut self.waiting) {
            match stranger.greet(&self.token, last) {
                Ok(true) => engine = Some(stranger),
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.waiting.push_back(stranger);
                }
                // The refused stranger may have gone.
                Ok(false) | Err(_) => {}
            }
        }
        engine
    }
}

impl Stranger {
    fn new(to: TcpStream) -> io::Result<Self> {
        to.set_nonblocking(true)?;
        to.set_nodelay(true)?;
        let reader = FrameReader::new(to.try_clone()?).until(Instant::now() + HELLO);
        Ok(Self { to, reader })
    }

    /// Whether it may come in; an error of the kind `WouldBlock` while its `Hello` is not whole.
    fn greet(&mut self, token: &str, last: u128) -> Result<bool, Error> {
        let refusal = match self.reader.read() {
            Ok(Some(Frame::Hello { role, token: theirs, .. })) => match role {
                Role::Sink if is_same_token(token, theirs) => None,
                Role::Sink => Some("the token is another one".to_owned()),
                Role::Source => Some("this is a sink".to_owned()),
            },
            Ok(Some(other)) => Some(format!("{} comes before Hello", other.name())),
            Ok(None) => return Ok(false),
            Err(Error::Malformed(malformed)) => Some(malformed.to_string()),
            Err(error) => return Err(error),
        };
        if let Some(reason) = refusal {
            self.send(Frame::Refused { reason: &reason })?;
            return Ok(false);
        }
        self.send(Frame::Welcome { version: VERSION, last })?;
        self.reader.welcome();
        self.to.set_nonblocking(false)?;
        self.to.set_read_timeout(Some(LOOK))?;
        self.to.set_write_timeout(Some(SEND))?;
        Ok(true)
    }

    /// Sends a frame; the first one finds room in the kernel.
    pub(crate) fn send(&mut self, frame: Frame<'_>) -> Result<(), Error> {
        let mut out = Vec::new();
        frame.encode(&mut out);
        Ok(self.to.write_all(&out)?)
    }
}
