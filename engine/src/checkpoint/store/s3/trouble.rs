//! Trouble: what the service or the way to it says, in words that name cause and remedy.
//!
//! Bodies of answers are not repeated as they are: those about signatures contain the key and what
//! was signed with it.

use std::error::Error as _;
use std::io::{self, ErrorKind};

use object_store::Error as Refusal;
use object_store::client::{HttpError, HttpErrorKind};

/// What happened, for [`Error::io`](crate::checkpoint::store::Error::io).
pub fn cause(refusal: &Refusal) -> io::Error {
    match (transport(refusal), Answer::of(refusal)) {
        (Some(error), _) => broken(error),
        (None, Some(answer)) => answer.cause(refusal),
        (None, None) => io::Error::other(innermost(refusal)),
    }
}

/// Whether the request surely did nothing: it never left, or was refused. To be asked of requests
/// that are sent once only.
pub fn is_certain(refusal: &Refusal) -> bool {
    let unsent = |error: &HttpError| error.kind() == HttpErrorKind::Connect;
    // 408, 409 and 429 are about other requests or time, and 5xx about the service itself.
    let refused = |answer: Answer| {
        matches!(answer.status, 300..500) && !matches!(answer.status, 408 | 409 | 429)
    };
    transport(refusal).map_or_else(|| Answer::of(refusal).is_some_and(refused), unsent)
}

/// The error of the connection, if it is one.
fn transport(refusal: &Refusal) -> Option<&HttpError> {
    let mut source = refusal.source();
    while let Some(error) = source {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return Some(http);
        }
        source = error.source();
    }
    None
}

fn broken(error: &HttpError) -> io::Error {
    let inner = innermost(error);
    let (kind, what) = match error.kind() {
        HttpErrorKind::Connect => (ErrorKind::NotConnected, "the endpoint cannot be reached"),
        HttpErrorKind::Timeout => (ErrorKind::TimedOut, "the endpoint does not answer in time"),
        _ => (ErrorKind::ConnectionAborted, "the connection to the endpoint broke"),
    };
    io::Error::new(kind, format!("{what} ({inner})"))
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string().chars().take(TEXT_MAX).collect()
}

/// Characters of a text of the service that are repeated.
const TEXT_MAX: usize = 200;

/// An answer that is no success.
struct Answer {
    status: u16,
    /// Of the protocol, such as `NoSuchBucket`; empty when there is none.
    code: String,
    message: String,
}

impl Answer {
    /// The client keeps its answers to itself, but for their text.
    fn of(refusal: &Refusal) -> Option<Self> {
        let text = innermost_with(refusal, STATUS)?;
        let (_, rest) = text.split_once(STATUS)?;
        let status = rest.get(..3)?.parse().ok()?;
        let element = |name: &str| {
            let (_, rest) = rest.split_once(&format!("<{name}>"))?;
            Some(rest.split_once('<')?.0.chars().take(TEXT_MAX).collect::<String>())
        };
        let (code, message) = (element("Code"), element("Message"));
        Some(Self { status, code: code.unwrap_or_default(), message: message.unwrap_or_default() })
    }

    fn cause(self, refusal: &Refusal) -> io::Error {
        let full = ["XMinioStorageFull", "QuotaExceeded", "InsufficientCapacity"];
        let (kind, what) = match (self.status, refusal) {
            _ if self.code == "NoSuchBucket" => {
                (ErrorKind::NotADirectory, "there is no such bucket")
            }
            _ if self.status == 507 || full.contains(&self.code.as_str()) => {
                (ErrorKind::StorageFull, "the storage is full")
            }
            _ if self.code == "RequestTimeTooSkewed" => {
                (ErrorKind::Other, "the clock of this host is wrong, or that of the service")
            }
            (401 | 403, _) => (
                ErrorKind::PermissionDenied,
                "the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) are refused",
            ),
            (404, _) => (ErrorKind::NotFound, "it is not there"),
            (_, Refusal::AlreadyExists { .. }) => (ErrorKind::AlreadyExists, "it is there"),
            _ => (ErrorKind::Other, "the service refuses"),
        };
        let Self { status, code, message } = self;
        let parts = [code, message].into_iter().filter(|part| !part.is_empty());
        let said: Vec<String> = std::iter::once(status.to_string()).chain(parts).collect();
        io::Error::new(kind, format!("{what} ({})", said.join(", ")))
    }
}

const STATUS: &str = "status code: ";

/// The text of the innermost error that has `part` in it.
fn innermost_with(error: &dyn std::error::Error, part: &str) -> Option<String> {
    let inner = error.source().and_then(|source| innermost_with(source, part));
    inner.or_else(|| Some(error.to_string()).filter(|text| text.contains(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> Refusal {
        Refusal::Generic { store: "S3", source: text.into() }
    }

    #[test]
    fn an_answer_is_shown_by_status_code_and_message_and_not_by_its_body() {
        let body = "Server returned non-2xx status code: 403 Forbidden: <Error><Code>SignatureDoes\
                    NotMatch</Code><Message>It does not fit.</Message><AWSAccessKeyId>AKID\
                    </AWSAccessKeyId><StringToSign>SIGNED</StringToSign></Error>";
        let error = cause(&refusal(body));
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        let text = error.to_string();
        assert!(text.contains("(403, SignatureDoesNotMatch, It does not fit.)"), "{text}");
        assert!(!text.contains("AKID") && !text.contains("SIGNED"), "{text}");
        let body = "status code: 403 Forbidden: <Error><Code>RequestTimeTooSkewed</Code></Error>";
        let text = cause(&refusal(body)).to_string();
        assert!(text.starts_with("the clock of this host is wrong"), "{text}");
    }

    #[test]
    fn only_what_surely_did_nothing_is_certain() {
        let of = |status: &str| is_certain(&refusal(&format!("non-2xx status code: {status}: ")));
        assert!(of("403 Forbidden") && of("404 Not Found") && of("400 Bad Request"));
        assert!(!of("500 Internal Server Error") && !of("503 Slow Down") && !of("409 Conflict"));
        let unsent = HttpError::new(HttpErrorKind::Connect, io::Error::other("refused"));
        let broken = HttpError::new(HttpErrorKind::Interrupted, io::Error::other("reset"));
        let of = |source: HttpError| {
            is_certain(&Refusal::Generic { store: "S3", source: Box::new(source) })
        };
        assert!(of(unsent));
        assert!(!of(broken));
        assert!(!is_certain(&refusal("something else")));
    }
}
