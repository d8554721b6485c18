//! One HTTP/1.1 request to an admin port, and its response.
//!
//! Promises: a response is whole, of bounded size, and text; anything else is an error. An admin
//! port closes each connection after its response and sends the length of the body, so neither
//! reuse nor chunks are needed. Must never: talk to anything but an admin port.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::control::admin::MARK;

/// Longest body: a row.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// Longest status line with all headers.
const HEAD_BYTES_MAX: u64 = 16 << 10;

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
/// Nothing listens there, the connection breaks, or the response is not one of an admin port.
pub fn request(admin: SocketAddr, method: Method, path: &str) -> io::Result<Response> {
    let mut stream = TcpStream::connect(admin)?;
    let method = match method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {admin}\r\n{MARK}: 1\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    read(BufReader::new(stream))
}

/// Reads a response from its first byte to the end of its body.
fn read(mut from: impl BufRead) -> io::Result<Response> {
    let mut head = (&mut from).take(HEAD_BYTES_MAX);
    let status = status(&line(&mut head)?)?;
    let mut length = None;
    loop {
        let header = line(&mut head)?;
        if header.is_empty() {
            break;
        }
        let Some((name, value)) = header.split_once(':') else { return Err(no_response()) };
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(no_response());
        }
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse::<u64>().map_err(|_| no_response())?);
        }
    }
    Ok(Response { status, body: body(from, length)? })
}

/// A line without its end.
fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None if line.is_empty() => Err(cut_off()),
        None => Err(no_response()),
    }
}

/// The code of a status line.
fn status(line: &str) -> io::Result<u16> {
    let rest = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "));
    let code = rest.and_then(|rest| rest.get(..3)?.parse().ok());
    code.ok_or_else(no_response)
}

/// A body of `length` bytes, or of all that there are.
fn body(from: impl Read, length: Option<u64>) -> io::Result<String> {
    let most = length.unwrap_or(BODY_BYTES_MAX + 1);
    if length.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(too_long());
    }
    let mut body = String::new();
    let count = from.take(most).read_to_string(&mut body)? as u64;
    match length {
        Some(length) if count < length => Err(cut_off()),
        None if count > BODY_BYTES_MAX => Err(too_long()),
        _ => Ok(body),
    }
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
    use super::*;

    fn response(text: &str) -> io::Result<Response> {
        read(text.as_bytes())
    }

    #[test]
    fn a_whole_response_has_status_and_body() {
        let expected = |status, body: &str| Response { status, body: body.to_owned() };
        let text = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-LENGTH: 3\r\n\r\nlöwe";
        assert_eq!(response(text).expect("it is whole"), expected(200, "lö"));
        let text = "HTTP/1.1 404 Not Found\r\n\r\nthere is no such key\n";
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
}
