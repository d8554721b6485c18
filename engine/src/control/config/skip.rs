//! Which events are skipped: `SOURCE=POSITION`, as the report of a panic gives it.

use std::fmt;
use std::str::FromStr;

use crate::connect::registry::without_token;

/// An event that becomes a dead letter instead of being run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// Name of its source.
    pub source: String,
    /// The connection of the event's origin: the stream of a `potoroo:` source, or where an event
    /// came from that only a checkpoint holds. `None` for a file or generator.
    pub stream: Option<u64>,
    /// Where the event begins: bytes of the file or stream before it, or the index of a generated
    /// event.
    pub position: u64,
}

impl FromStr for Skip {
    type Err = NoSkip;

    fn from_str(text: &str) -> Result<Self, NoSkip> {
        let wrong = || NoSkip { text: without_token(text) };
        let (source, place) = text.split_once('=').ok_or_else(wrong)?;
        let (stream, position) = match place.split_once(':') {
            None => (None, place),
            Some((stream, position)) => {
                (Some(u64::from_str_radix(stream, 16).map_err(|_| wrong())?), position)
            }
        };
        let position = position.parse().map_err(|_| wrong())?;
        match source.is_empty() {
            true => Err(wrong()),
            false => Ok(Self { source: source.to_string(), stream, position }),
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, stream, position } = self;
        match stream {
            None => write!(f, "{source}={position}"),
            Some(stream) => write!(f, "{source}={stream:x}:{position}"),
        }
    }
}

/// A text names no event to skip.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` names no event to skip: write SOURCE=POSITION, or SOURCE=STREAM:POSITION for a \
     `potoroo:` source, as the report of the panic has it"
)]
pub struct NoSkip {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_is_read_as_it_is_printed() {
        for text in ["numbers=0", "orders=18446744073709551615", "orders=1f03:47"] {
            assert_eq!(text.parse::<Skip>().expect("a skip").to_string(), text);
        }
        for text in ["", "numbers", "=1", "numbers=", "numbers=-1", "numbers=x:1", "numbers=1:"] {
            let error = text.parse::<Skip>().expect_err("no skip").to_string();
            assert!(error.contains("SOURCE=POSITION"), "{error}");
        }
    }
}
