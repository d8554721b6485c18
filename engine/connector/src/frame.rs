//! One frame, to and from its bytes. The layout stands at the head of the crate.
//!
//! Promises: what is decoded borrows from the bytes it was decoded from; a frame with anything
//! missing, left over or out of range is malformed, and never a panic.

use std::fmt;

/// The version of the protocol that this is.
pub const VERSION: u16 = 1;

/// The greatest length of a frame: its kind and fields, without the length word.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// The greatest length of a message's payload.
pub const MESSAGE_BYTES_MAX: usize = FRAME_BYTES_MAX - 13;

/// The greatest length of a frame before the other side is welcome.
pub const HELLO_BYTES_MAX: usize = 4096;

/// The greatest length of each text in a hello.
pub const HELLO_TEXT_BYTES_MAX: usize = 1024;

/// A hello has three of them with their lengths, after its kind, magic, version and role.
const _: () = assert!(8 + 3 * (2 + HELLO_TEXT_BYTES_MAX) <= HELLO_BYTES_MAX);

/// First bytes of each connection: another protocol is refused at once.
const MAGIC: [u8; 4] = *b"PTRO";

/// Longest text, so that its length fits 16 bits.
const TEXT_BYTES_MAX: usize = u16::MAX as usize;

/// Longest reason of a refusal: its frame is within [`HELLO_BYTES_MAX`], which a stranger reads.
const REASON_BYTES_MAX: usize = 2048;

/// By kind, from 1.
const NAMES: [&str; 14] = [
    "Hello",
    "Welcome",
    "Refused",
    "Open",
    "Resume",
    "Credit",
    "Message",
    "Ack",
    "End",
    "Ended",
    "Begin",
    "Data",
    "Commit",
    "Committed",
];

/// The role of the side that connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A client that sends messages to a source.
    Source,
    /// An engine that sends the output of a sink.
    Sink,
}

