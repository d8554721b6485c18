//! A connection that is greeted, and then its reader and its writer, each of a thread.
//!
//! The reader waits for bytes without the session, so that the writer can use it meanwhile. The
//! writer alone gives bytes to the connection, so they go in the order in which they were
//! encrypted.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::client::verify_server_name;
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use rustls::{ClientConnection, Connection, ServerConnection};

use super::incoming::{Decrypted, Incoming};
use super::names::server_name;
use super::port::TlsPort;
use super::words;
use crate::cluster::refusal::refusal;
use crate::cluster::timed::{TimedStream, TimedWriter, ended};

/// A connection that is greeted.
#[derive(Debug)]
pub struct TlsStream {
    stream: TimedStream,
    session: Connection,
}

/// Where messages come from.
#[derive(Debug)]
pub struct TlsReader {
    stream: TcpStream,
    session: Arc<Mutex<Connection>>,
    incoming: Incoming,
}

/// Where messages go.
#[derive(Debug)]
pub struct TlsWriter {
    stream: TimedWriter,
    session: Arc<Mutex<Connection>>,
    /// What is encrypted; empty between two writes.
    out: Vec<u8>,
}

/// What the listener sends first: it has accepted the certificate of the dialler, which does not
/// see that by itself.
const CHECKED: u8 = 1;

/// Bytes that a reader takes at once.
const READ_BYTES: usize = 16 * 1024;

impl TlsStream {
    pub(super) fn dialled(stream: TimedStream, session: ClientConnection) -> io::Result<Self> {
        let mut stream = Self::greet(stream, session.into())?;
        let mut answer = [0];
        match stream.read_exact(&mut answer) {
            Ok(()) if answer == [CHECKED] => Ok(stream),
            Ok(()) => Err(refusal("it is no node: its first byte is another one".to_owned())),
            Err(error) => {
                stream.stream.part();
                Err(ended(error))
            }
        }
    }

    pub(super) fn accepted(stream: TimedStream, session: ServerConnection) -> io::Result<Self> {
        let mut stream = Self::greet(stream, session.into())?;
        stream.write_all(&[CHECKED])?;
        Ok(stream)
    }

    fn greet(stream: TimedStream, session: Connection) -> io::Result<Self> {
        let mut stream = Self { stream, session };
        match stream.shake_hands() {
            Ok(()) => Ok(stream),
            Err(error) => {
                stream.stream.part();
                Err(error)
            }
        }
    }

    fn shake_hands(&mut self) -> io::Result<()> {
        while self.session.is_handshaking() {
            self.send()?;
            if self.session.is_handshaking() && self.receive()? == 0 {
                let text = "it ended the connection in the midst of the TLS handshake";
                return Err(io::Error::new(ErrorKind::UnexpectedEof, text));
            }
        }
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.stream)?;
        }
        Ok(())
    }

    /// Takes what comes next, and says goodbye if it cannot be. Returns how many bytes it was.
    fn receive(&mut self) -> io::Result<usize> {
        let taken = self.session.read_tls(&mut self.stream)?;
        match self.session.process_new_packets() {
            Ok(_) => Ok(taken),
            Err(error) => {
                // An alert has the reason for the peer.
                let _ = self.send();
                Err(refusal(words::of_peer(&error)))
            }
        }
    }

    /// The connection below.
    pub fn tcp(&self) -> &TcpStream {
        self.stream.stream()
    }

    /// Whether the certificate of the peer is for `node`.
    ///
    /// # Errors
    /// It is not: for which it is, and the remedy.
    pub fn check_peer(&self, node: &str) -> Result<(), String> {
        let (shown, name) = (self.certificate(), server_name(node)?);
        let checked =
            ParsedCertificate::try_from(shown).and_then(|shown| verify_server_name(&shown, &name));
        checked.map_err(|error| words::of_peer(&error))
    }

    /// What the peer has shown.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        let shown = self.session.peer_certificates().and_then(|chain| chain.first());
        shown.expect("a handshake without a certificate is refused")
    }

    /// Both directions, for a thread each.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn split(self) -> io::Result<(TlsReader, TlsWriter)> {
        let (stream, session) = (self.stream.into_stream()?, Arc::new(Mutex::new(self.session)));
        let incoming = Incoming::new(READ_BYTES);
        let reader = TlsReader { stream: stream.try_clone()?, session: session.clone(), incoming };
        Ok((reader, TlsWriter { stream: TimedWriter::new(stream), session, out: Vec::new() }))
    }

    /// The port of a link.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn into_port(self) -> io::Result<TlsPort> {
        TlsPort::new(self.stream.into_stream()?, self.session)
    }
}

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            if self.receive()? == 0 {
                return Ok(0);
            }
        }
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.session.writer().write(bytes)?;
        self.send()?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lock(session: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Read for TlsReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() {
            let plain = self.incoming.decrypt(&mut lock(&self.session), buffer);
            match plain.map_err(|error| refusal(words::of_peer(&error)))? {
                Decrypted::Bytes(count) => return Ok(count),
                Decrypted::Closed => return Ok(0),
                Decrypted::Nothing => {}
            }
            match self.stream.read(self.incoming.room())? {
                0 => return Ok(0),
                count => self.incoming.came(count),
            }
        }
        Ok(0)
    }
}

impl TlsWriter {
    /// The connection below.
    pub fn timed(&mut self) -> &mut TimedWriter {
        &mut self.stream
    }
}

impl Write for TlsWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut session = lock(&self.session);
        let taken = session.writer().write(bytes)?;
        while session.wants_write() {
            session.write_tls(&mut self.out)?;
        }
        // The reader needs it while this waits for room.
        drop(session);
        let written = self.stream.write_all(&self.out);
        self.out.clear();
        written.map(|()| taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
