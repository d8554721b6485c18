//! The connection of a source's client to its engine, and the thread that reads it.
//!
//! Promises: an engine that vanishes or hangs is noticed after [`SILENCE_MAX`],
//! also by a client that waits for room to write. Must never do: decide what follows from that.

use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use crate::{Error, Frame, FrameReader, Options, Role, VERSION};

/// Most frames that were received and not taken; the thread that reads waits above that.
const ANSWERS_MAX: usize = 1024;

/// How long an engine may take for a connection, for `Welcome`, and for `Resume`: it may have to
/// wait until another client has given the stream back.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);

/// First and longest pause between two attempts to connect: an engine that a
/// supervisor starts again is there at once.
pub(crate) const PAUSE: (Duration, Duration) =
    (Duration::from_millis(1), Duration::from_millis(100));

/// An engine sends a frame every ten seconds to a client that has a stream open: three times as
/// long without one means that it is gone. The standard library cannot switch on keep-alive, and
/// the kernel of an engine that hangs would answer that.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A connection that stands. A thread reads it, so that the engine need not wait for us to listen.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) to: TcpStream,
    pub(crate) out: Vec<u8>,
    pub(crate) answers: Receiver<EngineAnswer>,
    /// A stream is open, so the engine sends frames.
    opened: Arc<AtomicBool>,
}

/// What the engine sent.
#[derive(Debug)]
pub(crate) enum EngineAnswer {
    Resume { stream: u32, after: u64 },
    Credit { stream: u32, messages: u32 },
    Ack { stream: u32, id: u64 },
    Ended { stream: u32 },
    Over(Error),
}

impl Link {
    /// Connects and sends `Hello`.
    pub(crate) fn connect(options: &Options) -> Result<Self, Error> {
        Self::connect_within(options, SILENCE_MAX)
    }

    fn connect_within(options: &Options, silence_max: Duration) -> Result<Self, Error> {
        let Options { address, token, application, endpoint, .. } = options;
        let answer = ANSWER.min(options.patience).max(PAUSE.0);
        let mut to = dial(address, answer)?;
        to.set_nodelay(true)?;
        let mut out = Vec::new();
        Frame::Hello { version: VERSION, role: Role::Source, token, application, endpoint }
            .encode(&mut out);
        to.write_all(&out)?;
        to.set_read_timeout(Some(answer))?;
        let mut reader = FrameReader::new(to.try_clone()?).until(Instant::now() + answer);
        match reader.read()? {
            Some(Frame::Welcome { .. }) => reader.welcome(),
            Some(Frame::Refused { reason }) => return Err(Error::Refused(reason.to_owned())),
            Some(other) => return Err(Error::Unexpected(other.name())),
            None => return Err(closed()),
        }
        to.set_read_timeout(Some(silence_max))?;
        let (sender, answers) = sync_channel(ANSWERS_MAX);
        let opened = Arc::new(AtomicBool::new(false));
        let (socket, of_reader) = (to.try_clone()?, opened.clone());
        let read = move || {
            listen(reader, &sender, &of_reader);
            // A write that waits for room ends with an error.
            let _ = socket.shutdown(Shutdown::Both);
        };
        Builder::new().name("potoroo-source".into()).spawn(read)?;
        out.clear();
        Ok(Self { to, out, answers, opened })
    }

    /// Opens a stream, of which every message after `from` can be sent.
    pub(crate) fn open(&mut self, stream: u32, name: &str, from: u64) {
        Frame::Open { stream, name, from }.encode(&mut self.out);
        self.opened.store(true, Ordering::Relaxed);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Ends the thread that reads; a connection that is broken already needs none of it.
        let _ = self.to.shutdown(Shutdown::Both);
    }
}