/// One frame. Its `Debug` form leaves out a token.
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the head of the crate describes each field")]
pub enum Frame<'a> {
    Hello { version: u16, role: Role, token: &'a str, application: &'a str, endpoint: &'a str },
    Welcome { version: u16, last: u128 },
    Refused { reason: &'a str },
    Open { stream: u32, name: &'a str, from: u64 },
    Resume { stream: u32, after: u64 },
    Credit { stream: u32, messages: u32 },
    Message { stream: u32, id: u64, payload: &'a [u8] },
    Ack { stream: u32, id: u64 },
    End { stream: u32 },
    Ended { stream: u32 },
    Begin { transaction: u128, length: u64 },
    Data { payload: &'a [u8] },
    Commit { transaction: u128 },
    Committed { transaction: u128 },
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct(self.name());
        match self {
            Self::Hello { version, role, token: _, application, endpoint } => shown
                .field("version", version)
                .field("role", role)
                .field("application", application)
                .field("endpoint", endpoint),
            Self::Welcome { version, last } => shown.field("version", version).field("last", last),
            Self::Refused { reason } => shown.field("reason", reason),
            Self::Open { stream, name, from } => {
                shown.field("stream", stream).field("name", name).field("from", from)
            }
            Self::Resume { stream, after: id } | Self::Ack { stream, id } => {
                shown.field("stream", stream).field("id", id)
            }
            Self::Credit { stream, messages } => {
                shown.field("stream", stream).field("messages", messages)
            }
            Self::Message { stream, id, payload } => {
                shown.field("stream", stream).field("id", id).field("payload", payload)
            }
            Self::End { stream } | Self::Ended { stream } => shown.field("stream", stream),
            Self::Begin { transaction, length } => {
                shown.field("transaction", transaction).field("length", length)
            }
            Self::Data { payload } => shown.field("payload", payload),
            Self::Commit { transaction } | Self::Committed { transaction } => {
                shown.field("transaction", transaction)
            }
        };
        shown.finish()
    }
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The length is 0 or above what is allowed now.
    Length {
        /// What it is.
        bytes: usize,
        /// What is allowed.
        most: usize,
    },
    /// There is no frame of this kind.
    Kind(u8),
    /// The first frame does not begin as this protocol does.
    Magic,
    /// The other side speaks another version of the protocol: the other fields may mean
    /// something else there.
    Version(u16),
    /// A field of this frame is missing, or bytes follow the last.
    Fields(&'static str),
    /// A text in this frame is not UTF-8.
    Text(&'static str),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { bytes, most } => {
                write!(f, "a frame says that it has {bytes} bytes: 1 to {most} are allowed here")
            }
            Self::Kind(kind) => write!(f, "there is no frame of kind {kind}"),
            Self::Magic => f.write_str("this is not the connector protocol: `PTRO` is missing"),
            Self::Version(version) => {
                write!(f, "it speaks version {version} of the protocol, this is {VERSION}")
            }
            Self::Fields(name) => write!(f, "{name} has too few or too many bytes"),
            Self::Text(name) => write!(f, "{name} has a text that is not UTF-8"),
        }
    }
}

impl std::error::Error for Malformed {}

impl<'a> Frame<'a> {
    /// Its number in front of its fields.
    fn kind(&self) -> u8 {
        match self {
            Self::Hello { .. } => 1,
            Self::Welcome { .. } => 2,
            Self::Refused { .. } => 3,
            Self::Open { .. } => 4,
            Self::Resume { .. } => 5,
            Self::Credit { .. } => 6,
            Self::Message { .. } => 7,
            Self::Ack { .. } => 8,
            Self::End { .. } => 9,
            Self::Ended { .. } => 10,
            Self::Begin { .. } => 11,
            Self::Data { .. } => 12,
            Self::Commit { .. } => 13,
            Self::Committed { .. } => 14,
        }
    }

    /// Its name in messages.
    pub fn name(&self) -> &'static str {
        NAMES[usize::from(self.kind()) - 1]
    }

    /// Adds the frame, with its length in front, to `out`. The reason of a refusal, which may have
    /// words of the other side in it, is cut off after 2048 bytes.
    ///
    /// # Panics
    /// It is longer than [`FRAME_BYTES_MAX`], or a text in it longer than 65 535 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.push(self.kind());
        self.encode_fields(out);
        let length = out.len() - start - 4;
        assert!(length <= FRAME_BYTES_MAX, "the caller keeps to the greatest length of a frame");
        out[start..start + 4].copy_from_slice(&(length as u32).to_le_bytes());
    }

    fn encode_fields(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Hello { version, role, token, application, endpoint } => {
                out.extend_from_slice(&MAGIC);
                out.extend_from_slice(&version.to_le_bytes());
                out.push(match role {
                    Role::Source => 1,
                    Role::Sink => 2,
                });
                [token, application, endpoint].iter().for_each(|text| put_text(out, text));
            }
            Self::Welcome { version, last } => {
                out.extend_from_slice(&version.to_le_bytes());
                put_u128(out, last);
            }
            Self::Refused { reason } => put_text(out, begin_of(reason, REASON_BYTES_MAX)),
            Self::Open { stream, name, from } => {
                put_u32(out, stream);
                put_text(out, name);
                put_u64(out, from);
            }
            Self::Credit { stream, messages } => {
                put_u32(out, stream);
                put_u32(out, messages);
            }
            Self::Message { stream, id, payload } => {
                put_u32(out, stream);
                put_u64(out, id);
                out.extend_from_slice(payload);
            }
            Self::Resume { stream, after: id } | Self::Ack { stream, id } => {
                put_u32(out, stream);
                put_u64(out, id);
            }
            Self::End { stream } | Self::Ended { stream } => put_u32(out, stream),
            Self::Begin { transaction, length } => {
                put_u128(out, transaction);
                put_u64(out, length);
            }
            Self::Data { payload } => out.extend_from_slice(payload),
            Self::Commit { transaction } | Self::Committed { transaction } => {
                put_u128(out, transaction);
            }
        }
    }

    /// The frame whose kind and fields are `bytes`.
    ///
    /// # Errors
    /// They are none.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let empty = Malformed::Length { bytes: 0, most: FRAME_BYTES_MAX };
        let (kind, rest) = bytes.split_first().ok_or(empty)?;
        let name = usize::from(*kind).checked_sub(1).and_then(|at| NAMES.get(at));
        let mut fields = Fields { rest, name: name.ok_or(Malformed::Kind(*kind))? };
        let frame = Self::decode_fields(*kind, &mut fields)?;
        if fields.rest.is_empty() { Ok(frame) } else { Err(Malformed::Fields(fields.name)) }
    }

    fn decode_fields(kind: u8, fields: &mut Fields<'a>) -> Result<Self, Malformed> {
        Ok(match kind {
            1 => Self::decode_hello(fields)?,
            2 => Self::Welcome { version: fields.version()?, last: fields.u128()? },
            3 => Self::Refused { reason: fields.text()? },
            4 => Self::Open { stream: fields.u32()?, name: fields.text()?, from: fields.u64()? },
            5 => Self::Resume { stream: fields.u32()?, after: fields.u64()? },
            6 => Self::Credit { stream: fields.u32()?, messages: fields.u32()? },
            7 => {
                let (stream, id) = (fields.u32()?, fields.u64()?);
                Self::Message { stream, id, payload: fields.bytes() }
            }
            8 => Self::Ack { stream: fields.u32()?, id: fields.u64()? },
            9 => Self::End { stream: fields.u32()? },
            10 => Self::Ended { stream: fields.u32()? },
            11 => Self::Begin { transaction: fields.u128()?, length: fields.u64()? },
            12 => Self::Data { payload: fields.bytes() },
            13 => Self::Commit { transaction: fields.u128()? },
            14 => Self::Committed { transaction: fields.u128()? },
            kind => return Err(Malformed::Kind(kind)),
        })
    }

    fn decode_hello(fields: &mut Fields<'a>) -> Result<Self, Malformed> {
        if fields.array::<4>().map_err(|_| Malformed::Magic)? != MAGIC {
            return Err(Malformed::Magic);
        }
        let version = fields.version()?;
        let role = match fields.array::<1>()? {
            [1] => Role::Source,
            [2] => Role::Sink,
            _ => return Err(Malformed::Fields("Hello")),
        };
        let (token, application, endpoint) = (fields.text()?, fields.text()?, fields.text()?);
        Ok(Self::Hello { version, role, token, application, endpoint })
    }
}

