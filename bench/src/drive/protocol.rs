//! The bytes of an event and of its answer.

use std::ops::Range;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

use crate::wire::frames::{
    ORDER_ID, ORDER_IDS, ORDER_SYMBOL, REJECTION_BYTES, REJECTION_ID, order,
};

/// What is sent, and how an answer is recognised.
#[derive(Clone, Debug, PartialEq)]
pub enum Protocol {
    /// Orders of Market Spread, each of which is answered by a rejection with its id.
    Orders,
    /// Frames with a big-endian u32 length in front, that many bytes behind it: sequence and key as
    /// u64, then zeros. The n-th frame that comes back is the answer to the n-th one.
    Frames(usize),
    /// A line of text. The n-th line that comes back is the answer to the n-th one.
    Line(String),
}

/// What an answer says about the event that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// The sequence number modulo [`ORDER_IDS`].
    Id(u64),
    /// The oldest one without an answer.
    Oldest,
}

impl Protocol {
    /// Whether a frame has room for this number of keys.
    ///
    /// # Errors
    /// There are fewer.
    pub fn allows(&self, keys: u64) -> Result<()> {
        let most = if *self == Self::Orders { SYMBOLS } else { u64::MAX };
        ensure!(keys <= most, "orders have at most {most} keys, not {keys}: lower --keys");
        Ok(())
    }

    /// Appends an event.
    pub fn write(&self, bytes: &mut Vec<u8>, sequence: u64, key: u64) {
        match self {
            Self::Orders => {
                let mut order = order(sequence);
                order[ORDER_SYMBOL].copy_from_slice(&symbol(key));
                bytes.extend_from_slice(&order);
            }
            Self::Frames(length) => {
                let end = bytes.len() + WORD + length;
                bytes.extend_from_slice(&(*length as u32).to_be_bytes());
                bytes.extend_from_slice(&sequence.to_be_bytes());
                bytes.extend_from_slice(&key.to_be_bytes());
                bytes.resize(end, 0);
            }
            Self::Line(text) => {
                let line = text.replace("{key}", &key.to_string());
                let line = line.replace("{sequence}", &sequence.to_string());
                bytes.extend_from_slice(line.as_bytes());
                bytes.push(b'\n');
            }
        }
    }

    /// The answer at the beginning of `bytes` and its length; `None` when it is not complete.
    ///
    /// # Errors
    /// This is no answer of this protocol.
    pub fn read(&self, bytes: &[u8]) -> Result<Option<(Answer, usize)>> {
        if let Self::Line(_) = self {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            ensure!(end.is_some() || bytes.len() < ANSWER_BYTES_MAX, "a line does not end");
            return Ok(end.map(|end| (Answer::Oldest, end + 1)));
        }
        let Some(word) = bytes.first_chunk::<WORD>() else { return Ok(None) };
        let length = WORD + u32::from_be_bytes(*word) as usize;
        ensure!(
            length <= ANSWER_BYTES_MAX,
            "an answer announces {length} bytes: does the application speak this --protocol?"
        );
        let Some(frame) = bytes.get(..length) else { return Ok(None) };
        Ok(Some((self.answer(frame)?, length)))
    }

    fn answer(&self, frame: &[u8]) -> Result<Answer> {
        if *self != Self::Orders {
            return Ok(Answer::Oldest);
        }
        ensure!(
            frame.len() == REJECTION_BYTES,
            "{} bytes came back instead of a rejection's {REJECTION_BYTES}",
            frame.len()
        );
        let id = str::from_utf8(&frame[REJECTION_ID]).ok().and_then(|id| id.parse().ok());
        Ok(Answer::Id(id.context("the id of a rejection is not the number that was sent")?))
    }
}

impl FromStr for Protocol {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text.split_once(':') {
            None if text == "orders" => Self::Orders,
            Some(("frames", bytes)) => {
                let bytes = bytes.parse().ok().filter(|bytes| FRAME_BYTES.contains(bytes));
                Self::Frames(bytes.with_context(|| {
                    format!("a frame has {} to {} bytes", FRAME_BYTES.start, FRAME_BYTES.end - 1)
                })?)
            }
            Some(("line", line)) => {
                ensure!(!line.contains('\n'), "a line has no line feed in it");
                Self::Line(line.to_owned())
            }
            _ => bail!("say orders, frames:BYTES, or line:TEXT with {{key}} and {{sequence}}"),
        })
    }
}

/// A symbol that no exchange lists, so that it has no quote: `z` and three digits of base 62.
fn symbol(key: u64) -> [u8; 4] {
    let digit = |place: u32| DIGITS[(key / 62u64.pow(place) % 62) as usize];
    [b'z', digit(2), digit(1), digit(0)]
}

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const SYMBOLS: u64 = 62 * 62 * 62;
/// Bytes of a length word.
const WORD: usize = 4;
/// Sequence and key need 16.
const FRAME_BYTES: Range<usize> = 16..65_001;
/// A longer answer is of another protocol.
const ANSWER_BYTES_MAX: usize = 1 << 20;

const _: () = assert!(ORDER_IDS == 10u64.pow((ORDER_ID.end - ORDER_ID.start) as u32));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frames::echo;
    use std::collections::HashSet;

    #[test]
    fn protocols_are_read_from_text() {
        assert_eq!("orders".parse::<Protocol>().unwrap(), Protocol::Orders);
        assert_eq!("frames:16".parse::<Protocol>().unwrap(), Protocol::Frames(16));
        let line = Protocol::Line("a: {key}".into());
        assert_eq!("line:a: {key}".parse::<Protocol>().unwrap(), line);
        for text in ["", "order", "frames", "frames:15", "frames:70000", "frames:x", "line"] {
            assert!(text.parse::<Protocol>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn an_answer_to_an_order_is_known_by_its_id() {
        let mut bytes = Vec::new();
        Protocol::Orders.write(&mut bytes, 2_345_678, 9);
        let answer = echo(bytes.as_slice().try_into().unwrap());
        let read = Protocol::Orders.read(&answer).unwrap();
        assert_eq!(read, Some((Answer::Id(345_678), REJECTION_BYTES)));
        assert_eq!(Protocol::Orders.read(&answer[..58]).unwrap(), None);
        assert!(Protocol::Orders.read(&[0; 59]).is_err());
        assert!(Protocol::Orders.read(b"HTTP/1.1 400 Bad Request").is_err());
    }

    #[test]
    fn lines_and_frames_are_answered_in_order() {
        let line = Protocol::Line("{key} {sequence}".into());
        let mut bytes = Vec::new();
        line.write(&mut bytes, 7, 3);
        assert_eq!(bytes, b"3 7\n");
        assert_eq!(line.read(b"ok\nok").unwrap(), Some((Answer::Oldest, 3)));
        assert_eq!(line.read(b"o").unwrap(), None);
        let frames = Protocol::Frames(16);
        bytes.clear();
        frames.write(&mut bytes, 7, 3);
        assert_eq!(frames.read(&bytes).unwrap(), Some((Answer::Oldest, 20)));
        assert_eq!(frames.read(&bytes[..19]).unwrap(), None);
    }

    #[test]
    fn symbols_of_keys_are_distinct() {
        let symbols: HashSet<[u8; 4]> = (0..SYMBOLS).map(symbol).collect();
        assert_eq!(symbols.len() as u64, SYMBOLS);
        assert!(Protocol::Orders.allows(SYMBOLS + 1).is_err());
    }
}
