//! Items: the events of the tests. Each carries where it came from, so that outputs can be
//! attributed, counted and put into order.

use std::io::Write;
use std::marker::PhantomData;

use potoroo_sdk::prelude::*;

/// What any item says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts<'a> {
    /// Number of the connection that brought it.
    pub origin: u32,
    /// Its number on that connection.
    pub seq: u32,
    /// What it is grouped by.
    pub key: u32,
    /// Which way it took where a stream forks: one bit for each fork.
    pub branch: u32,
    /// Hash of everything that happened to it.
    pub trail: u64,
    /// Some text, to give it a size.
    pub note: &'a str,
}

/// An event of the tests: made of facts.
pub trait Trial: Event + Clone {
    /// What `view` says.
    fn facts(view: View<'_, Self>) -> Facts<'_>;
    /// An event that says `facts`.
    fn make(facts: Facts<'_>) -> Self;
}

/// An item of varying size, seen through a view.
#[event]
pub struct Item {
    origin: u32,
    seq: u32,
    key: u32,
    branch: u32,
    trail: u64,
    note: String,
}

impl Trial for Item {
    fn facts(view: View<'_, Self>) -> Facts<'_> {
        let ItemView { origin, seq, key, branch, trail, note } = view;
        Facts { origin, seq, key, branch, trail, note }
    }

    fn make(facts: Facts<'_>) -> Self {
        let Facts { origin, seq, key, branch, trail, note } = facts;
        Self { origin, seq, key, branch, trail, note: note.to_owned() }
    }
}

/// An item of fixed size without a note.
#[event]
pub struct Slim {
    origin: u32,
    seq: u32,
    key: u32,
    branch: u32,
    trail: u64,
}

impl Trial for Slim {
    fn facts(view: View<'_, Self>) -> Facts<'_> {
        let Self { origin, seq, key, branch, trail } = view;
        Facts { origin, seq, key, branch, trail, note: "" }
    }

    fn make(facts: Facts<'_>) -> Self {
        let Facts { origin, seq, key, branch, trail, .. } = facts;
        Self { origin, seq, key, branch, trail }
    }
}

/// First byte of a payload that is an item.
const TAG: u8 = 0x49;

/// Longest payload in bytes: a length above it breaks the connection.
pub const PAYLOAD_BYTES_MAX: usize = 700;

/// Bytes of the longest frame of a source.
pub const FRAME_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 2;

/// Reads items: length (u16), tag, origin, sequence number and key (u32 each), note.
pub struct Frames<E>(PhantomData<fn() -> E>);

impl<E> Frames<E> {
    /// The codec.
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<E> Default for Frames<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: Trial> Decode for Frames<E> {
    type Event = E;
    type Framing = LengthPrefixed;

    fn framing(&self) -> LengthPrefixed {
        LengthPrefixed::new(LengthWord::U16Be).length_max(PAYLOAD_BYTES_MAX)
    }

    fn decode(&self, payload: &[u8]) -> Result<E, Reason> {
        let mut fields = Fields::new(payload);
        if fields.u8()? != TAG {
            return Err(Reason::new("no item"));
        }
        let (origin, seq, key) = (fields.u32_be()?, fields.u32_be()?, fields.u32_be()?);
        let note = str::from_utf8(fields.rest()).map_err(|_| Reason::new("not UTF-8"))?;
        Ok(E::make(Facts { origin, seq, key, note, ..Facts::default() }))
    }
}

/// Appends the frame from which [`Frames`] reads `facts`.
pub fn write_frame(facts: Facts<'_>, out: &mut Vec<u8>) {
    let length = u16::try_from(13 + facts.note.len()).expect("notes are short");
    out.extend_from_slice(&length.to_be_bytes());
    out.push(TAG);
    for word in [facts.origin, facts.seq, facts.key] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(facts.note.as_bytes());
}

/// How many of these bytes are decided without knowing what follows.
pub fn whole_frames(bytes: &[u8]) -> usize {
    let framing = Frames::<Slim>::new().framing();
    let mut whole = 0;
    loop {
        match framing.split(&bytes[whole..], false) {
            Split::Frame { next, .. } | Split::Skip { next, .. } => whole += next,
            Split::Overlong { .. } => unreachable!("a length above the limit is broken"),
            Split::More(_) => return whole,
            Split::Broken(_) => return bytes.len(),
        }
    }
}

/// Writes items as lines that [`Shown::parse`] reads.
pub struct Lines<E>(PhantomData<fn() -> E>);

impl<E> Lines<E> {
    /// The codec.
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<E> Default for Lines<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: Trial> Encode for Lines<E> {
    type Event = E;

    fn encode(&self, event: View<'_, E>, out: &mut Vec<u8>) {
        let Facts { origin, seq, key, branch, trail, note } = E::facts(event);
        let note = note.len();
        writeln!(out, "{origin} {seq} {key} {branch} {trail:x} {note}")
            .expect("memory takes every write");
    }
}

/// An item as an output shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown {
    /// See [`Facts::origin`].
    pub origin: u32,
    /// See [`Facts::seq`].
    pub seq: u32,
    /// See [`Facts::key`].
    pub key: u32,
    /// See [`Facts::branch`].
    pub branch: u32,
    /// See [`Facts::trail`].
    pub trail: u64,
    /// Bytes of the note.
    pub note_bytes: u32,
}

impl Shown {
    /// The item of one line without its end.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let mut number = || words.next()?.parse().ok();
        let (origin, seq, key, branch) = (number()?, number()?, number()?, number()?);
        let trail = u64::from_str_radix(words.next()?, 16).ok()?;
        let note_bytes = words.next()?.parse().ok()?;
        words.next().is_none().then_some(Self { origin, seq, key, branch, trail, note_bytes })
    }

    /// The items of whole lines.
    ///
    /// # Errors
    /// The first line that is none: bytes were lost, doubled or mixed.
    pub fn parse_all(bytes: &[u8]) -> Result<Vec<Self>, String> {
        let text = str::from_utf8(bytes).map_err(|error| error.to_string())?;
        if !(text.is_empty() || text.ends_with('\n')) {
            return Err(format!("the output ends within a line: {:?}", text.lines().last()));
        }
        let parse = |line| Self::parse(line).ok_or_else(|| format!("{line:?} is no item"));
        text.lines().map(parse).collect()
    }
}
