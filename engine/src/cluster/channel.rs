//! A connection between two nodes, in the clear or encrypted: first while it is greeted, then as a
//! reader and a writer on two threads, or as the port of a link on a core.

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use potoroo_runtime::Connection;
use serde::Serialize;

use super::timed::{PATIENCE, TimedStream, TimedWriter};
#[cfg(feature = "tls")]
use super::tls::{TlsReader, TlsStream, TlsWriter};
use super::wire::write_message;
use crate::turn::LinkPort;

/// What the port of an encrypted link holds at most: bytes that have come, one record of them that
/// is not whole, its plain bytes, and those that wait to be sent.
pub const ENCRYPTED_LINK_BYTES: usize = 192 * 1024;

/// A connection that is greeted.
#[derive(Debug)]
pub enum Channel {
    /// In the clear.
    Clear(TimedStream),
    /// Encrypted, between two nodes that have shown each other certificates.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream>),
}

/// Where messages of the other node come from.
#[derive(Debug)]
pub enum ChannelReader {
    /// In the clear.
    Clear(TcpStream),
    /// Encrypted.
    #[cfg(feature = "tls")]
    Tls(TlsReader),
}

/// Where messages to the other node go.
#[derive(Debug)]
pub enum ChannelWriter {
    /// In the clear.
    Clear(TimedWriter),
    /// Encrypted.
    #[cfg(feature = "tls")]
    Tls(TlsWriter),
}

impl Channel {
    /// The connection below.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Clear(stream) => stream.stream(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.tcp(),
        }
    }

    /// Whether the peer may call itself `node`: its certificate says so. In the clear each may.
    ///
    /// # Errors
    /// Why not, and the remedy.
    pub fn check_peer(&self, node: &str) -> Result<(), String> {
        match self {
            Self::Clear(_) => {
                let _ = node;
                Ok(())
            }
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.check_peer(node),
        }
    }

    /// Whether its peer has shown the same certificate as that of `other`. In the clear there is
    /// none, so all are taken for one.
    pub fn has_peer_of(&self, other: &Self) -> bool {
        match (self, other) {
            #[cfg(feature = "tls")]
            (Self::Tls(one), Self::Tls(other)) => one.certificate() == other.certificate(),
            _ => true,
        }
    }

    /// Both directions, whose greeting is over, for a thread each.
    ///
    /// # Errors
    /// It is broken.
    pub fn split(self) -> io::Result<(ChannelReader, ChannelWriter)> {
        match self {
            Self::Clear(stream) => {
                let stream = stream.into_stream()?;
                let reader = ChannelReader::Clear(stream.try_clone()?);
                Ok((reader, ChannelWriter::Clear(TimedWriter::new(stream))))
            }
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                let (reader, writer) = stream.split()?;
                Ok((ChannelReader::Tls(reader), ChannelWriter::Tls(writer)))
            }
        }
    }

    /// The port of a link, whose greeting is over.
    ///
    /// # Errors
    /// It is broken.
    pub fn into_port(self) -> io::Result<Box<dyn LinkPort>> {
        Ok(match self {
            Self::Clear(stream) => Box::new(Connection::adopt(stream.into_stream()?)?),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Box::new(stream.into_port()?),
        })
    }
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.write(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    /// Each write goes out at once.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for ChannelReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(reader) => reader.read(buffer),
        }
    }
}

impl ChannelWriter {
    fn timed(&mut self) -> &mut TimedWriter {
        match self {
            Self::Clear(writer) => writer,
            #[cfg(feature = "tls")]
            Self::Tls(writer) => writer.timed(),
        }
    }
}

/// The way of messages to another node, from any thread.
pub trait Outgoing<T>: Send + Sync + Debug {
    /// Sends a message.
    ///
    /// # Errors
    /// The peer has not taken it: the connection has ended.
    fn send(&self, message: &T) -> io::Result<()>;

    /// Ends the connection at once, also in the midst of a message: both readers end, too.
    fn end(&self);
}

/// Sends messages to the other node, from any thread.
#[derive(Debug)]
pub struct MessageSender {
    /// Beside the lock, which a message holds until the peer has taken it.
    stream: Arc<TcpStream>,
    writer: Mutex<ChannelWriter>,
}

impl MessageSender {
    /// Sends by `writer`.
    pub fn new(mut writer: ChannelWriter) -> Self {
        Self { stream: writer.timed().stream().clone(), writer: Mutex::new(writer) }
    }

    /// Sends a message, which the peer has [`PATIENCE`] to take.
    ///
    /// # Errors
    /// It has not taken it: the connection has ended.
    pub fn send(&self, message: &impl Serialize) -> io::Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.timed().begin(PATIENCE);
        write_message(&mut *writer, message).inspect_err(|_| self.end())
    }

    /// Ends the connection at once, also in the midst of a message: both readers end, too.
    pub fn end(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl<T: Serialize> Outgoing<T> for MessageSender {
    fn send(&self, message: &T) -> io::Result<()> {
        Self::send(self, message)
    }

    fn end(&self) {
        Self::end(self);
    }
}

impl Write for ChannelWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.write(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(writer) => writer.write(bytes),
        }
    }

    /// Each write goes out at once.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::TcpListener;
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn pair() -> (TimedWriter, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let stream = TcpStream::connect(listener.local_addr().expect("it is bound"));
        let (peer, _) = listener.accept().expect("it was dialled");
        (TimedWriter::new(stream.expect("it listens")), peer)
    }

    #[test]
    fn a_connection_ends_at_once_in_the_midst_of_a_message() {
        let (writer, mut peer) = pair();
        let sender = Arc::new(MessageSender::new(ChannelWriter::Clear(writer)));
        let of_thread = sender.clone();
        // More than the buffers of both ends.
        let sending = thread::spawn(move || of_thread.send(&"x".repeat(64 << 20)));
        peer.read_exact(&mut [0; 4]).expect("it has begun");
        sender.end();
        let error = sending.join().expect("it does not panic").expect_err("it is not taken");
        assert_ne!(error.kind(), ErrorKind::TimedOut, "it ended by its deadline: {error}");
    }

    #[test]
    fn a_message_has_one_deadline_however_slowly_it_is_taken() {
        let (mut writer, mut peer) = pair();
        let reading = thread::spawn(move || {
            let mut few = [0; 512];
            while peer.read(&mut few).is_ok_and(|count| count > 0) {}
        });
        // No machine moves 256 MiB in a millisecond.
        writer.begin(Duration::from_millis(1));
        let error = writer.write_all(&vec![0; 256 << 20]).expect_err("it takes longer than that");
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        drop(writer);
        reading.join().expect("it does not panic");
    }
}
