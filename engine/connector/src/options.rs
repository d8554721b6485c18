//! The options of a source client.

use std::fmt;
use std::time::Duration;

use crate::{Error, HELLO_TEXT_BYTES_MAX};

/// Where to connect, and how long to try.
#[derive(Clone)]
pub struct Options {
    /// Where the engine listens: `HOST:PORT`.
    pub address: String,
    /// The token of the source's address; empty if it has none.
    pub token: String,
    /// The application, to be refused by any other; empty for any.
    pub application: String,
    /// The source, to be refused by any other; empty for any.
    pub endpoint: String,
    /// [`send`](crate::Source::send) waits while this many bytes of payloads are not
    /// acknowledged: what it can send between two checkpoints. More than the longest event that
    /// goes over several messages: nothing of that is acknowledged before it is whole.
    pub kept_bytes_max: usize,
    /// How long a lost connection is tried again before an error is returned. A connection that the
    /// engine refuses is tried again once within this time.
    pub patience: Duration,
}

impl Options {
    /// The engine at `address` (`HOST:PORT`): no token, 64 MiB held, a minute of patience.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            token: String::new(),
            application: String::new(),
            endpoint: String::new(),
            kept_bytes_max: 64 << 20,
            patience: Duration::from_secs(60),
        }
    }
}

/// Without the token.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, token: _, application, endpoint, kept_bytes_max, patience } = self;
        f.debug_struct("Options")
            .field("address", address)
            .field("application", application)
            .field("endpoint", endpoint)
            .field("kept_bytes_max", kept_bytes_max)
            .field("patience", patience)
            .finish_non_exhaustive()
    }
}

/// Refuses texts that no hello can hold, by their names.
pub(crate) fn check_texts(texts: &[(&str, &str)]) -> Result<(), Error> {
    match texts.iter().find(|(_, text)| text.len() > HELLO_TEXT_BYTES_MAX) {
        Some((name, text)) => {
            let (is, most) = (text.len(), HELLO_TEXT_BYTES_MAX);
            Err(Error::Misused(format!(
                "the {name} has {is} bytes: up to {most} bytes fit a hello"
            )))
        }
        None => Ok(()),
    }
}
