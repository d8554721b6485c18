//! One HTTP request to an admin port, and its response.
//!
//! Promises: a response is whole, of bounded size, and text, and comes in bounded time; anything
//! else is an error. The request is of HTTP/1.0, so the response ends with its connection and has
//! no chunks. Must never: talk to anything but an admin port.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::control::admin::MARK;

/// Longest body: a row.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// Longest status line with all headers.
const HEAD_BYTES_MAX: u64 = 16 << 10;

/// How long the port may take to accept the connection and the request.
const CONNECT_MAX: Duration = Duration::from_secs(30);

/// How long nothing may come: an answer waits for a checkpoint, and one of a large state takes
/// minutes on a slow store.
const SILENCE_MAX: Duration = Duration::from_secs(600);

/// What a request wants.
#[derive(Clone, Copy, Debug)]
pub enum Method {
    /// Read something.
    Get,
    /// Change something.
    Post,
}

/// A whole response.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code, such as 200.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Sends a request with the header [`MARK`] and waits for its response.
///
/// # Errors
/// Nothing listens there, the connection breaks, nothing comes for [`SILENCE_MAX`], or the response
/// is not one of an admin port.
pub fn request(admin: SocketAddr, method: Method, path: &str) -> io::Result<Response> {
    let method = match method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    let head = format!("{method} {path} HTTP/1.0\r\nHost: {admin}\r\n{MARK}: 1\r\n\r\n");
    exchange(admin, &head, SILENCE_MAX)
}

fn exchange(admin: SocketAddr, request: &str, silence_max: Duration) -> io::Result<Response> {
    let mut stream = TcpStream::connect_timeout(&admin, CONNECT_MAX)?;
    stream.set_write_timeout(Some(CONNECT_MAX))?;
    stream.set_read_timeout(Some(silence_max))?;
    stream.write_all(request.as_bytes())?;
    read(stream).map_err(|error| match error.kind() {
        // What a socket says at its read timeout.
        ErrorKind::WouldBlock => {
            io::Error::new(ErrorKind::TimedOut, format!("nothing came for {silence_max:?}"))
        }
        _ => error,
    })
}

/// Reads a response from its first byte to the end of the connection.
fn read(from: impl Read) -> io::Result<Response> {
    let mut text = String::new();
    from.take(HEAD_BYTES_MAX + BODY_BYTES_MAX).read_to_string(&mut text)?;
    if text.is_empty() {
        return Err(cut_off());
    }
    let status = status(&text).ok_or_else(no_response)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(cut_off)?;
    let length = length(head).ok_or_else(no_response)?;
    if length > BODY_BYTES_MAX {
        return Err(too_long());
    }
    let body = body.get(..length as usize).ok_or_else(cut_off)?.to_owned();
    Ok(Response { status, body })
}

/// The code of a status line.
fn status(text: &str) -> Option<u16> {
    let rest = text.strip_prefix("HTTP/1.1 ").or_else(|| text.strip_prefix("HTTP/1.0 "))?;
    rest.get(..3)?.parse().ok()
}

/// The length of the body in bytes, by its header.
fn length(head: &str) -> Option<u64> {
    let fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths.next()?.1.trim().parse().ok()
}

fn cut_off() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the connection was closed in the response")
}

fn no_response() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "its response is not one of an admin port")
}

fn too_long() -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        format!("its response has more than {BODY_BYTES_MAX} bytes"),
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn response(text: &str) -> io::Result<Response> {
        read(text.as_bytes())
    }

    #[test]
    fn a_whole_response_has_status_and_body() {
        let expected = |status, body: &str| Response { status, body: body.to_owned() };
        let text = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-LENGTH: 3\r\n\r\nlöwe";
        assert_eq!(response(text).expect("it is whole"), expected(200, "lö"));
        let text = "HTTP/1.0 404 Not Found\r\ncontent-length: 21\r\n\r\nthere is no such key\n";
        assert_eq!(response(text).expect("it is whole"), expected(404, "there is no such key\n"));
        let text = "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(response(text).expect("it is whole"), expected(204, ""));
    }

    #[track_caller]
    fn is_refused(text: &str, kind: ErrorKind) {
        assert_eq!(response(text).expect_err("it is no response").kind(), kind, "{text:.80}");
    }

    #[test]
    fn every_beginning_of_a_response_is_refused() {
        let whole = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n{ok}";
        assert!(response(whole).is_ok());
        for end in 0..whole.len() {
            assert!(response(&whole[..end]).is_err(), "{}", &whole[..end]);
        }
        is_refused("", ErrorKind::UnexpectedEof);
        is_refused(&whole[..whole.len() - 1], ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_no_response_is_refused() {
        let long = format!("HTTP/1.1 200 OK\r\nlong: {}\r\n\r\n", "x".repeat(1 << 20));
        let large = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", BODY_BYTES_MAX + 1);
        for text in [
            "SSH-2.0-OpenSSH_9.2p1\r\n",
            "HTTP/1.1 OK\r\n\r\n",
            "HTTP/1.1 2é0 OK\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            &long,
            &large,
        ] {
            is_refused(text, ErrorKind::InvalidData);
        }
    }

    #[test]
    fn an_exchange_without_an_answer_times_out() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let admin = silent.local_addr().expect("it is bound");
        let error = exchange(admin, "GET / HTTP/1.0\r\n\r\n", Duration::from_millis(1));
        assert_eq!(error.expect_err("no answer comes").kind(), ErrorKind::TimedOut);
    }
}