/// Whether two tokens are the same. Takes as long for a wrong one as for a right one.
pub fn is_same_token(ours: &str, theirs: &str) -> bool {
    let pairs = ours.bytes().zip(theirs.bytes());
    let differing = pairs.fold(0, |differing, (ours, theirs)| differing | (ours ^ theirs));
    ours.len() == theirs.len() && differing == 0
}

fn put_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_u128(out: &mut Vec<u8>, number: u128) {
    out.extend_from_slice(&number.to_le_bytes());
}

/// Up to `bytes_max` bytes of a text, in whole characters.
fn begin_of(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    assert!(text.len() <= TEXT_BYTES_MAX, "the length of a text has 16 bits");
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// What is left of the frame `name`.
struct Fields<'a> {
    rest: &'a [u8],
    name: &'static str,
}

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let split = self.rest.split_first_chunk();
        let (array, rest) = split.ok_or(Malformed::Fields(self.name))?;
        self.rest = rest;
        Ok(*array)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    fn version(&mut self) -> Result<u16, Malformed> {
        let version = self.u16()?;
        if version == VERSION { Ok(version) } else { Err(Malformed::Version(version)) }
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    fn u128(&mut self) -> Result<u128, Malformed> {
        self.array().map(u128::from_le_bytes)
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = usize::from(self.u16()?);
        let split = self.rest.split_at_checked(length);
        let (text, rest) = split.ok_or(Malformed::Fields(self.name))?;
        self.rest = rest;
        str::from_utf8(text).map_err(|_| Malformed::Text(self.name))
    }

    fn bytes(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }
}
