//! A connection between two nodes, in the clear or encrypted: first while it is greeted, then as a
//! reader and a writer on two threads, or as the port of a link on a core.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

use potoroo_runtime::Connection;

use super::timed::TimedStream;
#[cfg(feature = "tls")]
use super::tls::{TlsReader, TlsStream, TlsWriter};
use crate::turn::LinkPort;

/// What the port of an encrypted link holds at most: bytes that have come, one record of them that
/// is not whole, its plain bytes, and those that wait to be sent.
pub const ENCRYPTED_LINK_BYTES: usize = 192 * 1024;

/// A connection that is greeted.
#[derive(Debug)]
pub enum Channel {
    /// In the clear.
    Plain(TimedStream),
    /// Encrypted, between two nodes that have shown each other certificates.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream>),
}

/// Where messages of the other node come from.
#[derive(Debug)]
pub enum ChannelReader {
    /// In the clear.
    Plain(TcpStream),
    /// Encrypted.
    #[cfg(feature = "tls")]
    Tls(TlsReader),
}

/// Where messages to the other node go.
#[derive(Debug)]
pub enum ChannelWriter {
    /// In the clear.
    Plain(TcpStream),
    /// Encrypted.
    #[cfg(feature = "tls")]
    Tls(TlsWriter),
}

impl Channel {
    /// The connection below.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream.stream(),
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
            Self::Plain(_) => {
                let _ = node;
                Ok(())
            }
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.check_peer(node),
        }
    }

    /// Both directions, whose greeting is over, for a thread each.
    ///
    /// # Errors
    /// It is broken.
    pub fn split(self) -> io::Result<(ChannelReader, ChannelWriter)> {
        match self {
            Self::Plain(stream) => {
                let stream = stream.into_stream()?;
                Ok((ChannelReader::Plain(stream.try_clone()?), ChannelWriter::Plain(stream)))
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
            Self::Plain(stream) => Box::new(Connection::adopt(stream.into_stream()?)?),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Box::new(stream.into_port()?),
        })
    }
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
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
            Self::Plain(stream) => stream.read(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(reader) => reader.read(buffer),
        }
    }
}

impl ChannelWriter {
    /// Ends the connection: both readers end, too.
    pub fn end(&self) {
        let stream = match self {
            Self::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Tls(writer) => writer.tcp(),
        };
        let _ = stream.shutdown(Shutdown::Both);
    }
}

impl Write for ChannelWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(writer) => writer.write(bytes),
        }
    }

    /// Each write goes out at once.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