/// Connects to the first address of the engine that answers: a name may have several.
fn dial(address: &str, most: Duration) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(ErrorKind::NotFound, "it has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, most) {
            // No engine listens: the kernel gave the very port to this connection.
            Ok(to) if to.local_addr()? == to.peer_addr()? => {
                failed = ErrorKind::ConnectionRefused.into();
            }
            Ok(to) => return Ok(to),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

pub(crate) fn closed() -> Error {
    Error::Io(io::Error::new(ErrorKind::ConnectionReset, "the engine closed the connection"))
}

/// Reads frames until the connection ends, or the client is dropped.
fn listen(
    mut reader: FrameReader<TcpStream>,
    sender: &SyncSender<EngineAnswer>,
    opened: &AtomicBool,
) {
    let mut was_opened = false;
    loop {
        let answer = match reader.read() {
            // It only shows that the engine runs.
            Ok(Some(Frame::Credit { messages: 0, .. })) => continue,
            Ok(Some(Frame::Resume { stream, after })) => EngineAnswer::Resume { stream, after },
            Ok(Some(Frame::Credit { stream, messages })) => {
                EngineAnswer::Credit { stream, messages }
            }
            Ok(Some(Frame::Ack { stream, id })) => EngineAnswer::Ack { stream, id },
            Ok(Some(Frame::Ended { stream })) => EngineAnswer::Ended { stream },
            Ok(Some(Frame::Refused { reason })) => {
                EngineAnswer::Over(Error::Refused(reason.to_owned()))
            }
            Ok(Some(other)) => EngineAnswer::Over(Error::Unexpected(other.name())),
            Ok(None) => EngineAnswer::Over(closed()),
            Err(Error::Io(error)) if is_pause(&error) => {
                // Before a stream was opened no frame was due.
                if !std::mem::replace(&mut was_opened, opened.load(Ordering::Relaxed)) {
                    continue;
                }
                let text = "the engine sends nothing any more: it is gone, or hangs";
                EngineAnswer::Over(io::Error::new(ErrorKind::TimedOut, text).into())
            }
            Err(error) => EngineAnswer::Over(error),
        };
        let over = matches!(answer, EngineAnswer::Over(_));
        if sender.send(answer).is_err() || over {
            return;
        }
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    /// An engine that sends `Welcome` and then nothing, and a client that waits 20 ms.
    fn silent() -> (TcpStream, Link) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let engine = std::thread::spawn(move || {
            let (mut engine, _) = listener.accept().expect("it is connected to");
            let mut hello = [0; 4];
            engine.read_exact(&mut hello).expect("it says hello");
            let mut rest = vec![0; u32::from_le_bytes(hello) as usize];
            engine.read_exact(&mut rest).expect("it says hello");
            let mut out = Vec::new();
            Frame::Welcome { version: VERSION, last: 0 }.encode(&mut out);
            engine.write_all(&out).expect("it listens");
            engine
        });
        let silence_max = Duration::from_millis(20);
        let link = Link::connect_within(&Options::new(address), silence_max).expect("it is there");
        (engine.join().expect("no panic"), link)
    }

    #[test]
    fn an_engine_that_sends_nothing_any_more_is_gone() {
        let (engine, mut link) = silent();
        link.open(0, "lines", 0);
        let written = loop {
            // It reads nothing either: this waits for room.
            if let Err(error) = link.to.write_all(&[0; 65_536]) {
                break error;
            }
        };
        assert!(!is_pause(&written), "{written}");
        let Ok(EngineAnswer::Over(Error::Io(error))) = link.answers.recv() else {
            panic!("it is over")
        };
        assert!(error.to_string().contains("sends nothing any more"), "{error}");
        drop(engine);
    }

    #[test]
    fn a_beat_is_no_answer() {
        let (mut engine, link) = silent();
        let mut out = Vec::new();
        for messages in [0, 0, 5] {
            Frame::Credit { stream: 3, messages }.encode(&mut out);
        }
        engine.write_all(&out).expect("it is connected");
        let answer = link.answers.recv().expect("it is connected");
        assert!(matches!(answer, EngineAnswer::Credit { stream: 3, messages: 5 }), "{answer:?}");
    }

    /// `localhost` often is `::1` first, where this engine does not listen.
    #[test]
    fn every_address_of_a_name_is_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        dial(&format!("localhost:{port}"), ANSWER).expect("it has 127.0.0.1, too");
    }
}
